"""When a message is due. The rules are pure; the clock is looked at in one place, ``wait_until``.

The loop is open: the schedule is fixed before the first send and a message's intended time never moves. What could not
be handed over when it was due (the client library's window is full, the broker stalls) stays due and is offered again,
in order, as soon as possible; *lateness* = handed over − intended tells how late that was.
"""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

GRID_NS = 200_000
"""Shortest pause between two passes: what falls due within it is sent together, which costs a third of the processor
time of waking for each message and adds less than this to the lateness."""

_LOOK_AHEAD = 4096  # numbers of the global schedule whose intended times are computed together
_LEAST_AHEAD = 16


def look_ahead(publishers: int) -> int:
    """How many messages of one of so many publishers are computed together.

    Its messages are that far apart in the global schedule, and random arrivals are drawn in blocks of that: a thousand
    of them would hold the loop up for tens of milliseconds.
    """
    return max(_LEAST_AHEAD, _LOOK_AHEAD // publishers)


class Schedule:
    """The intended times of one publisher's messages, by sequence number; time is always an argument.

    ``position`` is the sequence number of the first message that has not been handed over.

    Args:
        intended_ns: int64 sequence numbers → absolute intended times (ns), never descending.
        count: number of messages.
        ahead: messages whose times are computed together.
        first: sequence number of the first message.
    """

    def __init__(
        self,
        intended_ns: Callable[[NDArray[np.int64]], NDArray[np.int64]],
        count: int,
        ahead: int = _LOOK_AHEAD,
        first: int = 0,
    ) -> None:
        self._intended_ns, self.count, self._ahead = intended_ns, count, ahead
        self.position = self._first = first
        self._times: NDArray[np.int64] = np.zeros(0, np.int64)

    def due(self, now_ns: int) -> NDArray[np.int64]:
        """Intended times (ns, ≤ ``now_ns``) of the messages from ``position`` on that are due; thousands at most."""
        self._look_ahead()
        return self._times[self.position - self._first : int(np.searchsorted(self._times, now_ns, side="right"))]

    def next_ns(self) -> int | None:
        """Intended time of the message at ``position`` (it may have passed); None when all are handed over."""
        self._look_ahead()
        at = self.position - self._first
        return int(self._times[at]) if at < len(self._times) else None

    def handed_over(self, messages: int) -> None:
        """The client library has taken so many more."""
        self.position += messages

    def end_here(self) -> None:
        """Nothing beyond ``position`` is scheduled any more."""
        self.count = self.position
        self._times = self._times[: self.position - self._first]

    def _look_ahead(self) -> None:
        if self.position >= self._first + len(self._times) and self.position < self.count:
            self._first = self.position
            last = min(self.position + self._ahead, self.count)
            self._times = self._intended_ns(np.arange(self.position, last, dtype=np.int64))


def handover_times(before_ns: int, after_ns: int, messages: int) -> NDArray[np.int64]:
    """When each message of one call was handed over: the call's duration, shared evenly; the last one at its end."""
    return before_ns + (after_ns - before_ns) * np.arange(1, messages + 1, dtype=np.int64) // max(messages, 1)


def wake_at(now_ns: int, next_ns: int | None, longest_ns: int) -> int:
    """When to look again: at the next intended time, but not within ``GRID_NS`` and not later than ``longest_ns``."""
    earliest, latest = now_ns + GRID_NS, now_ns + max(longest_ns, GRID_NS)
    return latest if next_ns is None else min(max(next_ns, earliest), latest)


def wait_until(at_ns: int) -> None:
    """Sleep until a CLOCK_MONOTONIC time; returns at once when it has passed."""
    left = at_ns - time.monotonic_ns()
    if left > 0:
        time.sleep(left / 1e9)


def sharpen_timer() -> None:
    """Let this thread's sleeps end on time: by default the kernel groups wake-ups within 50 µs. Linux; else nothing.

    prctl(2), PR_SET_TIMERSLACK. A refusal costs microseconds of lateness, which is measured, so it is no error.
    """
    if sys.platform == "linux":
        pr_set_timerslack, nanoseconds = 29, 1
        ctypes.CDLL(None).prctl(pr_set_timerslack, nanoseconds, 0, 0, 0)
