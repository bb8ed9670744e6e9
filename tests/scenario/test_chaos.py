from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from statistics import mean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crep.harness.scenario.actions import ACTIONS
from crep.harness.scenario.chaos import Chaos, draw
from crep.harness.scenario.model import Scenario
from crep.harness.scenario.plan import plan

Good = Callable[..., Scenario]
Refusal = Callable[..., list[str]]
CHAOS = "chaos: {menu: [kill-broker, {do: pause-reader, reader: billing, resume_after: 1500 ms}], mean_gap: 2 s}\n"
SLOW = {"do": "slow-reader", "reader": "billing", "processing": "1 ms", "for": "1 ms"}
WILD = ("timeline:\n  - {at: 8 s, do: kill-broker, node: leader-of orders, restart_after: 1 s}\n", CHAOS)


def chaos(*menu: object, gap: str = "2 s", seed: int | None = None) -> Chaos:
    return Chaos.model_validate({"menu": list(menu), "mean_gap": gap, "seed": seed})


@settings(max_examples=50)
@given(seed=st.integers(0, 2**32 - 1), gap_ms=st.integers(500, 20_000), end_s=st.floats(1, 120))
def test_what_is_drawn_is_healed_before_the_end_and_never_excludes_what_is_in_effect(
    seed: int, gap_ms: int, end_s: float
) -> None:
    drawn = draw(chaos("kill-broker", "pause-broker", "restart-broker", gap=f"{gap_ms} ms"), end_s, seed)
    assert drawn == draw(chaos("kill-broker", "pause-broker", "restart-broker", gap=f"{gap_ms} ms"), end_s, seed)
    for one, other in pairwise(drawn):
        assert one.at + (one.heal_after_s or 0.0) + one.SETTLES_S < other.at
    assert all(one.at >= 2 and one.at + (one.heal_after_s or 0.0) < end_s for one in drawn)


def test_gaps_have_the_mean_that_is_asked_for_and_every_dish_comes() -> None:
    drawn = draw(chaos(SLOW, {**SLOW, "processing": "2 ms"}, gap="5 s"), 5_000.0, seed=3)
    gaps = [other.at - one.at for one, other in pairwise(drawn)]
    assert 4.4 < mean(gaps) < 5.6
    assert 0.4 < sum(one.parameters() == {"processing_s": 0.002} for one in drawn) / len(drawn) < 0.6


def test_another_seed_is_another_timeline_and_a_seed_of_its_own_goes_before_that_of_the_run() -> None:
    first, second = (draw(chaos("kill-broker"), 60.0, seed) for seed in (1, 2))
    assert first != second
    assert draw(chaos("kill-broker", seed=2), 60.0, 1) == second


def test_a_drawn_timeline_can_be_written_down_and_is_the_same_again(scenario: Good) -> None:
    drawn = plan(scenario(WILD)).timeline
    assert {event.action for event in drawn} == {"kill-broker", "pause-reader"}
    text = "timeline:\n" + "".join(f"  - {dict(event.written)}\n" for event in drawn)
    again = plan(scenario((WILD[0], text))).timeline
    assert again == drawn


def test_what_is_drawn_keeps_out_of_the_way_of_what_is_declared(scenario: Good) -> None:
    both = plan(scenario((WILD[0], WILD[0] + "chaos: {menu: [pause-broker], mean_gap: 1 s, from: 0 s}\n"))).timeline
    [killed] = [event for event in both if event.action == "kill-broker"]
    assert len(both) >= 3
    assert all(event.ends_s < killed.at_s or event.at_s > killed.ends_s for event in both if event != killed)
    assert [event.index for event in both] == list(range(len(both)))


@pytest.mark.parametrize("word", sorted(word for word, kind in ACTIONS.items() if kind.AT_RANDOM is not None))
def test_every_word_that_may_stand_alone_is_drawn_complete_and_can_be_written_down(scenario: Good, word: str) -> None:
    drawn = plan(scenario((WILD[0], f"chaos: {{menu: [{word}], mean_gap: 2 s}}\n"))).timeline
    assert {event.action for event in drawn} == {word}
    assert all(event.heal_after_s is not None for event in drawn)
    text = "timeline:\n" + "".join(f"  - {dict(event.written)}\n" for event in drawn)
    assert plan(scenario((WILD[0], text))).timeline == drawn


def test_links_between_nodes_are_cut_by_the_word_alone() -> None:
    [cut, *_] = draw(chaos("partition"), 60.0, 1)
    assert cut.parameters() == {"between": ["random", "rest"], "how": "stall"}


@pytest.mark.parametrize(
    ("menu", "line"),
    [
        ("menu: []", "menu: must not be empty"),
        ("menu: [kill-borker]", "menu[0]: 'kill-borker' is not one of kill-broker, stop-broker"),
        ("menu: [pause-reader]", "menu[0]: 'pause-reader' needs keys of its own: write {do: pause-reader, …}"),
        ("menu: [{do: pause-broker, at: 3 s, resume_after: 1 s}]", "menu[0]: 'at' is drawn, so it is not written here"),
        ("menu: [{do: pause-broker}]", "menu[0].resume_after: is missing"),
        ("menu: [{do: kill-broker}]", "menu[0].do: with one copy of each message, all is lost"),
        ("menu: [{do: kill-broker}]", "menu[0]: what comes at random has to end: give 'restart_after'"),
        ("menu: [{do: kill-broker, node: leader-of oders, restart_after: 1 s}]", "there is no channel 'oders'"),
    ],
)
def test_a_mistake_in_the_menu_is_told_at_its_place(refusal: Refusal, menu: str, line: str) -> None:
    lines = refusal((WILD[0], f"chaos: {{{menu}, mean_gap: 2 s}}\n"))
    assert any(f"chaos.{line}" in told or line in told for told in lines), lines


@pytest.mark.parametrize(
    ("gap", "line"),
    [("10 ms", "chaos.mean_gap: that is more than 1,000 faults"), ("90 h", "chaos.mean_gap: with this seed nothing")],
)
def test_a_gap_that_brings_too_much_or_nothing_is_refused(refusal: Refusal, gap: str, line: str) -> None:
    [told] = refusal((WILD[0], f"chaos: {{menu: [kill-broker], mean_gap: {gap}}}\n"))
    assert line in told
