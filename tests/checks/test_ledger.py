"""The ledger reports exactly the lies that were told, and nothing of an honest broker."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crep.harness.brokers.contract import Order, Outcome, ReaderSpec
from crep.harness.checks.history import ChannelHistory, PublisherHistory, ReaderHistory
from crep.harness.checks.ledger import ledger
from crep.harness.metrics.history import CORRUPT, FAILED, FOREIGN, INTACT, OUTCOME, RECEIVED, SENT
from tests.checks.honest import (
    MS,
    T0,
    Letter,
    Receipt,
    World,
    copy_of,
    final_outcome,
    honest_world,
    naive_reader_ledger,
)
from tests.checks.judging import accused, counts, judged
from tests.checks.tallied import balanced, tallied


def test_an_honest_run_is_clean() -> None:
    channel, readers = ledger(honest_world().history(), drain_clean=True, t0_ns=T0)
    assert (channel.handed_over, channel.acknowledged, channel.unknown, channel.contradictions) == (40, 40, 0, 0)
    for reader in readers:
        assert accused(reader) == {}
        assert reader.offenders == ()
        assert reader.expected == reader.received == reader.receipts > 0
        assert sum(reader.members_receipts) == reader.receipts


@pytest.mark.parametrize(
    ("drain_clean", "reader", "kind"),
    [(True, "billing", "lost"), (False, "billing", "pending"), (True, "screen", "missing_allowed")],
)
def test_a_dropped_message_is_lost_only_where_it_was_promised_and_the_drain_was_clean(
    drain_clean: bool, reader: str, kind: str
) -> None:
    world = honest_world()
    gone = world.receipts[reader].pop(7)
    verdict = judged(world, drain_clean)
    assert accused(verdict[reader]) == {kind: 1}
    (offender,) = verdict[reader].offenders
    assert (offender.publisher, offender.sequence, offender.key) == (gone.publisher, gone.sequence, gone.key)
    assert offender.at_s == pytest.approx((gone.intended_ns - T0) / 1e9)
    assert all(accused(other) == {} for name, other in verdict.items() if name != reader)


@pytest.mark.parametrize(
    ("flag", "kind"),
    [(0, "duplicates_unflagged"), (1, "duplicates_flagged"), (2, "duplicates_flag_not_offered")],
)
def test_a_doubled_message_is_told_apart_by_the_brokers_flag(flag: int, kind: str) -> None:
    world = honest_world()
    twin = world.receipts["billing"][3]
    world.receipts["billing"].append(
        copy_of(twin, at_ns=twin.at_ns + 90 * MS, redelivered=flag, member=1 - twin.member)
    )
    assert accused(judged(world)["billing"]) == {kind: 1}


@pytest.mark.parametrize(
    ("marks", "flagged", "unflagged"),
    [("U F", 1, 0), ("F U", 1, 0), ("F F", 1, 0), ("U U", 0, 1), ("F F U", 2, 0), ("F U U", 1, 1), ("U F U", 1, 1)],
)
def test_one_delivery_of_a_message_may_be_unmarked_whichever_member_comes_to_its_own_first(
    marks: str, flagged: int, unflagged: int
) -> None:
    """A paused member has the first delivery in its buffer, while another one processes the repeated one."""
    world = honest_world()
    one = world.receipts["billing"][3]
    for number, mark in enumerate(marks.split()):
        again = copy_of(one, at_ns=one.at_ns + number * 90 * MS, redelivered=int(mark == "F"), member=number % 2)
        world.receipts["billing"].append(again)
    world.receipts["billing"].remove(one)
    counts = {"duplicates_flagged": flagged, "duplicates_unflagged": unflagged}
    assert accused(judged(world)["billing"]) == {kind: count for kind, count in counts.items() if count}


def test_a_redelivery_of_a_whole_stretch_is_duplication_and_not_disorder() -> None:
    world = honest_world()
    world.receipts["billing"] += [copy_of(r, at_ns=r.at_ns + 90 * MS) for r in world.receipts["billing"][5:30]]
    assert accused(judged(world)["billing"]) == {"duplicates_unflagged": 25}


def test_two_swapped_messages_of_one_key_are_one_reordering_naming_the_late_one() -> None:
    world = honest_world()
    a, b = [r for r in world.receipts["billing"] if r.key == 2][1:3]
    a.at_ns, b.at_ns = b.at_ns, a.at_ns
    billing = judged(world)["billing"]
    assert accused(billing) == {"reordered": 1}
    assert billing.offenders[0].key_sequence == a.key_sequence


def test_messages_of_different_keys_may_overtake_each_other() -> None:
    world = honest_world()
    for receipt in world.receipts["billing"]:
        receipt.at_ns += 500 * MS if receipt.key == 0 else 0
    assert accused(judged(world)["billing"]) == {}


def test_a_late_first_receipt_that_the_broker_marked_as_redelivered_is_told_apart() -> None:
    world = honest_world()
    late = next(r for r in world.receipts["billing"] if r.key == 2)
    late.at_ns, late.redelivered = late.at_ns + 300 * MS, 1
    assert accused(judged(world)["billing"]) == {"reordered_allowed": 1}


def test_disorder_is_allowed_where_no_order_was_promised() -> None:
    world = honest_world(order="none")
    late = next(r for r in world.receipts["billing"] if r.key == 2)
    late.at_ns += 300 * MS
    assert accused(judged(world)["billing"]) == {"reordered_allowed": 1}


def test_a_refused_message_that_is_delivered_is_reported_and_not_expected() -> None:
    world = honest_world()
    world.messages[4].outcomes = [Outcome.REJECTED]
    channel, _ = ledger(world.history(), drain_clean=True, t0_ns=T0, rejection_reasons={"quota": 1})
    assert (channel.acknowledged, channel.rejected, channel.rejection_reasons) == (39, 1, {"quota": 1})
    billing = judged(world)["billing"]
    assert accused(billing) == {"rejected_received": 1}
    assert (billing.expected, billing.received) == (39, 39)


def test_an_oversize_message_that_is_acknowledged_is_told() -> None:
    world = honest_world()
    for place, outcome in ((4, Outcome.REJECTED), (5, Outcome.ACKNOWLEDGED)):
        world.messages[place].oversize, world.messages[place].outcomes = True, [outcome]
    channel, _ = ledger(world.history(), drain_clean=True, t0_ns=T0)
    assert (channel.oversize, channel.oversize_accepted) == (2, 1)


def test_a_message_without_an_outcome_is_unknown_and_neither_lost_nor_duplicate() -> None:
    world = honest_world()
    world.messages[4].outcomes = []
    world.messages[5].outcomes = [Outcome.UNKNOWN]
    world.receipts["billing"] = [r for r in world.receipts["billing"] if (r.publisher, r.sequence) != (1, 2)]
    channel, _ = ledger(world.history(), drain_clean=True, t0_ns=T0)
    assert channel.unknown == 2
    assert accused(judged(world)["billing"]) == {"missing_unknown": 1, "unknown_received": 1}


def test_an_outcome_that_came_after_unknown_is_no_contradiction() -> None:
    world = honest_world()
    world.messages[0].outcomes = [Outcome.UNKNOWN, Outcome.ACKNOWLEDGED, Outcome.ACKNOWLEDGED]
    channel, _ = ledger(world.history(), drain_clean=True, t0_ns=T0)
    assert (channel.contradictions, channel.acknowledged) == (0, 40)


def test_contradictory_outcomes_are_counted_and_the_promise_stands() -> None:
    world = honest_world()
    world.messages[0].outcomes = [Outcome.ACKNOWLEDGED, Outcome.REJECTED]
    history = world.history()
    stray = np.array([(999, T0, Outcome.ACKNOWLEDGED)], OUTCOME)
    first = history.publishers[0]
    twice_sent = np.concatenate([first.sent, first.sent[:1]])
    first = replace(first, sent=twice_sent, outcomes=np.concatenate([first.outcomes, stray]))
    channel, _ = ledger(replace(history, publishers=(first, *history.publishers[1:])), drain_clean=True, t0_ns=T0)
    assert (channel.contradictions, channel.acknowledged, channel.rejected) == (3, 40, 0)


def test_delivered_from_a_class_without_acknowledgement_is_not_believed() -> None:
    world = honest_world()
    world.guaranteed = False
    world.receipts["billing"].pop()
    channel, _ = ledger(world.history(), drain_clean=True, t0_ns=T0)
    assert (channel.sent, channel.acknowledged) == (40, 0)
    assert accused(judged(world)["billing"]) == {"missing_allowed": 1}


def test_corrupt_foreign_and_invented_receipts_are_each_their_own_kind() -> None:
    world = honest_world()
    like = world.receipts["audit"][0]
    world.receipts["audit"] += [
        Receipt(0, 0, 0, 0, 0, like.at_ns + 1, fault=CORRUPT),
        copy_of(like, fault=FOREIGN, at_ns=like.at_ns + 2),
        copy_of(like, sequence=10_000, at_ns=like.at_ns + 3),
        copy_of(like, publisher=77, at_ns=like.at_ns + 4),
        copy_of(like, key=like.key + 1, at_ns=like.at_ns + 5),
        next(r for r in world.receipts["billing"] if r.key % 3 == 1),  # the audit's filter does not select it
    ]
    world.receipts["audit"][-1] = copy_of(world.receipts["audit"][-1], member=0)
    audit = judged(world)["audit"]
    assert accused(audit) == {"corrupt": 1, "foreign": 1, "unexpected": 4}
    details = sorted(o.detail for o in audit.offenders if o.kind == "unexpected")
    assert [sum(word in d for d in details) for word in ("never sent", "under key", "not selected")] == [2, 1, 1]
    assert next(o for o in audit.offenders if o.kind == "corrupt").sequence is None


def test_only_the_first_few_of_a_kind_are_named_and_they_are_the_earliest() -> None:
    world = honest_world()
    del world.receipts["billing"][10:30]
    billing = judged(world)["billing"]
    assert billing.lost == 20
    assert [o.at_s for o in billing.offenders] == pytest.approx([0.010, 0.011, 0.012, 0.013, 0.014])


def test_unscheduled_messages_are_counted_apart_from_those_handed_over() -> None:
    history = honest_world().history()
    first = history.publishers[0]
    first = replace(first, unscheduled=np.zeros(3, SENT))
    channel, _ = ledger(replace(history, publishers=(first, *history.publishers[1:])), drain_clean=True, t0_ns=T0)
    assert (channel.handed_over, channel.unscheduled) == (40, 3)


def test_a_channel_where_nothing_happened_is_all_zero() -> None:
    spec = ReaderSpec("r", "group", 1, "at-least-once")
    nothing = ChannelHistory(
        "orders",
        (PublisherHistory(0, True, np.empty(0, SENT), np.empty(0, OUTCOME)),),
        (ReaderHistory(spec, np.ones(1, np.bool_), (np.empty(0, RECEIVED),)),),
    )
    channel, (reader,) = ledger(nothing, drain_clean=True, t0_ns=T0)
    assert channel.handed_over == reader.expected == reader.receipts == 0


def test_a_topic_that_the_channel_does_not_have_is_refused() -> None:
    world = honest_world()
    world.selected["billing"] = [True]
    with pytest.raises(ValueError, match="topic 2 was sent; the channel has 1"):
        judged(world)


Lie = Callable[[World, str, int, int], None]


def drop(world: World, reader: str, at: int, _: int) -> None:
    world.receipts[reader].pop(at)


def double(world: World, reader: str, at: int, by: int) -> None:
    receipt = world.receipts[reader][at]
    members = world.readers[reader].members
    twin = copy_of(receipt, at_ns=receipt.at_ns + by * MS, redelivered=by % 3, member=by % members)
    world.receipts[reader].append(twin)


def delay(world: World, reader: str, at: int, by: int) -> None:
    world.receipts[reader][at].at_ns += by * MS


def flag(world: World, reader: str, at: int, by: int) -> None:
    world.receipts[reader][at].redelivered = by % 3


def corrupt(world: World, reader: str, at: int, _: int) -> None:
    old = world.receipts[reader][at]
    world.receipts[reader][at] = Receipt(0, 0, 0, 0, 0, old.at_ns, fault=CORRUPT, member=old.member)


def cross_run(world: World, reader: str, at: int, _: int) -> None:
    world.receipts[reader][at].fault = FOREIGN


def invent(world: World, reader: str, at: int, by: int) -> None:
    world.receipts[reader].append(copy_of(world.receipts[reader][at], sequence=100_000 + by))


def forge_key(world: World, reader: str, at: int, by: int) -> None:
    world.receipts[reader][at].key_sequence += by + 1


def misroute(world: World, reader: str, at: int, by: int) -> None:
    message = world.messages[by % len(world.messages)]
    like = world.receipts[reader][at]
    world.receipts[reader].append(
        copy_of(
            like,
            publisher=message.publisher,
            sequence=message.sequence,
            key=message.key,
            key_sequence=message.key_sequence,
        )
    )


def refuse(world: World, _: str, at: int, by: int) -> None:
    message = world.messages[at % len(world.messages)]
    message.outcomes = [[Outcome.REJECTED], [Outcome.UNKNOWN], [], [Outcome.ACKNOWLEDGED, Outcome.REJECTED]][by % 4]


def poison(world: World, reader: str, at: int, by: int) -> None:
    """The reader fails at a message, once or more; whether it is buried is another lie's matter."""
    receipt = world.receipts[reader][at]
    for message in world.messages:
        if (message.publisher, message.sequence) == (receipt.publisher, receipt.sequence):
            message.poison = True
    receipt.fault = FAILED
    if by % 2:
        double(world, reader, at, by)


