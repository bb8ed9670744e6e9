"""The histogram against exact sorting, and its buckets against HdrHistogram's own formula, written out per value."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crep.harness.metrics.histogram import Histogram, bucket_of, upper_bound

NANOSECONDS = st.integers(min_value=1, max_value=2**62)
SAMPLES = st.lists(st.integers(min_value=-(10**9), max_value=2**62), max_size=300)


def of(values: list[int]) -> Histogram:
    histogram = Histogram()
    histogram.record(np.array(values, np.int64))
    return histogram


def hdr_index(value: int) -> int:
    """``AbstractHistogram.countsArrayIndex`` with 2,048 sub-buckets and a lowest value of 1."""
    bucket = max(0, value.bit_length() - 11)
    return ((bucket + 1) << 10) + (value >> bucket) - 1024


@given(NANOSECONDS)
def test_a_value_falls_into_the_bucket_that_hdrhistogram_gives_it(value: int) -> None:
    assert bucket_of(np.array([value]))[0] == hdr_index(value)


@given(NANOSECONDS)
def test_a_bucket_is_at_most_a_thousandth_wide_and_ends_at_its_upper_bound(value: int) -> None:
    bucket = bucket_of(np.array([value]))
    upper = int(upper_bound(bucket)[0])
    assert value <= upper <= value + value // 1024
    assert bucket_of(np.array([upper]))[0] == bucket[0]
    assert bucket_of(np.array([upper + 1]))[0] == bucket[0] + 1


@given(SAMPLES, SAMPLES)
def test_merging_loses_nothing(some: list[int], others: list[int]) -> None:
    merged = of(some)
    merged.merge(of(others))
    together = of(some + others)
    assert [part.tolist() for part in merged.sparse()] == [part.tolist() for part in together.sparse()]
    assert merged.count == len(some) + len(others)


@given(SAMPLES)
def test_every_figure_survives_the_sparse_form(values: list[int]) -> None:
    histogram = of(values)
    again = Histogram.from_sparse(*histogram.sparse())
    for name in ("count", "non_positive", "max_ns", "mean_ns"):
        assert getattr(again, name) == getattr(histogram, name)
    assert again.percentile_ns(50) == histogram.percentile_ns(50)


def test_windows_laid_end_to_end_add_up() -> None:
    first, second = of([5, 7_000, 7_000]).sparse(), of([5, 9]).sparse()
    joined = Histogram.from_sparse(*(np.concatenate(parts) for parts in zip(first, second, strict=True)))
    assert [part.tolist() for part in joined.sparse()] == [
        part.tolist() for part in of([5, 5, 9, 7_000, 7_000]).sparse()
    ]


@given(
    st.lists(st.integers(1, 10**12), min_size=11, max_size=400), st.sampled_from([1.0, 25.0, 50.0, 90.0, 99.0, 99.9])
)
def test_a_percentile_is_the_nearest_rank_within_a_thousandth(values: list[int], percent: float) -> None:
    rank = math.ceil(round(percent * 10) * len(values) / 1000)
    got = of(values).percentile_ns(percent)
    if len(values) - rank < 10:
        assert got is None
    else:
        exact = sorted(values)[rank - 1]
        assert got is not None
        assert exact <= got <= exact * (1 + 1 / 1024)


@pytest.mark.parametrize(
    ("samples", "percent", "printed"),
    [(19, 50, False), (20, 50, True), (999, 99, False), (1000, 99, True), (9_999, 99.9, False), (10_000, 99.9, True)],
)
def test_a_percentile_needs_ten_samples_beyond_it(samples: int, percent: float, printed: bool) -> None:
    assert (of(list(range(1, samples + 1))).percentile_ns(percent) is not None) is printed


def test_samples_not_above_zero_are_counted_and_shown() -> None:
    histogram = of([-5, 0, 1, 2])
    assert (histogram.count, histogram.non_positive) == (4, 2)


def test_nothing_recorded_has_no_figures() -> None:
    empty = of([])
    assert (empty.count, empty.max_ns, empty.mean_ns, empty.percentile_ns(50)) == (0, None, None, None)


def test_the_maximum_is_never_clipped() -> None:
    assert of([3, 3_600 * 10**9 * 24]).max_ns == pytest.approx(86_400 * 10**9, rel=1e-3)


def test_the_mean_lies_within_the_resolution() -> None:
    values = [1, 10_000, 1_000_000, 123_456_789]
    assert of(values).mean_ns == pytest.approx(sum(values) / 4, rel=1e-3)


@pytest.mark.parametrize("percent", [0, 100, -1, 101])
def test_a_percentile_outside_of_its_range_is_refused(percent: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 100"):
        of([1]).percentile_ns(percent)


@given(SAMPLES, st.integers(min_value=1, max_value=2**40))
def test_a_share_above_a_limit_is_exact_to_a_bucket_and_never_too_high(values: list[int], limit: int) -> None:
    share = of(values).share_above(limit)
    if not values:
        assert share is None
        return
    assert share is not None
    assert sum(value > limit + limit // 1024 for value in values) / len(values) <= share
    assert share <= sum(value > limit for value in values) / len(values)
