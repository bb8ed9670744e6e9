"""A mixture of lies is the same for its seed, tells one lie of each message, and adds up to one exact ledger."""

from __future__ import annotations

from itertools import combinations

import pytest

from soak.lies import CYCLE, FOR_S, KEYS, OF_DELIVERY, OF_OUTCOME, RATE, READERS, Mixture

SEEDS = range(1, 101)


def test_a_mixture_is_made_of_its_seed_alone() -> None:
    assert [Mixture.of(seed) for seed in SEEDS] == [Mixture.of(seed) for seed in SEEDS]
    assert len({str(Mixture.of(seed)) for seed in SEEDS}) == len(SEEDS)


@pytest.mark.parametrize("seed", SEEDS)
def test_no_message_has_two_lies_and_none_lies_near_another_of_its_key_or_at_the_end(seed: int) -> None:
    told = Mixture.of(seed).told
    assert all(told.values())
    assert all(not first & second for first, second in combinations(told.values(), 2))
    for number in frozenset().union(*told.values()):
        assert (number // KEYS) % CYCLE == 0
        assert CYCLE * KEYS <= number < RATE * FOR_S - 2 * CYCLE * KEYS


def test_every_kind_of_lie_and_every_choice_of_readers_is_tried() -> None:
    mixtures = [Mixture.of(seed) for seed in SEEDS]
    assert set().union(*(mixture.told for mixture in mixtures)) == {*OF_DELIVERY, *OF_OUTCOME}
    assert {mixture.readers for mixture in mixtures} == {None, frozenset({"billing"}), frozenset({"screen"})}


def test_lies_of_delivery_are_expected_of_the_readers_they_were_told_to() -> None:
    billing, screen = READERS
    told = {"drop": frozenset({120, 121}), "corrupt": frozenset({130}), "silent": frozenset({140})}
    both, one = Mixture(told, None), Mixture(told, frozenset({"screen"}))
    assert both.expected(billing) == {"lost": 3, "corrupt": 1, "unknown_received": 1}
    assert both.expected(screen) == {"missing_allowed": 3, "corrupt": 1, "unknown_received": 1}
    assert one.expected(billing) == {"unknown_received": 1}
    assert one.expected(screen) == both.expected(screen)
