from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crep.harness.scenario.assignment import Assignment, cycle_counts, parse_skew


def test_a_cycle_follows_zipfs_law() -> None:
    assert cycle_counts(8, 1.0).tolist() == [8, 4, 3, 2, 2, 1, 1, 1]
    assert cycle_counts(4, 2.0).tolist() == [16, 4, 2, 1]


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(4, 60), st.sampled_from([0.5, 1.0, 1.1, 2.0]))
@settings(max_examples=40, deadline=None)
def test_each_key_is_counted_up_by_one_in_the_order_of_sending(
    seed: int, publishers: int, keys: int, skew: float
) -> None:
    for publisher in range(publishers):
        one = Assignment(seed, publisher, publishers, keys, topics=2, skew=skew)
        length = int(cycle_counts(len(one.own_keys), skew).sum())
        key, key_sequence = one.of(np.arange(2 * length + length // 2))
        seen: Counter[int] = Counter()
        for k, s in zip(key.tolist(), key_sequence.tolist(), strict=True):
            assert s == seen[k]
            seen[k] += 1
        assert set(seen) == {k for k in range(keys) if k % publishers == publisher}
        middle = one.of(np.arange(length, 2 * length))
        assert middle[0].tolist() == key[length : 2 * length].tolist()
        assert Assignment.from_json(one.to_json()) == one


def test_the_hottest_keys_share_is_that_of_the_law() -> None:
    one = Assignment(7, 0, 1, keys=1000, topics=1, skew=1.1)
    length = int(cycle_counts(1000, 1.1).sum())
    key, _ = one.of(np.arange(length))
    shares = np.sort(np.bincount(key))[::-1] / length
    law = np.arange(1, 1001) ** -1.1
    assert shares[:20] == pytest.approx((law / law.sum())[:20], rel=0.02)


@pytest.mark.parametrize("text", ["zipf", "zipf 0", "zipf 9", "zipf -1", "Zipf 1", "1.1", "zipf 1e2"])
def test_a_skew_needs_a_law_and_an_exponent(text: str) -> None:
    with pytest.raises(ValueError, match=r"such as 'zipf 1\.1'"):
        parse_skew(text)
