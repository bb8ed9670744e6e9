"""The ledger where readers give messages up: each ends in one place, and what lies in the wrong one is found."""

from __future__ import annotations

from dataclasses import replace

import pytest

from crep.harness.metrics.history import FAILED
from tests.checks.honest import MS, Letter, World, copy_of, honest_world
from tests.checks.judging import accused, judged


def with_a_place(world: World) -> World:
    """Billing gives up after three deliveries; message 4 is poison and was buried as it should be."""
    world.readers["billing"] = replace(world.readers["billing"], dead_letters_after=3)
    message = world.messages[4]
    message.poison = True
    receipt = next(r for r in world.receipts["billing"] if (r.publisher, r.sequence) == (0, 2))
    receipt.fault = FAILED
    world.receipts["billing"] += [copy_of(receipt, at_ns=receipt.at_ns + n * MS, redelivered=1) for n in (1, 2)]
    world.letters["billing"] = [Letter(0, 2, message.key, message.key_sequence)]
    return world


def test_a_poison_message_in_its_dead_letter_place_is_neither_lost_nor_delivered_nor_doubled() -> None:
    billing = judged(with_a_place(honest_world()))["billing"]
    assert accused(billing) == {"failed": 3, "dead_lettered": 1}
    assert (billing.expected, billing.received) == (40, 39)
    assert billing.offenders == ()


def test_a_poison_message_that_was_dropped_instead_of_dead_lettered_is_lost() -> None:
    world = with_a_place(honest_world())
    world.letters["billing"] = []
    billing = judged(world)["billing"]
    assert accused(billing) == {"failed": 3, "lost": 1}
    assert [(o.kind, o.publisher, o.sequence) for o in billing.offenders] == [("lost", 0, 2)]
    assert accused(judged(world, drain_clean=False)["billing"]) == {"failed": 3, "pending": 1}


@pytest.mark.parametrize(
    ("buried", "fate", "why"),
    [
        ("instead", {"dead_lettered": 2, "misplaced": 1}, "neither poison nor expired"),
        ("as well", {"dead_lettered": 1, "misplaced": 1}, "the reader has processed it as well"),
        ("twice", {"dead_lettered": 1, "misplaced": 1}, "a further copy"),
        ("a stranger", {"dead_lettered": 1, "misplaced": 1}, "not one of the reader's messages"),
    ],
)
def test_what_has_no_business_in_the_dead_letter_place_is_misplaced(
    buried: str, fate: dict[str, int], why: str
) -> None:
    world = with_a_place(honest_world())
    letters, good = world.letters["billing"], world.receipts["billing"][7]
    if buried == "twice":
        letters.append(letters[0])
    else:
        sequence = good.sequence + (1000 if buried == "a stranger" else 0)
        letters.append(Letter(good.publisher, sequence, good.key, good.key_sequence))
    if buried == "instead":
        world.receipts["billing"].remove(good)
    billing = judged(world)["billing"]
    assert accused(billing) == {"failed": 3} | fate
    (offender,) = billing.offenders
    assert (offender.kind, offender.detail) == ("misplaced", why)


def test_nothing_is_called_lost_while_the_dead_letter_place_was_not_read() -> None:
    world = with_a_place(honest_world())
    world.letters["billing"], world.place_read = [], False
    world.receipts["billing"].pop(9)
    assert accused(judged(world)["billing"]) == {"failed": 3, "pending": 2}


def test_an_expired_message_is_expired_where_it_lies_in_the_place() -> None:
    world = with_a_place(honest_world())
    world.expires = True
    gone = world.receipts["billing"].pop(9)
    world.letters["billing"].append(Letter(gone.publisher, gone.sequence, gone.key, gone.key_sequence))
    assert accused(judged(world)["billing"]) == {"failed": 3, "dead_lettered": 1, "expired": 1}


@pytest.mark.parametrize(("counted", "fate"), [(2, "expired"), (1, "lost"), (None, "pending")])
def test_discarded_messages_are_expired_only_where_the_broker_counts_as_many(counted: int | None, fate: str) -> None:
    world = honest_world()
    world.expires, world.expired_discarded = True, counted
    del world.receipts["billing"][9:11]
    assert accused(judged(world)["billing"]) == {fate: 2}
