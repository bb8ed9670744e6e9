"""The interval of a count of successes."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soak.interval import clopper_pearson


@pytest.mark.parametrize(
    ("held", "tried", "lower", "upper"),
    [
        (0, 10, 0.0, 0.3085),  # Clopper and Pearson's chart; also any table of exact limits
        (5, 10, 0.1871, 0.8129),
        (50, 50, 0.9289, 1.0),
        (49, 50, 0.8935, 0.9995),
    ],
)
def test_known_limits_are_met(held: int, tried: int, lower: float, upper: float) -> None:
    assert clopper_pearson(held, tried) == pytest.approx((lower, upper), abs=5e-5)


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_holds_the_share_and_mirrors_it(case: tuple[int, int]) -> None:
    held, tried = case
    lower, upper = clopper_pearson(held, tried)
    assert 0 <= lower <= held / tried <= upper <= 1
    mirrored = clopper_pearson(tried - held, tried)
    assert mirrored == pytest.approx((1 - upper, 1 - lower), abs=1e-9)


@pytest.mark.parametrize("tried", [1, 50, 5000])
def test_when_all_hold_the_lower_limit_is_the_root_of_the_tail(tried: int) -> None:
    assert clopper_pearson(tried, tried)[0] == pytest.approx(math.exp(math.log(0.025) / tried))


@pytest.mark.parametrize(("held", "tried", "level"), [(0, 0, 0.95), (3, 2, 0.95), (-1, 2, 0.95), (1, 2, 1.0)])
def test_nothing_is_said_of_an_impossible_count(held: int, tried: int, level: float) -> None:
    with pytest.raises(ValueError, match="no interval"):
        clopper_pearson(held, tried, level)
