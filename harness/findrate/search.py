"""Where to probe next, and what the probes say: pure functions of the probes so far.

The rate is doubled until one fails, then the bracket (highest rate held, lowest rate failed) is halved on a logarithmic
scale until its ends are within the tolerance. Near capacity a probe is a toss: so a bracket counts as found only when
each of its ends was probed ``confirm`` times and the majority agrees; a tie is probed once more, and an end that turns
out otherwise moves the bracket, up or down. Every probe is kept and, but for a disturbed one, counts: that is repeated,
and counts only when the same rate was disturbed ``DISTURBED_MOST`` times, which is no accident.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto

DISTURBED_MOST = 3


@dataclass(frozen=True)
class Probe:
    """One run at ``rate`` (messages per second): whether the rate was held, and what gave way where it was not.

    ``disturbed``: it was not held, and that says nothing of the brokers.
    """

    rate: float
    held: bool
    gave_way: tuple[str, ...] = ()
    disturbed: bool = False


@dataclass(frozen=True)
class Bounds:
    """Where to search, and how finely.

    ``start``: the first rate probed; ``least`` and ``most``: nothing outside is probed. ``tolerance``: the bracket's
    ends differ by this share at the end. ``confirm``: probes that each end needs. ``probes``: the search ends after as
    many, found or not.
    """

    start: float
    least: float
    most: float
    tolerance: float = 0.04
    confirm: int = 2
    probes: int = 40

    def __post_init__(self) -> None:
        if not 0 < self.least <= self.start <= self.most:
            raise ValueError(f"0 < least ≤ start ≤ most does not hold: {self.least:g}, {self.start:g}, {self.most:g}")
        if not 0 < self.tolerance < 1 or self.confirm < 1 or self.probes < 1:
            raise ValueError("the tolerance lies between 0 and 1, confirm and probes are at least 1")


class Ended(Enum):
    """Why a search has ended."""

    FOUND = auto()
    NEVER_HELD = auto()  # not even the least rate
    NEVER_FAILED = auto()  # not even at the most
    OUT_OF_PROBES = auto()


@dataclass(frozen=True)
class Result:
    """What a search found.

    ``highest_held`` is the answer; the capacity lies between it and ``lowest_failed`` (None where nothing held, or
    nothing failed). ``gave_way``: the criteria that failed at the upper end, most frequent first, with their counts.
    """

    ended: Ended
    highest_held: float | None
    lowest_failed: float | None
    gave_way: tuple[tuple[str, int], ...]
    probes: tuple[Probe, ...]


@dataclass(frozen=True)
class _Rate:
    """All probes at one rate."""

    rate: float
    held: int
    failed: int

    @property
    def probed(self) -> int:
        return self.held + self.failed

    @property
    def holds(self) -> bool | None:
        """By majority; None for a tie."""
        return None if self.held == self.failed else self.held > self.failed


def next_rate(probes: Sequence[Probe], bounds: Bounds) -> float | None:
    """Return the rate to probe now, or None when the search has ended (:func:`result` says how)."""
    if len(probes) >= bounds.probes:
        return None
    if not probes:
        return bounds.start
    if not _counts(probes[-1], probes):
        return probes[-1].rate
    low, high, tied = _bracket(probes)
    if tied is not None:
        return tied
    further = _further(low, high, bounds)
    if further is not None:
        return further
    return next((end.rate for end in (low, high) if end is not None and end.probed < bounds.confirm), None)


def _further(low: _Rate | None, high: _Rate | None, bounds: Bounds) -> float | None:
    """Return a rate that widens or narrows the bracket, None where there is nothing left to do."""
    if high is None:
        assert low is not None  # noqa: S101  # one of the two was probed
        return min(low.rate * 2, bounds.most) if low.rate < bounds.most else None
    if low is None:
        return max(high.rate / 2, bounds.least) if high.rate > bounds.least else None
    return math.sqrt(low.rate * high.rate) if high.rate > low.rate * (1 + bounds.tolerance) else None


def result(probes: Sequence[Probe], bounds: Bounds) -> Result:
    """Return what the probes say, also of a search that was cut short."""
    low, high, _ = _bracket(probes)
    if next_rate(probes, bounds) is not None or _open_end(probes, bounds):
        ended = Ended.OUT_OF_PROBES
    elif low is None:
        ended = Ended.NEVER_HELD
    else:
        ended = Ended.NEVER_FAILED if high is None else Ended.FOUND
    failing = [probe for probe in probes if high is not None and probe.rate == high.rate and not probe.held]
    reasons = Counter(reason for probe in failing for reason in probe.gave_way)
    return Result(
        ended=ended,
        highest_held=low.rate if low is not None else None,
        lowest_failed=high.rate if high is not None else None,
        gave_way=tuple(reasons.most_common()),
        probes=tuple(probes),
    )


def _open_end(probes: Sequence[Probe], bounds: Bounds) -> bool:
    """The search would go on if it had more probes."""
    more = Bounds(**{**bounds.__dict__, "probes": len(probes) + 1})
    return next_rate(probes, more) is not None


def _bracket(probes: Sequence[Probe]) -> tuple[_Rate | None, _Rate | None, float | None]:
    """Return (highest rate held below every failing one, lowest rate failing, a rate in between that is a tie)."""
    rates = sorted(_rates(probes), key=lambda one: one.rate)
    high = next((one for one in rates if one.holds is False), None)
    below = [one for one in rates if high is None or one.rate < high.rate]
    tied = next((one.rate for one in below if one.holds is None), None)
    held = [one for one in below if one.holds]
    return (held[-1] if held else None), high, tied


def _counts(probe: Probe, probes: Sequence[Probe]) -> bool:
    """Whether a probe counts: it was not disturbed, or its rate was too often."""
    return not probe.disturbed or sum(one.disturbed and one.rate == probe.rate for one in probes) >= DISTURBED_MOST


def _rates(probes: Sequence[Probe]) -> Iterator[_Rate]:
    counted = [probe for probe in probes if _counts(probe, probes)]
    held = Counter(probe.rate for probe in counted if probe.held)
    failed = Counter(probe.rate for probe in counted if not probe.held)
    for rate in held.keys() | failed.keys():
        yield _Rate(rate, held[rate], failed[rate])
