"""What is exported is what HdrHistogram's own readers read: checked with another implementation of the format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader
from hypothesis import given, settings
from hypothesis import strategies as st

from crep.harness.metrics.hdr import encode, log
from crep.harness.metrics.histogram import Histogram

HOUR_NS = 3_600_000_000_000


def recorded(values: list[int]) -> Histogram:
    histogram = Histogram()
    histogram.record(np.array(values, np.int64))
    return histogram


@given(st.lists(st.integers(0, HOUR_NS), min_size=1, max_size=200))
@settings(deadline=None, max_examples=50)
def test_another_reader_finds_every_sample_in_its_bucket(values: list[int]) -> None:
    histogram = recorded(values)
    read = HdrHistogram.decode(encode(histogram))
    assert read.get_total_count() == len(values)
    assert read.get_max_value() == histogram.max_ns
    theirs = HdrHistogram(1, max(2, *values), 3)
    for value in values:
        theirs.record_value(value)
    for percent in (1, 50, 90, 99, 100):
        assert read.get_value_at_percentile(percent) == theirs.get_value_at_percentile(percent)


@pytest.mark.parametrize("count", [1, 63, 64, 8191, 8192, 1 << 20, 1 << 40])
def test_counts_of_any_length_survive(count: int) -> None:
    histogram = Histogram.from_sparse(np.array([7, 3000], np.uint32), np.array([1, count], np.uint64))
    assert HdrHistogram.decode(encode(histogram)).get_total_count() == count + 1


def test_the_log_is_read_line_by_line_with_its_tags(tmp_path: Path) -> None:
    path = tmp_path / "run.hlog"
    path.write_text(
        log(
            1_767_322_999.5,
            [
                ("latency orders.billing", 0.0, 30.0, recorded([1000, 2_000_000])),
                ("lateness", 0.0, 30.0, recorded([5])),
            ],
        )
    )
    reader = HistogramLogReader(str(path), HdrHistogram(1, HOUR_NS, 3))
    first, second = reader.get_next_interval_histogram(), reader.get_next_interval_histogram()
    assert (first.get_tag(), second.get_tag()) == ("latency_orders.billing", "lateness")
    assert (first.get_total_count(), second.get_total_count()) == (2, 1)
    assert first.get_max_value() == pytest.approx(2_000_000, rel=0.001)
    assert reader.get_next_interval_histogram() is None
    assert reader.get_start_time_sec() == pytest.approx(1_767_322_999.5)


def test_no_sample_is_an_empty_histogram() -> None:
    assert HdrHistogram.decode(encode(Histogram())).get_total_count() == 0
