"""Many short-lived clients from one process of their own: each connects as a publisher, and disconnects.

::

    parent: ConnectionStorm ── task: one line of JSON ──► python -m crep.harness.load.storm
                            ◄── {"connected": n, "failed": n}, a few times a second ──┘   end of its input: no more

They come at equal distances, whether the ones before have an answer or not; at most ``AT_ONCE`` at a time.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from crep.harness import processes
from crep.harness.brokers.contract import PublisherSpec
from crep.harness.brokers.registry import adapter
from crep.harness.config.errors import CrepError, EnvironmentFailure
from crep.harness.load.protocol import publisher_spec, spec_to_json, to_line
from crep.harness.proxy import OTHERS, PARTY_VARIABLE

AT_ONCE = 64
"""Clients that may be under way at a time: a client library has threads, and a process a limit of files."""
_TELL_EVERY_S = 0.2
_EXIT_WAIT_S = 5.0


class ConnectionStorm:
    """The parent's side (``faults.contract.Storm``).

    Args:
        spec: of the clients; each gets a name of its own.
        connections: how many.
        over_s: the time over which they come.
        log: where what goes wrong with the process itself is written.

    Raises:
        EnvironmentFailure: the process cannot be started.
    """

    def __init__(self, spec: PublisherSpec, connections: int, over_s: float, log: Path) -> None:
        self._counts: Counter[str] = Counter(connected=0, failed=0)
        self._over = threading.Event()
        try:
            with log.open("ab") as stderr:
                self._process = processes.spawn(
                    [sys.executable, "-m", "crep.harness.load.storm"],
                    env=os.environ | {PARTY_VARIABLE: OTHERS},
                    stdin=processes.PIPE,
                    stdout=processes.PIPE,
                    stderr=stderr,
                )
        except OSError as error:
            raise EnvironmentFailure(f"the storm of connections cannot be started: {error}") from error
        assert self._process.stdin is not None  # noqa: S101 - asked for above
        self._process.stdin.write(to_line({"spec": spec_to_json(spec), "connections": connections, "over_s": over_s}))
        self._process.stdin.flush()
        threading.Thread(target=self._listen, name="storm", daemon=True).start()

    @property
    def counts(self) -> dict[str, int]:
        """``connected`` and ``failed`` by now."""
        return dict(self._counts)

    @property
    def over(self) -> bool:
        """Whether the process has ended, and with it the last client."""
        return self._over.is_set()

    def end(self) -> None:
        """Start no more of them; those under way come to their end. Does not wait."""
        assert self._process.stdin is not None  # noqa: S101 - asked for above
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()

    def _listen(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - asked for above
        for line in self._process.stdout:
            self._counts = Counter(json.loads(line))
        self._process.terminate(_EXIT_WAIT_S)
        self._over.set()


def connect_all(
    spec: PublisherSpec, connections: int, over_s: float, stop: threading.Event, counts: Counter[str]
) -> None:
    """Connect and disconnect so many clients, at equal distances over a time; count how each went."""
    lock = threading.Lock()

    def once(number: int) -> None:
        client = adapter(spec.endpoint.system).publisher(replace(spec, name=f"{spec.name}-storm-{number}"))
        try:
            client.open()
            how = "connected"
        except CrepError as error:
            how = "failed"
            print(error, file=sys.stderr)  # noqa: T201 - the log of this process
        finally:
            client.close()
        with lock:
            counts[how] += 1

    began_s = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as threads:
        for number in range(connections):
            if stop.wait(max(0.0, began_s + over_s * number / connections - time.monotonic())):
                return
            threads.submit(once, number)


def main() -> int:
    """Carry out the task on standard input; its end means: no more of them."""
    task: dict[str, Any] = json.loads(sys.stdin.buffer.readline())
    stop, done = threading.Event(), threading.Event()
    counts: Counter[str] = Counter(connected=0, failed=0)
    pipe = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # whatever a client library prints belongs into the log

    def listen() -> None:
        sys.stdin.buffer.read()
        stop.set()

    def tell() -> None:
        while not done.wait(_TELL_EVERY_S):
            pipe.write(to_line(dict(counts)))

    threading.Thread(target=listen, daemon=True).start()
    telling = threading.Thread(target=tell, daemon=True)
    telling.start()
    connect_all(publisher_spec(task["spec"]), task["connections"], task["over_s"], stop, counts)
    done.set()
    telling.join()
    pipe.write(to_line(dict(counts)))
    return 0


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)  # without waiting for a thread of a client library
