"""Backlog of a reader, computed from the history: messages acknowledged and not yet received.

What never came is no backlog once the drain ended clean: it is lost, and the ledger says so. Times are nanoseconds
relative to t0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crep.harness.checks.channel import ChannelRun, ReaderRun
from crep.harness.checks.history import NEVER

Times = NDArray[np.int64]


@dataclass(frozen=True)
class Backlog:
    """Sorted times at which messages entered and left; those that never left are in ``entered`` only."""

    entered: Times
    left: Times

    def depth(self, at: Times) -> Times:
        """How many waited at each of these times, what happened at that very instant included."""
        return np.asarray(np.searchsorted(self.entered, at, "right") - np.searchsorted(self.left, at, "right"))

    def peak(self, start: int, end: int) -> tuple[int, int]:
        """The highest depth from ``start`` to ``end``, and the first time of it. It only rises where one enters."""
        within = slice(*np.searchsorted(self.entered, [start, end], "left"))
        rises = np.concatenate([np.array([start], np.int64), self.entered[within]])
        depth = self.depth(rises)
        highest = int(depth.argmax())
        return int(depth[highest]), int(rises[highest])

    def down_to(self, level: int, after: int) -> int | None:
        """The first time from ``after`` on with no more than ``level`` waiting; None where that never comes."""
        if int(self.depth(np.array([after]))[0]) <= level:
            return after
        falls = self.left[np.searchsorted(self.left, after, "left") :]
        low = np.flatnonzero(self.depth(falls) <= level)
        return int(falls[low[0]]) if len(low) else None


def backlog(channel: ChannelRun, reader: ReaderRun, drain_clean: bool) -> Backlog:
    """The backlog of one reader of a channel."""
    acknowledged, received = channel.sends.acknowledged_ns, reader.receipts.received_ns
    waited = reader.selected & (acknowledged < received)
    if drain_clean:
        waited &= received != NEVER
    left = received[waited]
    return Backlog(np.sort(acknowledged[waited] - channel.t0_ns), np.sort(left[left != NEVER] - channel.t0_ns))
