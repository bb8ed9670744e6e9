"""Lanes: messages of different keys in work at the same time, messages of one key one after the other.

For routes whose lookups wait (HTTP): Python threads overlap waiting, not computing. With one lane the caller's own
thread does the work, and nothing is queued.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Protocol
from zlib import crc32

from crep.enrichment.part import Part

Process = Callable[[Part], Part]
"""Sets the part's ``result`` and returns it; never raises."""


class Lanes(Protocol):
    """Where messages are processed."""

    def put(self, parts: Sequence[Part]) -> None:
        """Take messages into work."""

    def take(self, timeout_s: float) -> list[Part]:
        """What came out since the last call; those of one key are in order."""

    def __len__(self) -> int:
        """Put and not taken."""

    def close(self) -> None:
        """End the threads; what is in work is finished, what waits is left."""


class Inline:
    """The caller's thread."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._done: list[Part] = []

    def put(self, parts: Sequence[Part]) -> None:
        """Process at once."""
        self._done += map(self._process, parts)

    def take(self, timeout_s: float) -> list[Part]:
        """See ``Lanes``; there is nothing to wait for."""
        del timeout_s
        done, self._done = self._done, []
        return done

    def __len__(self) -> int:
        """See ``Lanes``."""
        return len(self._done)

    def close(self) -> None:
        """Nothing to end."""


class Threads:
    """A thread for each lane; a key always goes the same way, messages without a key all go one way."""

    def __init__(self, process: Process, count: int, name: str) -> None:
        self._process = process
        self._done: SimpleQueue[Part] = SimpleQueue()
        self._lanes: list[SimpleQueue[Part | None]] = [SimpleQueue() for _ in range(count)]
        self._within = 0
        self._closing = threading.Event()
        self._broken: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._work, args=(lane,), name=f"{name}-{number}", daemon=True)
            for number, lane in enumerate(self._lanes)
        ]
        for thread in self._threads:
            thread.start()

    def put(self, parts: Sequence[Part]) -> None:
        """See ``Lanes``."""
        self._within += len(parts)
        for part in parts:
            key = part.source.key
            data = b"" if key is None else key.encode() if isinstance(key, str) else key
            self._lanes[crc32(data) % len(self._lanes)].put(part)

    def _work(self, lane: SimpleQueue[Part | None]) -> None:
        try:
            while (part := lane.get()) is not None and not self._closing.is_set():
                self._done.put(self._process(part))
        except BaseException as error:  # noqa: BLE001 - raised again where results are taken
            self._broken = error

    def take(self, timeout_s: float) -> list[Part]:
        """See ``Lanes``."""
        done: list[Part] = []
        if self._broken is not None:
            raise self._broken
        try:
            if timeout_s > 0:
                done.append(self._done.get(timeout=timeout_s))
            while True:
                done.append(self._done.get_nowait())
        except Empty:
            self._within -= len(done)
            return done

    def __len__(self) -> int:
        """See ``Lanes``."""
        return self._within

    def close(self) -> None:
        """See ``Lanes``."""
        self._closing.set()
        for lane in self._lanes:
            lane.put(None)
        for thread in self._threads:
            thread.join(1.0)


def lanes(process: Process, count: int, name: str) -> Lanes:
    """As many lanes as the route has workers."""
    return Inline(process) if count == 1 else Threads(process, count, name)
