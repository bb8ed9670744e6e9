from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from crep.harness.load.outstanding import Outstanding


def numbers(values: list[int] | range) -> NDArray[np.uint64]:
    return np.array(values, np.uint64)


def sends(first: int, count: int) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    sequence = numbers(range(first, first + count))
    return sequence, sequence.astype(np.int64) * 10


@given(st.lists(st.tuples(st.integers(0, 12), st.lists(st.integers(0, 60), max_size=12)), max_size=12))
def test_it_agrees_with_a_dictionary(steps: list[tuple[int, list[int]]]) -> None:
    ring, plain, sent = Outstanding(capacity=4), dict[int, int](), 0
    for count, settled in steps:
        ring.add(*sends(sent, count))
        plain |= {n: n * 10 for n in range(sent, sent + count)}
        sent += count
        known, intended_ns = ring.settle(numbers(settled))
        expected = [plain.pop(n, None) for n in settled]
        assert known.tolist() == [time is not None for time in expected]
        assert intended_ns[known].tolist() == [time for time in expected if time is not None]
        assert len(ring) == len(plain)


def test_a_late_outcome_never_settles_the_send_that_took_its_place() -> None:
    ring = Outstanding(capacity=4)
    ring.add(*sends(0, 4))
    ring.settle(numbers([0]))
    ring.add(*sends(4, 1))  # takes the place of 0
    assert ring.settle(numbers([0, 4]))[0].tolist() == [False, True]


def test_a_capacity_that_is_no_power_of_two_is_refused() -> None:
    with pytest.raises(ValueError, match="power of two"):
        Outstanding(capacity=3)
