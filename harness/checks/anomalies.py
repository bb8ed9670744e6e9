"""Receipts that are wrong, by their identity: the earliest of each kind are kept, all are counted."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from crep.harness.metrics.history import RECEIVED, Records

KEPT = 10_000
"""Kept per kind; what comes after is counted only, and the *records* rule says how many that were."""
RECENT = 1 << 17
"""First receipts whose times are remembered, to say how long after the first a repeated one came."""

UNKNOWN_NS = 0
"""``first_ns`` of a repeated receipt whose first one is too long ago."""

ANOMALY = np.dtype([*((name, RECEIVED[name]) for name in RECEIVED.names or ()), ("member", "<u2"), ("first_ns", "<i8")])
"""``RECEIVED``, by which member, and for a repeated receipt the time of the first."""


class Anomalies:
    """The earliest ``KEPT`` receipts of each kind, in order of receipt."""

    def __init__(self) -> None:
        self._kept: dict[str, list[Records]] = {}

    def room(self, kind: str, wanted: int) -> int:
        """How many of ``wanted`` more of a kind would be kept."""
        return min(wanted, KEPT - sum(map(len, self._kept.get(kind, ()))))

    def keep(self, kind: str, records: Records) -> None:
        """Keep records (``ANOMALY``) of a kind, later than those before."""
        self._kept.setdefault(kind, []).append(records)

    def of(self, kind: str) -> Records:
        """What is kept of a kind."""
        return np.concatenate([np.empty(0, ANOMALY), *self._kept.get(kind, ())])

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds that something is kept of."""
        return tuple(self._kept)


_FIRST = np.dtype([("publisher", "<u2"), ("sequence", "<u8"), ("received_ns", "<i8")])


class Recent:
    """When the latest first receipts came."""

    def __init__(self) -> None:
        self._parts: deque[Records] = deque()
        self._count = 0

    def add(self, records: Records, first: NDArray[np.bool_]) -> None:
        """Those that are first receipts, later than those before."""
        part = np.empty(int(np.count_nonzero(first)), _FIRST)
        for name in _FIRST.names or ():
            part[name] = records[name][first]
        self._parts.append(part)
        self._count += len(part)
        while self._count - len(self._parts[0]) >= RECENT:
            self._count -= len(self._parts.popleft())

    def time_of(self, publisher: int, sequence: int) -> int:
        """When a message was first received; ``UNKNOWN_NS`` where that is too long ago."""
        for part in reversed(self._parts):
            places = np.flatnonzero((part["sequence"] == sequence) & (part["publisher"] == publisher))
            if len(places):
                return int(part["received_ns"][places[0]])
        return UNKNOWN_NS


def counted_only(counts: dict[str, int]) -> int:
    """How many receipts are counted and not kept; ``counts`` is by kind."""
    return sum(max(0, count - KEPT) for count in counts.values())
