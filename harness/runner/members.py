"""The clients of a run as the timeline acts on them: through their engines."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from crep.harness.load.contract import EngineGroup


class RunningClients:
    """``faults.contract.Clients``, over the engines of the run, which may start later."""

    def __init__(self, engines: Callable[[], EngineGroup]) -> None:
        self._engines = engines

    def pause(self, channel: str, readers: Collection[str]) -> int:
        """Tell all members of these readers to stop reading; CLOCK_MONOTONIC nanoseconds of the word."""
        at_ns = time.monotonic_ns()
        self._engines().pause(channel, readers)
        return at_ns

    def resume(self, channel: str, readers: Collection[str]) -> None:
        """Tell them to read again."""
        self._engines().resume(channel, readers)

    def standing(self, channel: str, readers: Collection[str]) -> list[bool]:
        """For each member whether it said last that it stands still."""
        return self._engines().standing(channel, readers)
