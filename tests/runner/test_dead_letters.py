"""What was given up is read with its identity, kept in the run folder, and told where it could not be read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from crep.harness.brokers.contract import BrokerError
from crep.harness.brokers.dead_letters import DeadLetter, DeadLetters
from crep.harness.load.stamp import Carrier, Renderer
from crep.harness.metrics.history import CORRUPT, FOREIGN, INTACT
from crep.harness.runner.dead_letters import identified, read_places
from crep.harness.runs.dead_letters import read_dead_letters, write_dead_letters
from crep.harness.scenario.plan import Plan
from tests.checks.simulated import a_plan

RUN = 0x7F3A


def rendered(run: int, count: int, carrier: Carrier = "payload") -> list[DeadLetter]:
    numbers = np.arange(count)
    made = Renderer(run=run, publisher=3, seed=7, carrier=carrier).render(
        numbers.astype(np.uint64),
        numbers.astype(np.int64),
        (numbers % 5).astype(np.uint32),
        (numbers // 5).astype(np.uint32),
        np.full(count, 100, np.uint32),
    )
    stamps = made.stamps or [None] * count
    return [DeadLetter(bytes(body), stamp, "no", 3) for body, stamp in zip(made.bodies, stamps, strict=True)]


def test_letters_are_identified_by_their_stamp_wherever_it_travels() -> None:
    for carrier in ("payload", "property"):
        found = identified(rendered(RUN, 12, carrier), carrier, RUN)
        assert found["sequence"].tolist() == list(range(12))
        assert set(found["publisher"].tolist()) == {3}
        assert found["key_sequence"].tolist() == [number // 5 for number in range(12)]
        assert set(found["fault"].tolist()) == {INTACT}
        assert set(found["deliveries"].tolist()) == {3}


def test_what_is_damaged_or_of_another_run_is_told_apart() -> None:
    good, *_ = rendered(RUN, 1)
    damaged = replace(good, body=good.body[:-1] + b"?", deliveries=None)
    found = identified([good, damaged, replace(good, body=b"short"), *rendered(RUN + 1, 1)], "payload", RUN)
    assert found["fault"].tolist() == [INTACT, CORRUPT, CORRUPT, FOREIGN]
    assert found["deliveries"].tolist() == [3, -1, 3, 3]


def test_letters_come_back_from_the_run_folder_as_they_were(tmp_path: Path) -> None:
    letters = identified(rendered(RUN, 7), "payload", RUN)
    write_dead_letters(tmp_path, "orders", "billing", letters, ["because"] * 7)
    assert read_dead_letters(tmp_path, "orders", "billing").tolist() == letters.tolist()


def site(plan: Plan, answers: dict[str, DeadLetters | BrokerError]) -> Any:
    """A site whose places hold what a test likes."""

    def dead_letters(_channel: str, reader: str, limit: int, _stamp: str | None) -> DeadLetters:
        assert limit > 0
        answer = answers[reader]
        if isinstance(answer, BrokerError):
            raise answer
        return answer

    inspect = SimpleNamespace(dead_letters=dead_letters)
    adapter = SimpleNamespace(inspect=lambda _endpoint, _provisioned: inspect)
    return SimpleNamespace(adapter=adapter, endpoint=None, provisioned=None, channels=plan.channels["bus"])


def test_only_places_that_can_hold_something_are_read_and_one_that_cannot_be_read_says_why() -> None:
    plan = a_plan()
    (channel,) = plan.channels["bus"]
    billing, screen = channel.readers
    audit = replace(billing, name="audit")
    readers = (replace(billing, dead_letters_after=3), replace(audit, dead_letters_after=3), screen)
    plan = replace(plan, channels={"bus": (replace(channel, readers=readers),)})
    billings = DeadLetters("billing-dead", tuple(rendered(RUN, 4)), True, {"moved": 4})
    found = list(read_places([site(plan, {"billing": billings, "audit": BrokerError("gone")})], plan, RUN))
    assert [(one.part.reader, one.part.read, one.part.complete, one.part.trouble) for one in found] == [
        ("billing", 4, True, ""),
        ("audit", 0, False, "gone"),
    ]
    assert (len(found[0].letters), found[0].reasons) == (4, ("no",) * 4)


def test_where_nothing_is_kept_but_messages_expire_the_brokers_count_is_asked_for() -> None:
    plan = a_plan()
    (channel,) = plan.channels["bus"]
    plan = replace(plan, channels={"bus": (replace(channel, expires=True),)})
    answers: dict[str, DeadLetters | BrokerError] = {"billing": DeadLetters(None, (), True, {}, expired_discarded=9)}
    (found,) = read_places([site(plan, answers)], plan, RUN)
    assert (found.part.reader, found.part.place, found.part.expired_discarded) == ("billing", None, 9)
