"""How far a worker's clock is ahead of the master's, from round trips between them (METHOD rule 3).

::

    master   sent ──────┐                   ┌──► returned     ahead = ((received − sent) + (answered − returned)) / 2
    worker              └─► received answered                 error = ((returned − sent) − (answered − received)) / 2

Each way takes at least no time, so the true value is in ahead ± error, however unequal the two ways are; the round trip
that was shortest says most (the clock filter of NTP, RFC 5905 section 10).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

from crep.harness.config.units import parse_duration

PLANTED = "CREP_TEST_CLOCK_AHEAD"
"""Environment variable, for tests: this worker's clock is said to show so much more (``50 ms``) than it does."""


@dataclass(frozen=True)
class RoundTrip:
    """One word and its answer, CLOCK_MONOTONIC ns: ``sent``, ``returned`` by the master's clock, else the worker's."""

    sent_ns: int
    received_ns: int
    answered_ns: int
    returned_ns: int

    @property
    def length_ns(self) -> int:
        """Time under way, there and back."""
        return (self.returned_ns - self.sent_ns) - (self.answered_ns - self.received_ns)

    @property
    def ahead_ns(self) -> int:
        """What the worker's clock shows more than the master's, if both ways took equally long."""
        return ((self.received_ns - self.sent_ns) + (self.answered_ns - self.returned_ns)) // 2


@dataclass(frozen=True)
class ClockReading:
    """The worker's clock is ahead by ``ahead_ns``, give or take ``error_ns``; a bound, no standard deviation."""

    ahead_ns: int
    error_ns: int


def reading(trips: Iterable[RoundTrip]) -> ClockReading:
    """What the shortest round trip says.

    Raises:
        ValueError: there is none.
    """
    shortest = min(trips, key=lambda trip: trip.length_ns)
    return ClockReading(shortest.ahead_ns, (shortest.length_ns + 1) // 2)


def error_of_use(used: ClockReading, later: Iterable[ClockReading]) -> int:
    """Bound, in ns, of the error of using ``used`` from then until the last of ``later``, by what drifted meanwhile."""
    return max([used.error_ns, *(abs(one.ahead_ns - used.ahead_ns) + one.error_ns for one in later)])


def planted_ns() -> int:
    """What a test wants this worker's clock to show more than it does; else 0."""
    text = os.environ.get(PLANTED)
    return round(parse_duration(text) * 1e9) if text else 0
