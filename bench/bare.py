"""The same work without crep: the loop that a client program would be, in a process of its own.

``python -m bench.bare`` reads one JSON object ``{"system", "work", "count", "size", "spec"}`` from standard input and
writes ``{"first_ns", "last_ns", "cpu_s"}``. It uses the client settings that the engine uses (the adapter's own way
from a spec to the library's properties), counts what is acknowledged or received, and does nothing else: no stamp, no
schedule, no record, no histogram, no check. The garbage collector is off as in the engines, so that the ratio is the
cost of the checks and not of the collector.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable
from typing import Any

from bench.brokers import KEYS, Channel
from crep.harness import processes
from crep.harness.brokers.contract import BrokerError, PublisherSpec, SubscriberSpec
from crep.harness.config.errors import EnvironmentFailure
from crep.harness.load.protocol import publisher_spec, spec_to_json, subscriber_spec

WITHIN_S = 240.0
READY = b"ready"


def publish(channel: Channel, count: int, size: int) -> float:
    """Messages per second from the first handover to the last acknowledgement, measured in a child process.

    Raises:
        EnvironmentFailure: the child failed, or not every message was acknowledged.
    """
    return _in_child(channel, "publish", count, size, channel.publisher("bare"))


def receive(channel: Channel, count: int, size: int) -> float:
    """Messages per second from the first receipt to the last, measured in a child process.

    Raises:
        EnvironmentFailure: the child failed, or not every message came.
    """
    return _in_child(channel, "receive", count, size, channel.subscriber("bare"))


def _in_child(channel: Channel, work: str, count: int, size: int, spec: PublisherSpec | SubscriberSpec) -> float:
    did = result(start(channel, work, count, size, spec), work)
    taken_s: float = (did["last_ns"] - did["first_ns"]) / 1e9
    return count / taken_s


def start(channel: Channel, work: str, count: int, size: int, spec: PublisherSpec | SubscriberSpec) -> processes.Child:
    """A child that has begun with the work; a receiving one says when it is ``ready``."""
    task = {
        "system": channel.broker.endpoint.system,
        "work": work,
        "count": count,
        "size": size,
        "spec": spec_to_json(spec),
    }
    child = processes.spawn(
        [sys.executable, "-m", "bench.bare"], stdin=processes.PIPE, stdout=processes.PIPE, stderr=processes.STDOUT
    )
    assert child.stdin is not None  # noqa: S101 - asked for
    child.stdin.write(json.dumps(task).encode())
    child.stdin.close()
    return child


def wait_until_ready(child: processes.Child) -> None:
    """Return when a receiving child gets what is sent from now on.

    Raises:
        EnvironmentFailure: it ended before.
    """
    assert child.stdout is not None  # noqa: S101 - asked for
    line = child.stdout.readline()
    if line.strip() != READY:
        raise EnvironmentFailure(f"the bare receive loop ended early:\n{(line + child.stdout.read()).decode()[-2000:]}")


def result(child: processes.Child, work: str) -> dict[str, Any]:
    """What it did: ``first_ns`` and ``last_ns`` (CLOCK_MONOTONIC) and ``cpu_s``, its processor time between.

    Raises:
        EnvironmentFailure: it failed, or not every message came through.
    """
    assert child.stdout is not None  # noqa: S101 - asked for
    try:
        output = child.stdout.read().decode(errors="replace")
        code = child.wait(WITHIN_S)
    finally:
        child.kill()
        child.stdout.close()
    if code != 0:
        raise EnvironmentFailure(f"the bare {work} loop ended with exit code {code}:\n{output.strip()[-2000:]}")
    did: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
    return did


class Clock:
    """Counts events and keeps the times of the first and the last."""

    def __init__(self) -> None:
        self.count = 0
        self.first_ns = self.last_ns = 0
        self._before_s = 0.0

    def start(self) -> None:
        """The first handover, or the first receipt."""
        self.first_ns, self._before_s = time.monotonic_ns(), time.process_time()

    def did(self, count: int) -> dict[str, float]:
        """Times and processor time, as :func:`result` returns them.

        Raises:
            BrokerError: there are not as many as there should be.
        """
        if self.count != count:
            raise BrokerError(f"{self.count:,} of {count:,} messages came through")
        cpu_s = time.process_time() - self._before_s
        return {"first_ns": self.first_ns, "last_ns": self.last_ns, "cpu_s": cpu_s}


def say_ready() -> None:
    """A receiving loop gets what is sent from now on."""
    sys.stdout.write(f"{READY.decode()}\n")
    sys.stdout.flush()


def settle_memory() -> None:
    """As the engines do."""
    gc.collect()
    gc.freeze()
    gc.disable()


def key(number: int) -> int:
    """The key of a message; in turn, as in the engine's schedule."""
    return number % KEYS


def main() -> int:
    """Do the work that standard input asks for."""
    from bench import bare_kafka, bare_solace  # noqa: PLC0415 - client libraries are loaded in the child only

    task = json.loads(sys.stdin.buffer.read())
    loops: dict[tuple[str, str], Callable[[Any, int, int], dict[str, float]]] = {
        ("kafka", "publish"): bare_kafka.publish,
        ("kafka", "receive"): bare_kafka.receive,
        ("solace", "publish"): bare_solace.publish,
        ("solace", "receive"): bare_solace.receive,
    }
    spec = (publisher_spec if task["work"] == "publish" else subscriber_spec)(task["spec"])
    did = loops[task["system"], task["work"]](spec, task["count"], task["size"])
    sys.stdout.write(json.dumps(did) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