def bury(world: World, reader: str, at: int, by: int) -> None:
    like = world.receipts[reader][at]
    if world.readers[reader].dead_letters_after is not None:
        letter = Letter(like.publisher, like.sequence, like.key, like.key_sequence, (INTACT, CORRUPT, INTACT)[by % 3])
        world.letters.setdefault(reader, []).append(letter)
    if by % 5:
        drop(world, reader, at, by)


def overfill(world: World, _: str, at: int, by: int) -> None:
    message = world.messages[at % len(world.messages)]
    message.oversize = True
    message.outcomes = [[Outcome.REJECTED], [Outcome.ACKNOWLEDGED]][by % 2]


LIES: tuple[Lie, ...] = (
    drop, double, delay, flag, corrupt, cross_run, invent, forge_key, misroute, refuse, poison, bury, overfill,
)  # fmt: skip

told = st.lists(
    st.tuples(
        st.sampled_from(LIES), st.sampled_from(["billing", "audit", "screen"]), st.integers(0, 999), st.integers(0, 99)
    ),
    max_size=25,
)


@settings(max_examples=150, deadline=None)
@given(
    lies=told,
    shape=st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(30, 60), st.integers(1, 3), st.integers(1, 3)),
    drain_clean=st.booleans(),
    guaranteed=st.booleans(),
    order=st.sampled_from(["per-key", "none"]),
    burial=st.tuples(st.booleans(), st.booleans(), st.booleans(), st.one_of(st.none(), st.integers(0, 8))),
    cuts=st.lists(st.floats(0, 1), max_size=4),
)
def test_any_mixture_of_lies_is_counted_as_a_naive_ledger_counts_it(
    lies: list[tuple[Lie, str, int, int]],
    shape: tuple[int, int, int, int, int],
    drain_clean: bool,
    guaranteed: bool,
    order: Order,
    burial: tuple[bool, bool, bool, int | None],
    cuts: list[float],
) -> None:
    publishers, keys, messages, topics, members = shape
    world = honest_world(
        publishers=publishers,
        keys=max(keys, publishers),
        messages=messages,
        topics=topics,
        members=members,
        order=order,
    )
    world.guaranteed = guaranteed
    has_place, world.place_read, world.expires, world.expired_discarded = burial
    if has_place:
        world.readers["billing"] = replace(world.readers["billing"], dead_letters_after=3)
    for lie, reader, at, by in lies:
        if world.receipts[reader]:
            lie(world, reader, at % len(world.receipts[reader]), by)
    history = world.history()
    channel, readers = ledger(history, drain_clean=drain_clean, t0_ns=T0)
    tally = tallied(history, t0_ns=T0, cuts=cuts)
    assert balanced(tally, drain_clean=drain_clean, given_up=world.given_up()) == (channel, readers)
    assert channel.oversize == sum(m.oversize for m in world.messages)
    refused = sum(m.oversize for m in world.messages if final_outcome(world, m) is Outcome.REJECTED)
    assert channel.oversize_accepted == channel.oversize - refused
    for reader in readers:
        found, name = counts(reader), reader.reader
        assert found == naive_reader_ledger(world, name, drain_clean), name
        missing = found["lost"] + found["pending"] + found["missing_allowed"] + found["missing_unknown"]
        assert found["expected"] == found["received"] + found["dead_lettered"] + found["expired"] + missing
        duplicates = sum(v for k, v in found.items() if k.startswith("duplicates"))
        stray = found["corrupt"] + found["foreign"] + found["unexpected"] + found["failed"]
        assert found["receipts"] == found["received"] + found["rejected_received"] + duplicates + stray


