from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from crep.harness.load.meter import SECOND_NS, Meter

T0 = 5_000_000_000_000
TIMES = st.lists(st.integers(-30 * SECOND_NS, 30 * SECOND_NS), max_size=50)


def at(times: list[int]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return T0 + np.array(times, np.int64)


@settings(deadline=None)
@given(st.lists(TIMES, max_size=5))
def test_counters_go_by_the_second_of_the_event(batches: list[list[int]]) -> None:
    meter = Meter(T0)
    for times in batches:
        meter.count("received", at(times))
    counted = {second: dict(measured.counters) for second, measured in meter.take().items()}
    expected = Counter(time // SECOND_NS for times in batches for time in times)
    assert counted == {second: {"received": amount} for second, amount in sorted(expected.items())}
    assert list(counted) == sorted(counted)


@settings(deadline=None)
@given(st.lists(TIMES, max_size=5))
def test_samples_go_by_the_second_in_which_the_message_was_intended(batches: list[list[int]]) -> None:
    meter = Meter(T0)
    for intended in batches:
        meter.observe("latency", at(intended), np.full(len(intended), 1_000, np.int64))
    counts = {second: measured.histograms["latency"].count for second, measured in meter.take().items()}
    assert counts == Counter(time // SECOND_NS for times in batches for time in times)


def test_many_samples_are_digested_before_they_are_taken_and_none_is_lost() -> None:
    meter = Meter(T0)
    for _ in range(300):
        meter.observe("latency", at(list(range(100))), np.arange(100, dtype=np.int64))
    assert meter.take()[0].histograms["latency"].count == 30_000


def test_what_was_taken_is_not_told_again() -> None:
    meter = Meter(T0)
    meter.add("cpu_ns", T0 - 1, 7)
    assert {second: measured.counters["cpu_ns"] for second, measured in meter.take().items()} == {-1: 7}
    assert meter.take() == {}
