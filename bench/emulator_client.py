"""One official client in a process of its own: crep's publisher or subscriber on Solace's C library, flat out.

``python -m bench.emulator_client`` reads one line of JSON, a :class:`Task`, writes ``{}`` when it is connected, waits
for a line, works, and writes ``{"first_ns", "last_ns"}`` (CLOCK_MONOTONIC), or ``{"error"}`` in place of either. It
stays connected until its standard input ends: the library sends what is left of direct messages only while it is asked
to work.
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import IO, Any, Literal

import numpy as np

from crep.harness import processes
from crep.harness.brokers.contract import (
    Batch,
    BrokerError,
    Deliveries,
    Endpoint,
    Outcome,
    Outcomes,
    PublisherSpec,
    ReaderSpec,
    SubscriberSpec,
)
from crep.harness.brokers.solace.native.publisher import NativePublisher
from crep.harness.brokers.solace.native.subscriber import NativeSubscriber

TOPICS = "bench/>"
_WITHIN_S = 120.0
_END_S = 5.0
_RECONNECT_S = 5.0
_BATCH = 1000
_WAIT_S = 0.01
_READER = ReaderSpec("reader", "group", 1, "at-least-once")


@dataclass(frozen=True)
class Task:
    """Publish or receive ``count`` messages of ``size`` bytes; guaranteed ones come from ``queue``."""

    work: Literal["publish", "receive"]
    smf: str
    guaranteed: bool
    queue: str
    count: int
    size: int


class Client:
    """A client process that is connected. Raises :class:`BrokerError` when it is not, fails, or takes too long."""

    def __init__(self, task: Task) -> None:
        self._work = task.work
        command = [sys.executable, "-m", "bench.emulator_client"]
        self._child = processes.spawn(command, stdin=processes.PIPE, stdout=processes.PIPE)
        try:
            self._ask(asdict(task))
        except BrokerError:
            self.end()
            raise

    def run(self) -> Callable[[], tuple[int, int]]:
        """Let it work. Call what is returned to wait for its end: when it began and was done, nanoseconds."""
        self._write("go")

        def result() -> tuple[int, int]:
            did = self._answer()
            return did["first_ns"], did["last_ns"]

        return result

    def end(self) -> None:
        """Let it settle what it has, disconnect and end; one that does not is killed."""
        _there(self._child.stdin).close()
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(_END_S)
        self._child.kill()
        _there(self._child.stdout).close()

    def _ask(self, content: object) -> None:
        self._write(content)
        self._answer()

    def _write(self, content: object) -> None:
        stream = _there(self._child.stdin)
        stream.write(f"{json.dumps(content)}\n".encode())
        stream.flush()

    def _answer(self) -> dict[str, Any]:
        stream = _there(self._child.stdout)
        late = not select.select([stream], [], [], _WITHIN_S)[0]
        line = b"" if late else stream.readline()
        if not line:
            trouble = f"was not done after {_WITHIN_S:.0f} s" if late else "ended early"
            raise BrokerError(f"the client that was to {self._work} {trouble}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise BrokerError(f"the client that was to {self._work} failed: {answer['error']}")
        return answer


def _there(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None  # noqa: S101 - a pipe was asked for
    return stream


# -- in the child


def publish(task: Task) -> None:
    """Send everything and have an outcome of everything."""
    objects = {"topic_prefix": TOPICS.removesuffix("/>"), "key_property": None}
    publisher = NativePublisher(
        PublisherSpec(_endpoint(task), "publisher", "bench", objects, ("a",), task.guaranteed, {}, _RECONNECT_S)
    )
    publisher.open()
    bodies, zeros = [bytes(task.size)] * _BATCH, np.zeros(_BATCH, np.uint32)
    with _working(task, lambda: publisher.poll(_WAIT_S)) as clock:
        sent = 0
        while clock.count < task.count:
            count = min(_BATCH, task.count - sent)
            numbers = np.arange(sent, sent + count, dtype=np.uint64)
            taken = (
                publisher.send_batch(Batch(numbers, bodies[:count], zeros[:count], zeros[:count]), 0) if count else 0
            )
            sent += taken
            clock.sent(publisher.poll(0.0 if taken and taken == count else _WAIT_S))
    publisher.close()


def receive(task: Task) -> None:
    """Receive everything, and acknowledge it where it comes from a queue."""
    objects = {
        "queues": {_READER.name: {"name": task.queue}} if task.guaranteed else {},
        "direct": {_READER.name: {"share_name": None, "subscription": TOPICS}},
    }
    subscriber = NativeSubscriber(
        SubscriberSpec(_endpoint(task), "subscriber", "bench", _READER, 0, objects, {}, _RECONNECT_S)
    )
    subscriber.open()
    with _working(task, lambda: subscriber.receive(1, _WAIT_S)) as clock:
        while clock.count < task.count:
            deliveries = subscriber.receive(_BATCH, _WAIT_S)
            subscriber.acknowledge(deliveries)
            clock.received(deliveries)
    subscriber.close()


class _Clock:
    """Counts messages and remembers when the last was through. Raises :class:`BrokerError` when it takes too long."""

    def __init__(self, count: int) -> None:
        self.count = 0
        self.first_ns = self.last_ns = time.monotonic_ns()
        self._wanted = count

    def sent(self, outcomes: Outcomes) -> None:
        """Count messages that are sent or acknowledged. Raises :class:`BrokerError` when one is neither."""
        if not np.all(np.isin(outcomes.outcome, (Outcome.SENT, Outcome.ACKNOWLEDGED))):
            raise BrokerError(f"a message was refused: {next(iter(outcomes.reasons.values()), 'for no reason')}")
        self._add(len(outcomes.sequence), outcomes.at_ns)

    def received(self, deliveries: Deliveries) -> None:
        """Count messages that have come."""
        self._add(len(deliveries), deliveries.received_ns)

    def _add(self, count: int, at_ns: np.typing.NDArray[np.int64]) -> None:
        self.count += count
        if count:
            self.last_ns = int(at_ns[-1])
        elif time.monotonic_ns() - self.last_ns > _WITHIN_S / 2 * 1e9:
            raise BrokerError(f"{self.count:,} of {self._wanted:,} messages are through, and nothing more comes")


@contextmanager
def _working(task: Task, stay: Callable[[], object]) -> Iterator[_Clock]:
    """Wait for the sign to begin; afterwards tell the times and stay connected as long as standard input lasts."""
    _say({})
    sys.stdin.readline()
    clock = _Clock(task.count)
    yield clock
    _say({"first_ns": clock.first_ns, "last_ns": clock.last_ns})
    deadline = time.monotonic() + _WITHIN_S
    while not select.select([sys.stdin], [], [], 0)[0] and time.monotonic() < deadline:
        stay()


def _endpoint(task: Task) -> Endpoint:
    return Endpoint("solace", "bench", smf=task.smf, username="default", password="default")  # noqa: S106 - any does


def _say(content: object) -> None:
    sys.stdout.write(json.dumps(content) + "\n")
    sys.stdout.flush()


def main() -> int:
    """Do the task that standard input names."""
    task = Task(**json.loads(sys.stdin.readline()))
    try:
        (publish if task.work == "publish" else receive)(task)
    except BrokerError as error:
        _say({"error": str(error)})
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
