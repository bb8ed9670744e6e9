"""Clients let loose at a server that does nothing: how much they get through in a second (METHOD rule 8).

All clients of one kind at once, with their own settings. The first moments are warm-up; the server delivers nothing
before every client is ready.
"""

from __future__ import annotations

import json
import queue
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from crep.harness import processes
from crep.harness.brokers.contract import Endpoint
from crep.harness.config.errors import EnvironmentFailure
from crep.harness.load.engines import EngineFailed, Engines, PublisherTask, SubscriberTask, Window
from crep.harness.load.stamp import Carrier

WORTH_MEASURING_PER_S = 5_000.0
"""Messages per second of one client below which it is far from any ceiling: nothing is measured there."""
BOUND = 0.7
"""Share of the ceiling above which the client, and not the broker, may be what is measured."""
SYSTEMS = ("kafka", "solace")
"""Those that have a no-op server."""
RUN = 0
"""Run number of the stamps."""
LET_LOOSE_S = 1.6
"""As long as clients are let loose for; the last second of it is measured."""

_MEASURED = 1
"""The second that is measured. Time 0 lies so far back that it ends where clients are stopped: windows are whole
seconds, and told once a second, so that a little more than two seconds after the start all is known."""
_READY_WITHIN_S = 20.0
_LAST_WORDS_S = 1.0


@dataclass(frozen=True)
class NoOpServer:
    """A server that listens; ``said`` is its first line."""

    said: Mapping[str, Any]
    child: processes.Child

    def deliver(self) -> None:
        """Let subscribers have messages from now on."""
        assert self.child.stdin is not None  # noqa: S101 - asked for below
        self.child.stdin.write(b"\n")
        self.child.stdin.flush()

    def endpoint(self, instead_of: Endpoint) -> Endpoint:
        """Its address, without login and encryption, which it has not."""
        old = instead_of
        return Endpoint(
            old.system, old.target, bootstrap=self.said.get("bootstrap"), smf=self.said.get("smf"), vpn=old.vpn
        )


@contextmanager
def no_op_server(arguments: Sequence[str]) -> Iterator[NoOpServer]:
    """A no-op server in a process of its own, started by these arguments of Python.

    Raises:
        EnvironmentFailure: it does not get ready.
    """
    child = processes.spawn([sys.executable, *arguments], stdin=processes.PIPE, stdout=processes.PIPE)
    first: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    out = child.stdout
    assert out is not None  # noqa: S101 - asked for above
    threading.Thread(target=lambda: first.put(out.readline()), name="no-op server", daemon=True).start()
    try:
        said = json.loads(first.get(timeout=_READY_WITHIN_S) or b"null")
        if not said:
            raise EnvironmentFailure("the server that does nothing ended at once")
        yield NoOpServer(said, child)
    except queue.Empty:
        raise EnvironmentFailure("the server that does nothing does not get ready") from None
    finally:
        child.kill()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()


def rate(
    tasks: Sequence[PublisherTask] | Sequence[SubscriberTask], server: NoOpServer, carrier: Carrier, counter: str
) -> float:
    """Messages per second of all these clients of the server together, by a counter of their windows.

    Raises:
        EnvironmentFailure: the clients do not start, one fails, or nothing went through.
    """
    with TemporaryDirectory(prefix="crep-ceiling-") as folder:
        engines = Engines(
            publishers=[task for task in tasks if isinstance(task, PublisherTask)],
            subscribers=[_from_the_start(task) for task in tasks if isinstance(task, SubscriberTask)],
            run_number=RUN,
            folder=Path(folder),
            carrier=carrier,
            keep_records=False,
        )
        try:
            engines.start(_READY_WITHIN_S)
            start_ns = time.monotonic_ns()
            engines.go(start_ns + round((LET_LOOSE_S - _MEASURED - 1) * 1e9))
            server.deliver()
            count = _count(engines, counter, start_ns / 1e9 + LET_LOOSE_S + _LAST_WORDS_S)
        finally:
            engines.kill()
    if not count:
        raise EnvironmentFailure(
            f"the {tasks[0].spec.endpoint.system} clients got nothing through to the server that does nothing"
        )
    return float(count)


def _from_the_start(task: SubscriberTask) -> SubscriberTask:
    """Without what it is to fail at, and there from the start."""
    reader = replace(task.spec.reader, at_first=None)
    return SubscriberTask(replace(task.spec, reader=reader))


def _count(engines: Engines, counter: str, deadline_s: float) -> int:
    """What went through in the measured second."""
    count, waited_for = 0, {client.name for client in engines.clients}
    while waited_for and (left := deadline_s - time.monotonic()) > 0:
        for said in engines.take(left):
            if isinstance(said, EngineFailed):
                raise EnvironmentFailure(f"{said.client} failed against the server that does nothing: {said.reason}")
            if isinstance(said, Window):
                if said.second == _MEASURED:
                    count += said.counters.get(counter, 0)
                if said.second > _MEASURED:  # seconds are told in their order
                    waited_for.discard(said.client)
    return count
