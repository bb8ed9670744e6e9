from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crep.harness.proxy.delay import BURST_S, DelayLine, TokenBucket, delay
from crep.harness.proxy.rules import Latency


def test_a_bucket_lets_a_burst_pass_and_then_its_rate() -> None:
    bucket = TokenBucket(1000.0)
    burst = int(1000 * BURST_S)
    assert bucket.take(10.0, burst) == 10.0
    assert bucket.take(10.0, 100) == pytest.approx(10.1)
    assert bucket.take(10.0, 100) == pytest.approx(10.2)


def test_a_bucket_does_not_save_more_than_its_burst() -> None:
    bucket = TokenBucket(1000.0)
    bucket.take(0.0, 100)
    assert bucket.take(1000.0, 1000) == pytest.approx(1000.0 + 1.0 - BURST_S)


@given(
    rate=st.floats(1e3, 1e9),
    taken=st.lists(st.tuples(st.floats(0, 0.01), st.integers(1, 100_000)), min_size=1, max_size=50),
)
def test_no_bucket_passes_more_than_its_rate_and_a_burst(rate: float, taken: list[tuple[float, int]]) -> None:
    bucket, now, total = TokenBucket(rate), 0.0, 0
    for later, size in taken:
        now += later
        total += size
        passed = bucket.take(now, size)
        assert passed >= now
        assert total <= rate * (passed + BURST_S) * 1.000001 + 1


@pytest.mark.parametrize(("rate", "size"), [(1.0, 1), (1000.0, 20), (1e6, 20_000)])
def test_a_slice_is_small_enough_for_turns_and_never_nothing(rate: float, size: int) -> None:
    assert TokenBucket(rate).slice == size


def test_delays_add_up_and_jitter_keeps_its_bounds() -> None:
    dice = random.Random(1)
    assert delay([Latency(0.02), Latency(0.01)], dice) == pytest.approx(0.03)
    drawn = [delay([Latency(0.02, 0.002)], dice) for _ in range(1000)]
    assert 0.018 <= min(drawn) < 0.0185
    assert 0.0215 < max(drawn) <= 0.022


@given(
    st.lists(st.tuples(st.floats(0, 100), st.binary(min_size=1, max_size=20)), max_size=10),
    st.lists(st.integers(1, 20), min_size=1, max_size=10),
)
def test_a_line_keeps_order_and_bytes_however_it_is_emptied(
    chunks: list[tuple[float, bytes]], taken: list[int]
) -> None:
    takes = itertools.cycle(taken)
    line = DelayLine()
    for due, chunk in chunks:
        line.push(due, memoryview(chunk))
    got, last = b"", float("-inf")
    while line:
        due, head = line.head()
        assert head is not None
        assert due >= last
        last = due
        sent = min(next(takes), len(head))
        got += head[:sent]
        line.pop(sent)
    assert got == b"".join(chunk for _, chunk in chunks)
    assert line.cost == 0


def test_the_end_comes_behind_the_last_byte() -> None:
    line = DelayLine()
    line.push(5.0, memoryview(b"last"))
    line.push(1.0, None)
    line.pop()
    assert line.head() == (5.0, None)


def test_a_line_without_content_costs_nothing() -> None:
    line = DelayLine()
    line.push(0.0, memoryview(b"some"))
    line.clear()
    assert not line
    assert line.cost == 0
