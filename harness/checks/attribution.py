"""Which fault a lost, repeated, late or unknown message belongs to: to one window at most, or to none.

::

    time ─────────┤ window 0 ├───────────┤     window 1     ├──────▶
                  fault 0                 faults 1, 2 (they overlap)

A window begins with the injection of a fault and ends when all faults that overlap in it are over. Windows are
disjoint, so every message is counted once: the sum over the windows and what lies outside is what the ledger counts.

* A receipt belongs to the window in which it came.
* A send belongs to the first window that it may have met on its way: from its intended time to the next sign that later
  messages got through (the acknowledgement, or the receipt, of a later message of its key), and for 1 s at least. So
  what waited in a backlog or in a window of the client library when the fault came is a cost of the fault, however long
  ago it was sent. Where its key has no later message, it may have been on its way until the next message of any key got
  through, and for as long as any message that was sent before it was: members and partitions are not equally fast.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from crep.harness.brokers.contract import Outcome
from crep.harness.checks.channel import ChannelRun, ReaderRun
from crep.harness.checks.history import NEVER
from crep.harness.checks.ledger import find

Times = NDArray[np.int64]
SECOND = 1_000_000_000
ON_ITS_WAY_NS = SECOND
"""A send is taken to be on its way for so long at least."""
KINDS = ("lost", "pending", "duplicates", "reordered", "unknown", "rejected")
"""What is counted: ``rejected`` and ``unknown`` over the sends, all others over the readers."""
OUTSIDE = -1

Window = tuple[int, int]
"""First nanosecond relative to t0, and the first that is not part of it (``NEVER``: it has no end)."""


def attribute(windows: Sequence[Window], start: Times, end: Times) -> Times:
    """For each stretch of time the first window that it meets, ``OUTSIDE`` where it meets none.

    Args:
        windows: disjoint, in order.
        start: first nanosecond of each stretch.
        end: last one, not before ``start``.
    """
    if not windows:
        return np.full(len(start), OUTSIDE, np.int64)
    begins, ends = (np.array(side, np.int64) for side in zip(*windows, strict=True))
    place = np.searchsorted(ends, start, "right")
    met = (place < len(windows)) & (begins[np.minimum(place, len(windows) - 1)] <= end)
    return np.where(met, place, OUTSIDE)


def costs(
    windows: Sequence[Window], channels: Sequence[ChannelRun], drain_clean: bool
) -> tuple[list[dict[str, int]], dict[str, int]]:
    """What each window cost (every one of ``KINDS``), and what belongs to none."""
    count: Counter[tuple[int, str]] = Counter()
    for channel in channels:
        count.update(_of_sends(windows, channel))
        for reader in channel.readers:
            count.update(_of_reader(windows, channel, reader, drain_clean))
    each = [{kind: count[place, kind] for kind in KINDS} for place in range(len(windows))]
    return each, {kind: count[OUTSIDE, kind] for kind in KINDS}


def added(parts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    """Costs added up, every one of ``KINDS``."""
    return {kind: sum(part.get(kind, 0) for part in parts) for kind in KINDS}


def _of_sends(windows: Sequence[Window], channel: ChannelRun) -> Counter[tuple[int, str]]:
    outcome = channel.sends.outcome
    bad = np.flatnonzero((outcome == Outcome.UNKNOWN) | (outcome == Outcome.REJECTED))
    if not len(bad):
        return Counter()
    place = attribute(windows, *_on_its_way(channel, bad, channel.sends.acknowledged_ns))
    return _counted(place[outcome[bad] == Outcome.UNKNOWN], "unknown") + _counted(
        place[outcome[bad] == Outcome.REJECTED], "rejected"
    )


def _of_reader(
    windows: Sequence[Window], channel: ChannelRun, reader: ReaderRun, drain_clean: bool
) -> Counter[tuple[int, str]]:
    found = find(channel.sends, reader.history, reader.receipts, drain_clean)
    count: Counter[tuple[int, str]] = Counter()
    for kind in ("lost", "pending"):
        rows = np.flatnonzero(found.missing[kind])
        if len(rows):
            seen = np.where(reader.selected, reader.receipts.received_ns, NEVER)
            count.update(_counted(attribute(windows, *_on_its_way(channel, rows, seen)), kind))
    received = reader.receipts.records["received_ns"] - channel.t0_ns
    for kind, mask in found.receipts.items():
        name = "duplicates" if kind.startswith("duplicate") else kind
        if name in KINDS and mask.any():
            count.update(_counted(attribute(windows, received[mask], received[mask]), name))
    return count


def _counted(places: Times, kind: str) -> Counter[tuple[int, str]]:
    return Counter(
        {(int(place), kind): int(n) for place, n in zip(*np.unique(places, return_counts=True), strict=True)}
    )


def _on_its_way(channel: ChannelRun, rows: NDArray[np.intp], seen_ns: Times) -> tuple[Times, Times]:
    """From when to when each of these sends may have been on its way, relative to t0.

    Args:
        channel: the channel.
        rows: of its sends; none of them has a sign of its own.
        seen_ns: per row of ``Sends`` the sign that it got through, ``NEVER`` without one.
    """
    sends = channel.sends
    start = sends.intended_ns[rows]
    end = _next_sign(np.lexsort((sends.key_sequence, sends.key)), seen_ns, sends.key)[rows]
    alone = end == NEVER
    if alone.any():
        by_time = np.argsort(sends.intended_ns, kind="stable")
        others = np.maximum(_next_sign(by_time, seen_ns), _slowest_before(by_time, seen_ns))
        end = np.where(alone, others[rows], end)
    end = np.maximum(end, start + ON_ITS_WAY_NS)
    return start - channel.t0_ns, np.where(end == NEVER, NEVER, end - channel.t0_ns)


def _slowest_before(order: NDArray[np.intp], seen_ns: Times) -> Times:
    """Per row the latest sign of all rows up to it in ``order``; 0 where none has any."""
    result = np.zeros(len(order), np.int64)
    result[order] = np.maximum.accumulate(np.where(seen_ns == NEVER, 0, seen_ns)[order])
    return result


def _next_sign(order: NDArray[np.intp], seen_ns: Times, group: NDArray[np.uint32] | None = None) -> Times:
    """Per row the sign of the next row in ``order`` that has one (of the same group), ``NEVER`` where none follows."""
    size = len(order)
    signs = seen_ns[order]
    places = np.where(signs != NEVER, np.arange(size), size)
    following = np.minimum.accumulate(places[::-1])[::-1]
    found = following < size
    if group is not None:
        found[found] = group[order[following[found]]] == group[order[found]]
    result = np.full(size, NEVER, np.int64)
    result[order[found]] = signs[following[found]]
    return result
