"""Messages that are meant to go wrong: chosen by the seed, known to all sides, and refused where they make no sense."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crep.harness.scenario.defects import Defects, Poison
from crep.harness.scenario.model import Scenario
from crep.harness.scenario.plan import plan, without_faults
from crep.harness.scenario.publisher_plan import PublisherPlan

Refusal = Callable[..., list[str]]
PLACE = ("keys: 20", "keys: 20\n    dead_letters: {after_deliveries: 3}\n    max_size: 16 KiB")
BAD = ("size: 1 KiB}", "size: 1 KiB, ttl: 5 s, properties: {kind: order, urgent: true}}")


def with_defects(text: str) -> tuple[str, str]:
    return ("publishers: 2,", f"publishers: 2, defects: {text},")


@given(
    seed=st.integers(0, 2**32 - 1),
    publisher=st.integers(0, 500),
    poison=st.floats(0, 0.5),
    oversize=st.floats(0, 0.5),
    first=st.integers(0, 2**31),
)
def test_a_message_has_one_defect_at_most_wherever_the_look_begins(
    seed: int, publisher: int, poison: float, oversize: float, first: int
) -> None:
    defects = Defects(poison, oversize, 100)
    numbers = np.arange(first, first + 200)
    poisonous, oversized = (
        defects.poisonous(seed, publisher, numbers),
        defects.oversized(seed, publisher, numbers),
    )
    assert not (poisonous & oversized).any()
    assert poisonous[50:].tolist() == defects.poisonous(seed, publisher, numbers[50:]).tolist()
    assert Defects.from_json(json.loads(json.dumps(defects.to_json()))) == defects


def test_the_shares_are_those_that_were_asked_for() -> None:
    defects, numbers = Defects(0.02, 0.1, 100), np.arange(100_000)
    assert defects.poisonous(7, 3, numbers).mean() == pytest.approx(0.02, rel=0.1)
    assert defects.oversized(7, 3, numbers).mean() == pytest.approx(0.1, rel=0.05)
    assert not Defects().poisonous(7, 3, numbers).any()


def test_a_reader_knows_the_poison_of_every_publisher(scenario: Callable[..., Scenario]) -> None:
    planned = plan(scenario(PLACE, with_defects("{poison: 20 %}")))
    poison = Poison(planned.seed, {one.publisher: one.defects.poison for one in planned.publishers})
    poison = Poison.from_json(json.loads(json.dumps(poison.to_json())))
    numbers = np.arange(300, dtype=np.uint64)
    for publisher in planned.publishers:
        whose = np.full(300, publisher.publisher, np.uint16)
        assert poison.among(whose, numbers).tolist() == publisher.poisonous(numbers).tolist()
    assert not poison.among(np.full(300, 77, np.uint16), numbers).any()


def test_what_goes_wrong_reaches_plan_and_publishers(scenario: Callable[..., Scenario]) -> None:
    planned = plan(scenario(PLACE, BAD, with_defects("{poison: 5 %, oversize: 10 %}")))
    (channel,) = planned.channels["bus"]
    assert (channel.max_bytes, channel.expires) == (16 << 10, True)
    given_up = {reader.name: reader.dead_letters_after for reader in channel.readers}
    assert given_up == {"billing": 3, "audit": 3, "screen-1": None, "screen-2": None}
    first = planned.publishers[0]
    assert PublisherPlan.from_json(json.loads(json.dumps(first.to_json()))) == first
    assert (first.ttl_ms, first.properties) == (5000, {"kind": "order", "urgent": True})
    numbers = np.arange(first.count)
    assert set(first.size_of(numbers)[first.oversized(numbers)].tolist()) == {32 << 10}
    assert set(first.size_of(numbers)[~first.oversized(numbers)].tolist()) == {1 << 10}
    assert set(first.payload_sizes) == {1 << 10, 32 << 10}


def test_the_control_run_has_no_defects(scenario: Callable[..., Scenario]) -> None:
    control = without_faults(plan(scenario(PLACE, with_defects("{poison: 5 %}"))))
    assert {one.defects for one in control.publishers} == {Defects()}


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ([with_defects("{poison: 1 %}")], "load[0].defects.poison: would be delivered again for ever"),
        ([with_defects("{oversize: 1 %}")], "load[0].defects.oversize: larger than what?"),
        ([PLACE, with_defects("{}")], "load[0].defects: names no defect"),
        ([PLACE, with_defects("{poison: 70 %, oversize: 40 %}")], "the shares add up to 110 %"),
        ([PLACE, with_defects("{poison: 1 %}, mode: direct")], "a direct message is neither refused nor delivered"),
        (
            [("size: 1 KiB}", "size: 1 KiB, ttl: 1 s}"), ("publishers: 2,", "publishers: 2, mode: direct,")],
            "message.ttl",
        ),
        ([PLACE, ("size: 1 KiB", "size: 20 KiB")], "20 KiB is more than channel 'orders' takes"),
        ([PLACE, ("max_size: 16 KiB", "max_size: 1 KiB")], "write at least 8 KiB"),
        ([PLACE, ("after_deliveries: 3", "after_deliveries: 1")], "after_deliveries"),
        ([("size: 1 KiB}", "size: 1 KiB, properties: {crep-key: 1}}")], "'crep-key' is no name for a property"),
        (
            [("billing.lost == 0", "billing.dead_lettered > 0")],
            "channel 'orders' has no dead_letters",
        ),
        ([("billing.lost == 0", "billing.expired > 0")], "no message of channel 'orders' has a ttl"),
        ([("billing.lost == 0", "orders.oversize_accepted == 0")], "has oversize defects"),
        ([PLACE, ("billing.lost == 0", "screen.misplaced == 0")], "reader 'screen' is at-most-once"),
    ],
)
def test_what_makes_no_sense_is_told_at_its_place(refusal: Refusal, changes: list[tuple[str, str]], line: str) -> None:
    lines = refusal(*changes)
    assert any(line in told for told in lines), lines
