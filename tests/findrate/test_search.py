"""The search finds a planted capacity, also where probes near it are a toss, and always ends."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crep.harness.findrate.search import Bounds, Ended, Probe, Result, next_rate, result

WIDE = Bounds(start=1000, least=10, most=10_000_000)


def searched(holds: Callable[[float], bool], bounds: Bounds = WIDE) -> Result:
    probes: list[Probe] = []
    while (rate := next_rate(probes, bounds)) is not None:
        held = holds(rate)
        probes.append(Probe(rate, held, () if held else ("lateness",)))
        assert len(probes) <= bounds.probes
    return result(probes, bounds)


@given(st.floats(min_value=20, max_value=4_000_000))
def test_a_sharp_capacity_is_bracketed_within_the_tolerance(capacity: float) -> None:
    found = searched(lambda rate: rate <= capacity)
    assert found.ended is Ended.FOUND
    assert found.highest_held is not None
    assert found.lowest_failed is not None
    assert found.highest_held <= capacity < found.lowest_failed
    assert found.lowest_failed <= found.highest_held * 1.04
    assert capacity / found.highest_held <= 1.05


def test_each_end_of_the_bracket_was_probed_twice() -> None:
    found = searched(lambda rate: rate <= 3456)
    for end in (found.highest_held, found.lowest_failed):
        assert sum(probe.rate == end for probe in found.probes) == 2


@pytest.mark.parametrize("width", [0.01, 0.02])
def test_a_capacity_where_probes_are_a_toss_is_found_within_five_percent(width: float) -> None:
    """Logistic around the capacity: at 1 ± ``width`` of it a probe holds in 27 % and 73 % of all cases."""
    right = 0
    for seed in range(200):
        tossed = random.Random(seed)

        def holds(rate: float, tossed: random.Random = tossed) -> bool:
            return tossed.random() < 1 / (1 + math.exp(min(700.0, (rate / 5000 - 1) / width)))

        answer = searched(holds).highest_held
        right += answer is not None and abs(answer / 5000 - 1) <= 0.05
    assert right >= 190


@pytest.mark.parametrize("capacity", [1700.0, 90_000.0])
def test_one_unlucky_probe_does_not_hide_what_lies_above(capacity: float) -> None:
    """The fourth probe fails whatever its rate: a hiccup of the machine, not of the broker."""
    count = 0

    def holds(rate: float) -> bool:
        nonlocal count
        count += 1
        return count != 4 and rate <= capacity

    answer = searched(holds).highest_held
    assert answer == pytest.approx(capacity, rel=0.05)


def test_what_never_holds_is_said_after_the_least_rate_was_confirmed() -> None:
    found = searched(lambda _: False)
    assert found.ended is Ended.NEVER_HELD
    assert (found.highest_held, found.lowest_failed) == (None, WIDE.least)


def test_what_never_fails_is_said_after_the_most_was_confirmed() -> None:
    found = searched(lambda _: True)
    assert found.ended is Ended.NEVER_FAILED
    assert (found.highest_held, found.lowest_failed) == (WIDE.most, None)


@given(st.lists(st.booleans(), min_size=60, max_size=60))
def test_any_answers_at_all_end_the_search_within_its_probes(answers: list[bool]) -> None:
    bounds = Bounds(start=100, least=10, most=100_000, probes=30)
    said = iter(answers)
    found = searched(lambda _: next(said), bounds)
    assert len(found.probes) <= 30
    assert all(bounds.least <= probe.rate <= bounds.most for probe in found.probes)
    if found.highest_held and found.lowest_failed:
        assert found.highest_held < found.lowest_failed


def test_a_search_that_ran_out_of_probes_says_so_and_keeps_its_wide_bracket() -> None:
    found = searched(lambda rate: rate <= 3456, Bounds(start=1000, least=10, most=1e7, probes=3))
    assert found.ended is Ended.OUT_OF_PROBES
    assert (found.highest_held, found.lowest_failed) == (2000, 4000)


def test_what_gave_way_is_counted_at_the_upper_end_only() -> None:
    probes = [
        Probe(100, True),
        Probe(200, False, ("lateness", "backlog")),
        Probe(102, False, ("backlog",)),
        Probe(102, False, ("backlog", "p99")),
        Probe(100, True),
    ]
    assert result(probes, Bounds(start=100, least=1, most=1000)).gave_way == (("backlog", 2), ("p99", 1))


@pytest.mark.parametrize(("start", "least", "most"), [(5.0, 10.0, 100.0), (200.0, 10.0, 100.0), (10.0, 0.0, 100.0)])
def test_bounds_that_contradict_each_other_are_refused(start: float, least: float, most: float) -> None:
    with pytest.raises(ValueError, match="least"):
        Bounds(start=start, least=least, most=most)


def test_moments_of_a_noisy_machine_do_not_hide_the_capacity() -> None:
    """Below capacity every fifth probe is late by chance; were those counted, two answers of five would be too low."""

    def right(*, told_apart: bool) -> int:
        near = 0
        for seed in range(200):
            noise, probes = random.Random(seed), list[Probe]()
            while (rate := next_rate(probes, WIDE)) is not None:
                late = noise.random() < 1 / 5
                probes.append(Probe(rate, rate <= 5000 and not late, disturbed=told_apart and rate <= 5000 and late))
            answer = result(probes, WIDE).highest_held
            near += answer is not None and abs(answer / 5000 - 1) <= 0.05
        return near

    assert right(told_apart=True) >= 190
    assert right(told_apart=False) < 140


def test_a_rate_that_is_disturbed_again_and_again_counts_as_not_held() -> None:
    late = Probe(1000, held=False, gave_way=("lateness",), disturbed=True)
    bounds = Bounds(start=1000, least=100, most=4000)
    for probes in ([late], [late, late]):
        assert next_rate(probes, bounds) == 1000
        assert result(probes, bounds).lowest_failed is None
    assert next_rate([late] * 3, bounds) == 500
    assert result([late] * 3, bounds).lowest_failed == 1000
