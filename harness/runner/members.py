"""The members of a reader as the timeline acts on them: through their engines."""

from __future__ import annotations

import time
from collections.abc import Callable

from crep.harness.load.contract import EngineGroup


class ReaderMembers:
    """All members of logical readers of one channel (``faults.pause_reader.Members``). ``engines`` may start later."""

    def __init__(self, engines: Callable[[], EngineGroup], channel: str, readers: tuple[str, ...]) -> None:
        self._engines, self._channel, self._readers = engines, channel, readers

    def pause(self) -> int:
        """Tell all to stop reading; returns CLOCK_MONOTONIC nanoseconds of the word."""
        at_ns = time.monotonic_ns()
        self._engines().pause(self._channel, self._readers)
        return at_ns

    def resume(self) -> None:
        """Tell all to read again."""
        self._engines().resume(self._channel, self._readers)

    def paused(self) -> bool:
        """Whether every member said that it stands still."""
        return all(self._standing())

    def reading(self) -> bool:
        """Whether every member said that it reads."""
        return not any(self._standing())

    def _standing(self) -> list[bool]:
        return self._engines().standing(self._channel, self._readers)
