from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from crep.harness.scenario.arrivals import BLOCK, Poisson
from crep.harness.scenario.profile import Profile, Wave, hold, ramp

SEED = 7
KOLMOGOROV_1_PERCENT = 1.63
"""Times 1 / sqrt(n): what the largest distance between an empirical and the true distribution exceeds in 1 of 100."""


def test_gaps_are_exponential_and_counts_are_poisson() -> None:
    process = Poisson(SEED, 0, mass=60_000)
    at = process.at(np.arange(process.before(60_000)))
    gaps = np.sort(np.diff(at, prepend=0.0))
    distance = np.abs(1 - np.exp(-gaps) - (np.arange(len(gaps)) + 0.5) / len(gaps)).max()
    assert distance * len(gaps) ** 0.5 < KOLMOGOROV_1_PERCENT
    counts = np.bincount(at.astype(int), minlength=60_000)
    assert abs(counts.mean() - 1) < 0.02
    assert abs(counts.var() - 1) < 0.03  # even arrivals would have a variance of 0
    assert abs(np.corrcoef(counts[:-1], counts[1:])[0, 1]) < 0.02  # no memory, within blocks and between them


def test_a_block_is_as_long_as_the_sum_of_its_exponential_gaps() -> None:
    process = Poisson(SEED, 1, mass=4_000 * BLOCK)
    drawn = np.diff(process.at(np.arange(4_000) * BLOCK + BLOCK - 1), prepend=0.0)
    summed = np.random.default_rng(1).exponential(size=(4_000, BLOCK)).sum(axis=1)
    both = np.sort(np.concatenate([drawn, summed]))
    ranks = [np.searchsorted(np.sort(one), both, side="right") / len(one) for one in (drawn, summed)]
    assert np.abs(ranks[0] - ranks[1]).max() * (4_000 / 2) ** 0.5 < KOLMOGOROV_1_PERCENT


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 5_000), min_size=1, max_size=40))
@settings(max_examples=50, deadline=None)
def test_an_arrival_is_the_same_alone_and_among_others(seed: int, numbers: list[int]) -> None:
    process = Poisson(seed, 0, mass=6_000)
    every = process.at(np.arange(5_001))
    assert (np.diff(every) >= 0).all()
    assert process.at(np.array(numbers)).tolist() == every[numbers].tolist()


@given(st.floats(0, 3_000), st.integers(0, 50))
@settings(max_examples=50, deadline=None)
def test_before_counts_the_arrivals_below_a_position(position: float, seed: int) -> None:
    process = Poisson(seed, 0, mass=3_000)
    at = process.at(np.arange(process.before(3_000) + 1))
    assert process.before(position) == int((at < position).sum())
    assert at[-2] < 3_000 <= at[-1]


def test_load_entries_of_one_seed_arrive_independently() -> None:
    one, other = (Poisson(SEED, stream, mass=10_000).at(np.arange(9_000)) for stream in (0, 1))
    gaps = np.corrcoef(np.diff(one), np.diff(other))[0, 1]
    assert abs(gaps) < 0.05


def test_a_random_profile_follows_its_mean_rate() -> None:
    profile = Profile((*hold(500, 20), *ramp(500, 1_500, 20), Wave(1_500, 4_500, 10, 20)), 4, (SEED, 0))
    times = profile.intended_ns(np.arange(profile.count)) / 1e9
    assert (times[: profile.warm_up_count] < 0).all()
    assert times[profile.warm_up_count] >= 0
    assert times[0] >= -4
    assert times[-1] < 60
    for first, last, expected in ((-4, 0, 2_000), (0, 20, 10_000), (20, 40, 20_000), (40, 60, 60_000)):
        counted = ((times >= first) & (times < last)).sum()
        assert abs(counted - expected) < 4 * expected**0.5


def test_another_seed_gives_other_arrivals_and_the_same_one_the_same() -> None:
    def times(seed: int) -> list[int]:
        return Profile(tuple(hold(100, 5)), 1, (seed, 0)).intended_ns(np.arange(400)).tolist()  # type: ignore[no-any-return]

    assert times(7) == times(7)
    assert times(7) != times(8)