def test_a_million_messages_take_seconds_and_one_lie_among_them_is_found() -> None:
    messages, keys = 1_000_000, 1000
    numbers = np.arange(messages)
    sent = np.zeros(messages, SENT)
    sent["sequence"], sent["key"], sent["key_sequence"] = numbers, numbers % keys, numbers // keys
    sent["intended_ns"] = T0 + numbers * 1000
    outcomes = np.zeros(messages, OUTCOME)
    outcomes["sequence"], outcomes["outcome"] = numbers, Outcome.ACKNOWLEDGED
    received = np.zeros(messages, RECEIVED)
    for column in ("sequence", "key", "key_sequence", "intended_ns"):
        received[column] = sent[column]
    received["received_ns"] = sent["intended_ns"] + 5000
    received = np.delete(received, 123_456)
    members = tuple(received[received["key"] % 4 == m] for m in range(4))
    spec = ReaderSpec("billing", "group", 4, "at-least-once")
    history = ChannelHistory(
        "orders",
        (PublisherHistory(0, True, sent, outcomes),),
        (ReaderHistory(spec, np.ones(1, np.bool_), members),),
    )
    started = time.monotonic()
    _, (billing,) = ledger(history, drain_clean=True, t0_ns=T0)
    assert time.monotonic() - started < 20
    assert accused(billing) == {"lost": 1}
    assert billing.offenders[0].sequence == 123_456
