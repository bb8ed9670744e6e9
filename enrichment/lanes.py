"""Lanes: messages of different keys in work at the same time, messages of one key one after the other.

For routes whose lookups wait (HTTP): Python threads overlap waiting, not computing. With one lane the caller's own
thread does the work, and nothing is queued.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Generic, Protocol, TypeVar
from zlib import crc32

from crep.harness.brokers.contract import Message

Result = TypeVar("Result")


class Lanes(Protocol[Result]):
    """Where messages are processed. ``process`` never raises: its result says what became of the message."""

    def put(self, message: Message) -> None:
        """Take a message into work."""

    def take(self, timeout_s: float) -> list[Result]:
        """Results since the last call; those of one key are in order."""

    def close(self) -> None:
        """End the threads; what is in work is finished, what waits is left."""


class Inline(Generic[Result]):
    """The caller's thread."""

    def __init__(self, process: Callable[[Message], Result]) -> None:
        self._process = process
        self._results: list[Result] = []

    def put(self, message: Message) -> None:
        """Process at once."""
        self._results.append(self._process(message))

    def take(self, timeout_s: float) -> list[Result]:
        """See ``Lanes``; there is nothing to wait for."""
        del timeout_s
        results, self._results = self._results, []
        return results

    def close(self) -> None:
        """Nothing to end."""


class Threads(Generic[Result]):
    """A thread for each lane; a key always goes the same way, messages without a key all go one way."""

    def __init__(self, process: Callable[[Message], Result], count: int, name: str) -> None:
        self._process = process
        self._results: SimpleQueue[Result] = SimpleQueue()
        self._lanes: list[SimpleQueue[Message | None]] = [SimpleQueue() for _ in range(count)]
        self._closing = threading.Event()
        self._broken: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._work, args=(lane,), name=f"{name}-{number}", daemon=True)
            for number, lane in enumerate(self._lanes)
        ]
        for thread in self._threads:
            thread.start()

    def put(self, message: Message) -> None:
        """See ``Lanes``."""
        key = message.key
        data = b"" if key is None else key.encode() if isinstance(key, str) else key
        self._lanes[crc32(data) % len(self._lanes)].put(message)

    def _work(self, lane: SimpleQueue[Message | None]) -> None:
        try:
            while (message := lane.get()) is not None and not self._closing.is_set():
                self._results.put(self._process(message))
        except BaseException as error:  # noqa: BLE001 - raised again where results are taken
            self._broken = error

    def take(self, timeout_s: float) -> list[Result]:
        """See ``Lanes``."""
        results: list[Result] = []
        if self._broken is not None:
            raise self._broken
        try:
            if timeout_s > 0:
                results.append(self._results.get(timeout=timeout_s))
            while True:
                results.append(self._results.get_nowait())
        except Empty:
            return results

    def close(self) -> None:
        """See ``Lanes``."""
        self._closing.set()
        for lane in self._lanes:
            lane.put(None)
        for thread in self._threads:
            thread.join(1.0)


def lanes(process: Callable[[Message], Result], count: int, name: str) -> Lanes[Result]:
    """As many lanes as the route has workers."""
    return Inline(process) if count == 1 else Threads(process, count, name)
