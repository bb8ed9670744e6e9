"""Outage per key (METHOD rule 13): how long a key stayed silent although sends were intended."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from crep.harness.checks.results import Outage

Times = NDArray[np.int64]


@dataclass(frozen=True)
class Silences:
    """For each intended send the silence that it fell into: from its intended time to its key's next sign of life.

    A sign of life is an acknowledgement (or a receipt) of *any* message of the key. Where none follows, the silence
    ends with the schedule: no sends are intended after it. The figure is then a lower bound; the ledger tells the rest.
    The longest interval with intended sends and no acknowledgement is then the longest of these. They are in the order
    of keys, and of their beginning within a key.
    """

    key: NDArray[np.uint32]
    from_ns: Times
    to_ns: Times

    @property
    def longest_ns(self) -> int:
        """0 without any send."""
        return int((self.to_ns - self.from_ns).max(initial=0))

    @cached_property
    def began_ns(self) -> Times:
        """When the key fell silent: the beginning of the first silence that ended with the same sign of life."""
        first = np.ones(len(self.key), np.bool_)
        first[1:] = (self.key[1:] != self.key[:-1]) | (self.to_ns[1:] != self.to_ns[:-1])
        return np.asarray(self.from_ns[np.flatnonzero(first)[np.cumsum(first) - 1]], np.int64)

    def of_stretch(self, start_ns: int, end_ns: int, unusual_ns: int) -> Silences:
        """Those of a stretch of the run: of the unusual ones those that became it then, of all others what overlaps.

        So each unusual silence is that of one fault: not of one that came when a key had been silent for long, and not
        of one that was the last before the key fell silent.
        """
        noticed = self.began_ns + unusual_ns
        became = (noticed >= start_ns) & (noticed < end_ns)
        overlaps = (self.to_ns > start_ns) & (self.from_ns < end_ns)
        these = np.where(self.to_ns - self.began_ns > unusual_ns, became, overlaps)
        return Silences(self.key[these], self.from_ns[these], self.to_ns[these])

    def ended_by(self, end_ns: int) -> Silences:
        """Those that were over by ``end_ns``."""
        these = self.to_ns <= end_ns
        return Silences(self.key[these], self.from_ns[these], self.to_ns[these])


def silences(
    key: NDArray[np.uint32], intended_ns: Times, alive_key: NDArray[np.uint32], alive_ns: Times, until_ns: int
) -> Silences:
    """Find the silence of each intended send.

    Args:
        key: of each intended send, handed over or not.
        intended_ns: its intended time; same length.
        alive_key: of each sign of life.
        alive_ns: its time; same length.
        until_ns: end of the schedule.
    """
    sends = len(key)
    keys, times = np.concatenate([key, alive_key]), np.concatenate([intended_ns, alive_ns])
    order = np.lexsort((np.arange(len(keys)) >= sends, times, keys))  # at equal times the send comes first
    keys, times, is_send = keys[order], times[order], order < sends
    # Walking backwards, the last sign of life seen is the next one in time; it counts if it is of the same key.
    places = np.where(is_send, len(keys), np.arange(len(keys)))
    following = np.minimum.accumulate(places[::-1])[::-1][is_send]
    found = following < len(keys)
    found[found] = keys[following[found]] == keys[is_send][found]
    ends = np.maximum(np.full(sends, until_ns, np.int64), times[is_send])
    ends[found] = times[following[found]]
    return Silences(keys[is_send], times[is_send], ends)


def outage(
    where: str, found: Silences, *, keys: int, t0_ns: int, usual_ns: int, control_ns: int | None, at_ns: int = 0
) -> Outage | None:
    """The longest silence of a fault's share of the run, less what is usual.

    Args:
        where: channel, or channel.reader.
        found: the silences that are the fault's.
        keys: how many keys had sends intended.
        t0_ns: what seconds are relative to.
        usual_ns: a key is hit when its own longest silence exceeds this.
        control_ns: the control run's longest silence; None without a control run.
        at_ns: the injection.

    Returns:
        None where no send was intended at all.
    """
    if not keys:
        return None
    if not len(found.key):  # every key was silent before, and the silence is that of another fault
        return Outage(
            where=where,
            longest_s=0.0,
            control_s=None if control_ns is None else control_ns / 1e9,
            outage_s=None if control_ns is None else 0.0,
            keys_hit=0.0,
            from_s=(at_ns - t0_ns) / 1e9,
            to_s=(at_ns - t0_ns) / 1e9,
        )
    lengths = found.to_ns - found.from_ns
    worst = int(lengths.argmax())
    hit = len(np.unique(found.key[lengths > usual_ns]))
    return Outage(
        where=where,
        longest_s=int(lengths[worst]) / 1e9,
        control_s=None if control_ns is None else control_ns / 1e9,
        outage_s=None if control_ns is None else max(0, int(lengths[worst]) - control_ns) / 1e9,
        keys_hit=hit / keys,
        from_s=(int(found.from_ns[worst]) - t0_ns) / 1e9,
        to_s=(int(found.to_ns[worst]) - t0_ns) / 1e9,
    )
