from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crep.harness.workers.clock import PLANTED, ClockReading, RoundTrip, error_of_use, planted_ns, reading

MS = 1_000_000
delays = st.integers(0, 10_000 * MS)


def a_trip(ahead_ns: int, there_ns: int, thinking_ns: int, back_ns: int, sent_ns: int = 5_000 * MS) -> RoundTrip:
    """A round trip to a clock that is really ahead by so much."""
    arrives = sent_ns + there_ns
    leaves = arrives + thinking_ns
    return RoundTrip(sent_ns, arrives + ahead_ns, leaves + ahead_ns, leaves + back_ns)


@given(st.integers(-(10**15), 10**15), st.lists(st.tuples(delays, delays, delays), min_size=1, max_size=20))
def test_the_true_difference_is_within_the_stated_error_however_unequal_the_ways_are(
    ahead_ns: int, trips: list[tuple[int, int, int]]
) -> None:
    read = reading(a_trip(ahead_ns, *trip) for trip in trips)
    assert abs(read.ahead_ns - ahead_ns) <= read.error_ns
    assert read.error_ns <= min((there + back + 1) // 2 for there, _, back in trips)


def test_the_shortest_round_trip_is_believed() -> None:
    slow, quick = a_trip(50 * MS, 30 * MS, 0, 2 * MS), a_trip(50 * MS, MS, 7 * MS, MS)
    assert reading([slow, quick, slow]) == ClockReading(50 * MS, MS)


def test_what_the_clock_drifted_until_the_end_is_part_of_the_error() -> None:
    used = ClockReading(50 * MS, MS)
    assert error_of_use(used, []) == MS
    assert error_of_use(used, [ClockReading(50 * MS, 2 * MS), ClockReading(47 * MS, MS)]) == 4 * MS


def test_without_a_round_trip_nothing_is_known() -> None:
    with pytest.raises(ValueError, match="empty"):
        reading([])


def test_a_planted_difference_is_for_tests_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PLANTED, raising=False)
    assert planted_ns() == 0
    monkeypatch.setenv(PLANTED, "50 ms")
    assert planted_ns() == 50 * MS
