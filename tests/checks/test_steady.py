"""Series are drawn: one column a second, height 0 to 9, one line of text."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from crep.harness.checks.evaluate import evaluate
from crep.harness.checks.steady import Cut, Second, critical, find_cut, judge, latencies, steadiness
from crep.harness.metrics.histogram import Histogram
from tests.checks.simulated import SimulatedRun, a_plan

TOLERANCE = 0.5
Series = NDArray[np.float64]


def drawn(text: str) -> Series:
    return np.array([float(height) for height in text])


@pytest.mark.parametrize(
    ("series", "cut"),
    [
        # a constant needs no warm-up
        ("555555555555555555555555555555", Cut(0, steady=True)),
        # noise has some best place to cut, and is left alone
        ("564556454565546545654556465455", Cut(0, steady=True)),
        # from high to low, as a cold start does
        ("998765555545555565555455555565", Cut(5, steady=True)),
        # and longer
        ("999988877666545554555565545555", Cut(10, steady=True)),
        # from low to high: a rate that comes up
        ("011235555565554555555455565555", Cut(5, steady=True)),
        # one bad second is no change of state
        ("555455595555455555565554555555", Cut(0, steady=True)),
        # it goes up and up, as where the backlog grows
        ("111122223333444455556666777788", Cut(25, steady=False)),
        # it changes its level late
        ("555455565455555654889898989888", Cut(0, steady=False)),
    ],
)
def test_a_drawn_series_is_cut_where_it_becomes_steady(series: str, cut: Cut) -> None:
    found = judge(drawn(series), TOLERANCE)
    assert found.steady == cut.steady
    if cut.steady:
        assert found.seconds == cut.seconds


def test_the_cut_lies_where_the_mean_of_the_rest_is_known_best() -> None:
    batches = np.array([9.0, 7.0, 5.0, 5.5, 5.0, 5.5])
    scores = [np.square(batches[d:] - batches[d:].mean()).sum() / (6 - d) ** 2 for d in range(5)]
    assert find_cut(np.repeat(batches, 5)) == 5 * int(np.argmin(scores)) == 10


@given(st.integers(0, 2**32 - 1), st.integers(20, 90), st.floats(0.05, 0.3))
@settings(max_examples=100, deadline=None)
def test_noise_below_the_tolerance_around_one_level_is_steady(seed: int, length: int, noise: float) -> None:
    """At most 0.3 of the tolerance: a median of five such values is six standard errors off once in 10⁹ times."""
    values = 10 + noise * np.random.default_rng(seed).standard_normal(length)
    assert judge(values, TOLERANCE * 2) == Cut(0, steady=True)


def ringing(length: int, series: int, correlation: float) -> Series:
    """Series of noise, one a row, whose values are correlated with the ones before."""
    steps = np.random.default_rng(20_250).standard_normal((series, length))
    values = steps.copy()
    for second in range(1, length):
        values[:, second] = correlation * values[:, second - 1] + math.sqrt(1 - correlation**2) * steps[:, second]
    return 10 + values


@pytest.mark.parametrize(("correlation", "at_most"), [(0.0, 0.002), (0.3, 0.015), (0.5, 0.05)])
@pytest.mark.parametrize("length", [20, 30, 90])
def test_noise_far_above_the_tolerance_is_called_unsteady_as_seldom_as_documented(
    length: int, correlation: float, at_most: float
) -> None:
    """The error rates of docs/method.md; the series are the same each time."""
    found = [judge(values, 0.05) for values in ringing(length, 3000, correlation)]
    assert np.mean([one != Cut(0, steady=True) for one in found]) <= at_most


def test_no_end_that_is_alike_by_chance_decides_what_is_usual() -> None:
    """The last ten values are much quieter than all others: with MSER over the whole series they were the measure."""
    noise = np.random.default_rng(8).standard_normal(80)
    values = 10 + np.concatenate([noise, np.full(10, 0.9)])
    assert find_cut(values) <= 45
    assert judge(values, 0.05) == Cut(0, steady=True)


@pytest.mark.parametrize(("degrees", "t"), [(10, 6.211), (30, 4.482), (120, 4.025)])  # tables of Student's t
def test_few_values_need_a_greater_difference(degrees: int, t: float) -> None:
    assert critical(degrees) == pytest.approx(t, abs=0.001)


@given(st.integers(0, 2**32 - 1), st.integers(5, 20))
@settings(max_examples=50, deadline=None)
def test_a_planted_start_is_found_within_a_step(seed: int, start: int) -> None:
    noise = np.random.default_rng(seed).standard_normal(60) * 0.1
    values = 10 + noise + np.where(np.arange(60) < start, 5.0, 0.0)
    found = judge(values, TOLERANCE)
    assert found.steady
    assert start - 2 <= found.seconds <= start + 5  # two of five seconds do not move a median


def second(receipts: int, milliseconds: float, samples: int | None = None) -> Second:
    latency = Histogram()
    latency.record(np.full(receipts if samples is None else samples, round(milliseconds * 1e6), np.int64))
    return Second(receipts, latency)


def test_a_second_has_its_p99_or_with_few_samples_its_median() -> None:
    mixed = Histogram()
    mixed.record(np.concatenate([np.full(1_950, 1_000_000), np.full(50, 9_000_000)]))
    few = Histogram()
    few.record(np.concatenate([np.full(195, 1_000_000), np.full(5, 9_000_000)]))
    nothing = Second(0, Histogram())
    values = np.exp(latencies([nothing, Second(2_000, mixed), Second(200, few), nothing])) / 1e6
    assert values.tolist() == pytest.approx([1e-6, 9, 1, 1], rel=0.01)


def judged(warm_up_ms: str, measured_ms: str, rate: int = 500, until_s: float | None = None) -> tuple[str, object]:
    text = warm_up_ms + measured_ms
    seconds = {i - len(warm_up_ms): second(rate, float(height) + 1) for i, height in enumerate(text)}
    found = steadiness(
        {"orders.billing": seconds}, warm_up_s=len(warm_up_ms), until_s=len(measured_ms) if until_s is None else until_s
    )
    return found.verdict, found.warm_up_s


def test_a_warm_up_that_was_long_enough_is_told_with_both_lengths() -> None:
    found = steadiness(
        {"orders.billing": {i: second(500, 9 if i < -6 else 2) for i in range(-10, 30)}}, warm_up_s=10, until_s=30
    )
    assert (found.verdict, found.warm_up_s, found.steady_s) == ("steady", 5, 30)
    assert (found.declared_warm_up_s, found.measured_s, found.disturbed) == (10, 30, False)
    assert found.text == "steady 5 s after the first send, of 10 s of warm-up; measured 30 s"
    assert [(one.metric, one.steady_from_s) for one in found.series] == [("rate", -10), ("latency", -5)]


def test_a_warm_up_that_was_too_short_is_told() -> None:
    assert judged("99999", "887651111111111111111111111111") == ("warm-up-too-short", 10)


def test_a_run_that_gets_slower_and_slower_never_becomes_steady() -> None:
    assert judged("00000", "001122334455667788991122334455"[:20]) == ("never-steady", None)


def test_a_run_that_is_too_short_is_not_judged() -> None:
    assert judged("000", "00000000") == ("not-judged", None)
    assert judged("00000", "000000000000000000000000000000", until_s=8.5) == ("not-judged", None)


def test_a_steady_run_is_told_so_by_its_own_records() -> None:
    found = evaluate(SimulatedRun(a_plan()), a_plan()).steadiness
    assert found is not None
    assert (found.verdict, found.warm_up_s, found.steady_s) == ("steady", 0, 30)
    assert {one.where for one in found.series} == {"orders.billing", "orders.screen"}


def test_a_run_that_slows_down_is_told_so_by_its_own_records() -> None:
    found = evaluate(SimulatedRun(a_plan(), slow_after_s=15), a_plan()).steadiness
    assert found is not None
    assert found.verdict == "never-steady"
    assert "latency of orders.billing" in found.text
    assert math.isclose(found.declared_warm_up_s, 3)
