"""What is missing is looked for in the broker's own storage, and what was said of it is held against the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from crep.harness.brokers.contract import BrokerError
from crep.harness.brokers.locating import Location, Sought
from crep.harness.checks.evaluate import evaluate
from crep.harness.checks.results import Found
from crep.harness.load.stamp import Renderer
from crep.harness.runner import whereabouts
from crep.harness.runner.whereabouts import find_missing, identity_bytes, in_words
from tests.checks.simulated import SimulatedRun, a_plan

RUN = 0x7F3A
PLAN = replace(a_plan(rate=40, kill_at_s=None), timeline=())


@dataclass
class Storage:
    """An adapter whose storage says of every message the same."""

    says: Location | BrokerError
    asked: list[Sought] = field(default_factory=list)

    def inspect(self, endpoint: Any, provisioned: Any) -> Storage:
        return self

    def locate(self, channel: str, reader: str, sought: Sequence[Sought], within_s: float) -> dict[bytes, Location]:
        self.asked += sought
        if isinstance(self.says, BrokerError):
            raise self.says
        return {one.identity: self.says for one in sought}


def looked(run: SimulatedRun, storage: Storage) -> list[Found]:
    site: Any = SimpleNamespace(adapter=storage, endpoint=None, provisioned=None, channels=PLAN.channels["bus"])
    return find_missing([site], run.tallies(PLAN), lambda channel, reader: None, RUN)


def losing(*sequences: int) -> SimulatedRun:
    return SimulatedRun(PLAN, drop={(1, n) for n in sequences})


def test_every_lost_message_is_looked_for_by_the_identity_of_its_stamp() -> None:
    storage = Storage(Location("stored", "orders[0] offset 7", "committed before"))
    found = looked(losing(5, 9), storage)
    assert [(one.publisher, one.sequence) for one in found] == [(1, 5), (1, 9)]
    assert {(one.reader, one.state, one.where, one.why) for one in found} == {
        ("billing", "stored", "orders[0] offset 7", "committed before")  # screen is at-most-once: it may miss some
    }
    assert [one.identity for one in storage.asked] == [identity_bytes(RUN, 1, n) for n in (5, 9)]
    assert [one.key for one in storage.asked] == [one.key for one in found]


def test_the_identity_is_how_the_stamp_on_the_wire_begins() -> None:
    number = np.array([77], np.uint64)
    body = Renderer(run=RUN, publisher=3, seed=1, carrier="payload").render(
        number, np.array([1], np.int64), np.array([4], np.uint32), np.array([2], np.uint32), np.array([64])
    )
    assert bytes(body.bodies[0]).startswith(identity_bytes(RUN, 3, 77))


def test_nothing_is_asked_where_nothing_is_missing() -> None:
    storage = Storage(Location("stored"))
    assert looked(losing(), storage) == []
    assert storage.asked == []


def test_not_more_than_the_limit_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whereabouts, "LIMIT", 3)
    storage = Storage(Location("never-stored"))
    assert len(looked(losing(*range(10)), storage)) == 3
    assert [one.sequence for one in storage.asked] == [0, 1, 2]


def test_a_broker_that_does_not_answer_makes_no_run_fail_and_is_told() -> None:
    (one,) = looked(losing(5), Storage(BrokerError("nobody there")))
    assert (one.state, one.why) == ("not-looked-for", "nobody there")


def test_the_results_tell_states_reasons_and_the_first_of_each() -> None:
    run = losing(5, 9, 11)
    lines = looked(run, Storage(Location("never-stored", "t[0]", "never replicated")))
    lines[2] = lines[2].model_copy(update={"state": "stored", "why": ""})
    run.whereabouts = tuple(lines)
    results = evaluate(run, PLAN)
    (told,) = results.whereabouts
    assert (told.missing, told.looked_for) == (3, 3)
    assert told.states == {"never-stored": 2, "stored": 1}
    assert told.reasons == {"never replicated": 2}
    assert [one.sequence for one in told.examples] == [5, 11, 9]
    assert next(rule for rule in results.rules if rule.name == "records").holds


def test_a_line_about_a_message_that_was_received_is_damage() -> None:
    run = losing(5)
    (line,) = looked(run, Storage(Location("never-stored")))
    run.whereabouts = (line, line.model_copy(update={"sequence": 6}))
    rule = next(rule for rule in evaluate(run, PLAN).rules if rule.name == "records")
    assert not rule.holds
    assert "1 messages of orders.billing were looked for that are not missing" in rule.text


def test_who_waits_for_the_run_is_told_what_came_of_the_look() -> None:
    never = looked(
        losing(5, 9), Storage(Location("never-stored", "orders[0]", "never replicated: epoch 0 ends before it"))
    )
    there = looked(losing(7), Storage(Location("stored", "orders[0] offset 7")))
    assert in_words([*there, *never]) == (
        "3 missing messages were looked for in the broker's own storage: 2 never stored (never replicated), 1 stored"
    )
