"""Paired comparisons: no winner from noise, a winner from a real difference, none from too few pairs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crep.harness.checks.statistics import PairedRatio, holm, paired_ratio, student_two_sided, winners


def noisy_pairs(count: int, repetitions: int, truth: float, noise: float = 0.2) -> list[PairedRatio]:
    """Comparisons of two targets whose true ratio is ``truth``."""
    draw = np.random.default_rng(3)
    a = truth * 100 * np.exp(draw.normal(0, noise, (count, repetitions)))
    b = 100 * np.exp(draw.normal(0, noise, (count, repetitions)))
    return [paired_ratio(x.tolist(), y.tolist()) for x, y in zip(a, b, strict=True)]


def share_of_winners(comparisons: list[PairedRatio]) -> float:
    return sum(winners([one])[0] for one in comparisons) / len(comparisons)


def test_equal_targets_rarely_get_a_winner_at_five_repetitions() -> None:
    assert share_of_winners(noisy_pairs(400, 5, truth=1.0)) < 0.08


def test_a_report_of_many_comparisons_of_equal_targets_rarely_names_any() -> None:
    comparisons = noisy_pairs(400, 5, truth=1.0)
    reports = [comparisons[start : start + 10] for start in range(0, 400, 10)]
    assert sum(any(winners(report)) for report in reports) <= 5


def test_a_target_that_is_twice_as_slow_nearly_always_loses() -> None:
    assert share_of_winners(noisy_pairs(100, 5, truth=2.0)) > 0.9


def test_below_five_repetitions_there_is_no_interval_and_no_winner() -> None:
    one = paired_ratio([10.0] * 4, [1.0] * 4)
    assert (one.median, one.low, one.high, one.p_value) == (10.0, None, None, None)
    assert winners([one]) == [False]


def test_the_interval_is_the_same_every_time_and_holds_the_median() -> None:
    a, b = [3.0, 4.0, 5.0, 4.5, 3.5], [1.0, 1.1, 0.9, 1.2, 1.0]
    one = paired_ratio(a, b)
    assert one == paired_ratio(a, b)
    assert one.low is not None
    assert one.high is not None
    assert one.low <= one.median <= one.high
    inverse = paired_ratio(b, a)
    assert inverse.median == pytest.approx(1 / one.median)
    assert inverse.p_value == pytest.approx(one.p_value)


def test_pairs_must_match_and_be_positive() -> None:
    with pytest.raises(ValueError, match="same length"):
        paired_ratio([1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="above 0"):
        paired_ratio([0.0], [1.0])


@pytest.mark.parametrize(
    ("t", "degrees"),
    [(12.706, 1), (4.303, 2), (3.182, 3), (2.776, 4), (2.571, 5), (2.262, 9), (2.228, 10), (2.045, 29)],
)
def test_students_distribution_agrees_with_the_printed_table_at_five_percent(t: float, degrees: int) -> None:
    assert student_two_sided(t, degrees) == pytest.approx(0.05, abs=1e-4)
    assert student_two_sided(-t, degrees) == student_two_sided(t, degrees)
    assert student_two_sided(0, degrees) == pytest.approx(1)


def test_holm_multiplies_the_smallest_most() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_never_lowers_a_p_value_and_keeps_their_order(values: list[float]) -> None:
    adjusted = holm(values)
    assert all(a >= v and a <= 1 for a, v in zip(adjusted, values, strict=True))
    ordered = [adjusted[i] for i in sorted(range(len(values)), key=values.__getitem__)]
    assert ordered == sorted(ordered)
