"""What other threads say to a running replay, and what they see of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from crep.replay.pacing import Pace

State = Literal["waiting", "fetching", "running", "paused", "stopped", "cancelled", "done", "failed"]
"""``stopped``: it can be gone on with by the same id; ``cancelled``: it cannot. ``fetching``: native replay reads."""


class Control:
    """Orders for one replay; every method may be called by any thread at any time.

    Args:
        stopping: says the same as ``stop`` from without, for example that a signal came.
    """

    def __init__(self, stopping: Callable[[], bool] = lambda: False) -> None:
        self._stopping = stopping
        self._changed = threading.Condition()
        self._pace: Pace | None = None
        self._paused = self._stopped = self._cancelled = False

    def pause(self) -> None:
        """Send nothing more until ``resume``; outcomes of what is under way are still taken."""
        self._set(paused=True)

    def resume(self) -> None:
        """Go on: the time of the pause is left out of the schedule."""
        self._set(paused=False)

    def stop(self) -> None:
        """End in order, as Ctrl-C does: a replay with the same id goes on from there."""
        self._set(stopped=True)

    def cancel(self) -> None:
        """End in order and for good."""
        self._set(cancelled=True)

    def set_pace(self, pace: Pace) -> None:
        """From the next message on."""
        with self._changed:
            self._pace = pace
            self._changed.notify_all()

    def take_pace(self) -> Pace | None:
        """The pace that was asked for since the last call."""
        with self._changed:
            pace, self._pace = self._pace, None
            return pace

    @property
    def paused(self) -> bool:
        """Whether it is to stand still."""
        return self._paused

    @property
    def cancelled(self) -> bool:
        """Whether it is to end for good."""
        return self._cancelled

    @property
    def ending(self) -> bool:
        """Whether it is to end, one way or the other."""
        return self._stopped or self._cancelled or self._stopping()

    def wait(self, seconds: float) -> None:
        """Until an order comes, or the time is over."""
        with self._changed:
            self._changed.wait(seconds)

    def _set(self, *, paused: bool | None = None, stopped: bool | None = None, cancelled: bool | None = None) -> None:
        with self._changed:
            self._paused = self._paused if paused is None else paused
            self._stopped = self._stopped if stopped is None else stopped
            self._cancelled = self._cancelled if cancelled is None else cancelled
            self._changed.notify_all()


@dataclass(frozen=True)
class Progress:
    """One look at a replay. Counts are of the whole replay, runs before included; ``None``: not known yet.

    ``selected = acknowledged + rejected + removed`` when it is done; until then ``unknown`` (sent, without an outcome)
    and what is still to come are missing in that sum. ``maybe_doubled``: sent again although an earlier send may have
    arrived (after a kill, or where the broker gave no outcome). Times are Unix microseconds of the original messages.
    """

    state: State
    selected: int | None
    sent: int  # handed over by this run
    acknowledged: int
    rejected: int
    removed: int  # retention took them out of the archive before they were read
    unknown: int
    maybe_doubled: int
    position_us: int | None  # of the latest message that was sent
    first_us: int | None
    last_us: int | None
    rate: float  # outcomes per second, of the last seconds
    pace: str
    reason: str | None = None  # why it failed, or the first rejection

    @property
    def settled(self) -> int:
        """Those that nothing more will be done about."""
        return self.acknowledged + self.rejected + self.removed
