from __future__ import annotations

import numpy as np

from crep.harness.metrics.histogram import Histogram
from crep.harness.monitor.lateness import SECONDS, RecentLateness


def histogram(milliseconds: float, count: int) -> Histogram:
    made = Histogram()
    made.record(np.full(count, round(milliseconds * 1e6), np.int64))
    return made


def test_nothing_is_said_without_samples() -> None:
    assert RecentLateness().text() == ""


def test_the_seconds_of_several_clients_are_taken_together() -> None:
    recent = RecentLateness()
    for second in range(3):
        recent.add(second, histogram(1.0, 250))
        recent.add(second, histogram(1.0, 250))
    assert recent.text() == "p99 1.0 ms"


def test_few_samples_show_their_maximum_instead_of_a_percentile() -> None:
    recent = RecentLateness()
    recent.add(0, histogram(1.0, 99))
    recent.add(1, histogram(40.0, 1))
    assert recent.text() == "max 40.0 ms"


def test_what_is_older_than_the_last_seconds_is_forgotten() -> None:
    recent = RecentLateness()
    recent.add(0, histogram(500.0, 2000))
    recent.add(SECONDS, histogram(1.0, 2000))
    assert recent.text() == "p99 1.0 ms"
    recent.add(0, histogram(500.0, 2000))
    assert recent.text() == "p99 1.0 ms", "a late word about an old second"
