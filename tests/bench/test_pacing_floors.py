from __future__ import annotations

from bench.pacing import MOST_LATE_MS, Pace, figures, measure
from bench.summary import Punctuality


def pace(rate: int, p99_ms: float) -> Pace:
    return Pace(rate, Punctuality(0.1, p99_ms, 5.0, 0.4), 0.05)


def test_the_median_round_is_held_to_its_rate_s_floor() -> None:
    punctual = [pace(rate, most) for rate, most in MOST_LATE_MS.items()]
    late = [pace(10_000, 0.6), pace(10_000, 0.7)]
    assert [one.ok for one in figures(punctual)] == [True, True, True]
    assert [one.ok for one in figures(punctual + late)] == [True, False, True]


def test_a_rate_without_a_round_is_not_measured() -> None:
    assert [one.value for one in figures([pace(1_000, 0.1)])] == [0.1, None, None]


def test_engine_and_bare_loop_are_measured_at_the_same_rate() -> None:
    found = measure(1_000)
    assert found.rate == 1_000
    assert found.engine.p99_ms > 0
    assert found.loop_p99_ms > 0
