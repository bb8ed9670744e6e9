"""The statistics, held against scipy's: an oracle of the tests, and no part of crep."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from crep.harness.checks.statistics import paired_ratio, student_two_sided


@given(st.floats(-50, 50), st.integers(1, 60))
@settings(deadline=None)
def test_students_distribution_is_scipys(t: float, degrees: int) -> None:
    assert student_two_sided(t, degrees) == pytest.approx(2 * stats.t.sf(abs(t), degrees), rel=1e-6, abs=1e-12)


def a_pair_of_series(seed: int, repetitions: int, truth: float) -> tuple[list[float], list[float]]:
    noise = np.random.default_rng(seed)
    left, right = (np.exp(noise.normal(0, 0.2, repetitions)) for _ in range(2))
    return (truth * left).tolist(), right.tolist()


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("repetitions", [5, 8, 20])
def test_the_paired_test_on_the_logarithms_is_scipys(seed: int, repetitions: int) -> None:
    a, b = a_pair_of_series(seed, repetitions, truth=1.2)
    expected = stats.ttest_rel(np.log(a), np.log(b)).pvalue
    assert paired_ratio(a, b).p_value == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_the_interval_is_the_percentile_bootstrap_of_scipy(seed: int) -> None:
    """Medians of few pairs take few values, so that two random streams give the same bounds or neighbouring ones."""
    a, b = a_pair_of_series(seed, 9, truth=1.5)
    ratios = np.asarray(a) / np.asarray(b)
    expected = stats.bootstrap(
        (ratios,), np.median, n_resamples=20_000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    found = paired_ratio(a, b)
    assert found.low is not None
    assert found.high is not None
    step = float(np.diff(np.sort(ratios)).max())
    assert math.isclose(found.low, expected.low, abs_tol=step)
    assert math.isclose(found.high, expected.high, abs_tol=step)


def test_an_outlier_stays_in_every_figure() -> None:
    """Nothing is dropped: one run that is ten times as slow widens the interval and raises the p value."""
    a, b = a_pair_of_series(3, 8, truth=2.0)
    spoiled = [*a[:-1], a[-1] / 10]
    calm, wild = paired_ratio(a, b), paired_ratio(spoiled, b)
    assert calm.repetitions == wild.repetitions == 8
    assert calm.p_value is not None
    assert wild.p_value is not None
    assert wild.p_value > calm.p_value
