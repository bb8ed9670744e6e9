"""From the figures of single rounds to medians and ratios. Pure.

A round measures each of its subjects once, shortly after one another, so that a ratio within a round compares what ran
under the same conditions; the ratios of all rounds are then summarised, never a ratio of summaries.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Spread:
    """Figures of several rounds: the median and the whole range, for there are too few for anything finer."""

    median: float
    lowest: float
    highest: float
    rounds: int

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread | None:
        """None without a value."""
        figures = tuple(values)
        return cls(median(figures), min(figures), max(figures), len(figures)) if figures else None


@dataclass(frozen=True)
class Round:
    """One round of one comparison, messages per second; None: not measured. ``no_op`` is the engine's ceiling."""

    engine: float | None = None
    bare: float | None = None
    no_op: float | None = None


@dataclass(frozen=True)
class Comparison:
    """The engine, the bare client loop and the engine on the no-op broker at the same work, round by round."""

    broker: str
    emulated: bool
    work: str  # publish | receive
    size: int  # bytes of payload
    count: int  # messages in each measurement
    rounds: tuple[Round, ...]

    @property
    def engine(self) -> Spread | None:
        """Messages per second of the engine with every check on."""
        return Spread.of(one.engine for one in self.rounds if one.engine is not None)

    @property
    def bare(self) -> Spread | None:
        """Messages per second of the bare loop."""
        return Spread.of(one.bare for one in self.rounds if one.bare is not None)

    @property
    def no_op(self) -> Spread | None:
        """Messages per second of the engine on the no-op broker."""
        return Spread.of(one.no_op for one in self.rounds if one.no_op is not None)

    @property
    def to_bare(self) -> Spread | None:
        """Engine over bare loop, within each round."""
        return Spread.of(one.engine / one.bare for one in self.rounds if one.engine is not None and one.bare)

    @property
    def of_ceiling(self) -> Spread | None:
        """Engine over no-op broker, within each round; above 0.7 the client bounds the rate (METHOD rule 8)."""
        return Spread.of(one.engine / one.no_op for one in self.rounds if one.engine is not None and one.no_op)


@dataclass(frozen=True)
class Punctuality:
    """One round at a fixed rate: how late messages were handed over, milliseconds, over the measured part."""

    p50_ms: float
    p99_ms: float
    max_ms: float
    processor: float  # publishing engine's share of one core


@dataclass(frozen=True)
class Schedule:
    """A fixed rate on one broker, round by round."""

    broker: str
    emulated: bool
    rate: int  # messages per second
    size: int
    rounds: tuple[Punctuality, ...]

    def spread(self, figure: str) -> Spread | None:
        """Of ``p50_ms``, ``p99_ms``, ``max_ms`` or ``processor``."""
        return Spread.of(getattr(one, figure) for one in self.rounds)


@dataclass(frozen=True)
class Bench:
    """All that was measured, and what could not be (with the reason)."""

    comparisons: tuple[Comparison, ...]
    schedules: tuple[Schedule, ...]
    failures: tuple[str, ...]


def turns(parties: Sequence[Any], number: int) -> list[Any]:
    """The order of round ``number`` (from 0): each comes first in turn, so that none always finds warm caches."""
    first = number % len(parties)
    return [*parties[first:], *parties[:first]]
