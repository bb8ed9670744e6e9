"""Histories for the tests of the checks: an honest run to apply lies to, and a naive ledger to compare with."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace

import numpy as np

from crep.harness.brokers.contract import REDELIVERED_YES, Order, Outcome, ReaderSpec
from crep.harness.checks.dead_letters import LETTER, GivenUp
from crep.harness.checks.history import ChannelHistory, PublisherHistory, ReaderHistory
from crep.harness.metrics.history import CORRUPT, FAILED, FOREIGN, INTACT, OUTCOME, RECEIVED, SENT

MS = 1_000_000
T0 = 5_000_000_000


@dataclass
class Message:
    """One send, as plain values."""

    publisher: int
    sequence: int
    key: int
    key_sequence: int
    topic: int
    intended_ns: int
    outcomes: list[Outcome] = field(default_factory=lambda: [Outcome.ACKNOWLEDGED])
    poison: bool = False
    oversize: bool = False


@dataclass
class Receipt:
    """One receipt, as plain values."""

    publisher: int
    sequence: int
    key: int
    key_sequence: int
    intended_ns: int
    at_ns: int
    redelivered: int = 0
    fault: int = INTACT
    member: int = 0


@dataclass
class Letter:
    """A message in a dead letter place, as plain values."""

    publisher: int
    sequence: int
    key: int
    key_sequence: int
    fault: int = INTACT


@dataclass
class World:
    """A channel whose broker is about to be honest or not."""

    messages: list[Message]
    receipts: dict[str, list[Receipt]]  # by reader
    readers: dict[str, ReaderSpec]
    selected: dict[str, list[bool]]
    guaranteed: bool = True
    letters: dict[str, list[Letter]] = field(default_factory=dict)  # by reader that has a place
    place_read: bool = True  # to its end
    expires: bool = False
    expired_discarded: int | None = None

    def given_up(self) -> dict[str, GivenUp]:
        """What is in the dead letter places, and was counted of those who have none."""
        found = {}
        for name in self.readers:
            rows = [
                (one.publisher, one.sequence, one.key, one.key_sequence, one.fault, -1)
                for one in self.letters.get(name, ())
            ]
            found[name] = GivenUp(np.array(rows, LETTER), self.place_read, self.expired_discarded)
        return found

    def history(self) -> ChannelHistory:
        publishers = []
        for number in sorted({m.publisher for m in self.messages}):
            mine = [m for m in self.messages if m.publisher == number]
            sent = [
                (m.sequence, m.intended_ns, m.intended_ns + 1000, m.key, m.key_sequence, m.topic, 100) for m in mine
            ]
            outcomes = [(m.sequence, m.intended_ns + 2 * MS, int(o)) for m in mine for o in m.outcomes]
            publishers.append(
                PublisherHistory(
                    number,
                    self.guaranteed,
                    np.array(sent, SENT),
                    np.array(outcomes, OUTCOME),
                    poison=frozenset(m.sequence for m in mine if m.poison),
                    oversize=frozenset(m.sequence for m in mine if m.oversize),
                    expires=self.expires,
                )
            )
        readers = []
        for name, spec in self.readers.items():
            members = []
            for member in range(spec.members):
                rows = sorted((r for r in self.receipts[name] if r.member == member), key=lambda r: r.at_ns)
                members.append(
                    np.array(
                        [
                            (
                                r.sequence,
                                r.intended_ns,
                                r.at_ns,
                                r.key,
                                r.key_sequence,
                                r.publisher,
                                r.redelivered,
                                r.fault,
                            )
                            for r in rows
                        ],
                        RECEIVED,
                    )
                )
            selected = np.array(self.selected[name], np.bool_)
            readers.append(ReaderHistory(spec, selected, tuple(members), self.given_up()[name]))
        return ChannelHistory("orders", tuple(publishers), tuple(readers))


def honest_world(
    *,
    publishers: int = 2,
    keys: int = 6,
    messages: int = 40,
    topics: int = 3,
    members: int = 2,
    order: Order = "per-key",
) -> World:
    """Everything acknowledged; each reader gets what its filter selects, once, in order, 5 ms after it was intended.

    A key's messages go to one member, as an ordered group gives them out.
    """
    sends: list[Message] = []
    next_key_sequence: Counter[tuple[int, int]] = Counter()
    for number in range(messages):
        publisher = number % publishers
        sequence = number // publishers
        key = publisher + publishers * (sequence % max(1, keys // publishers))
        sends.append(
            Message(publisher, sequence, key, next_key_sequence[publisher, key], key % topics, T0 + number * MS)
        )
        next_key_sequence[publisher, key] += 1
    readers = {
        "billing": ReaderSpec("billing", "group", members, "at-least-once", order=order),
        "audit": ReaderSpec("audit", "exclusive", 1, "at-least-once", topic_filter="some", order="per-key"),
        "screen": ReaderSpec("screen", "all", 1, "at-most-once", order="per-key"),
    }
    selected = {"billing": [True] * topics, "audit": [t == 0 for t in range(topics)], "screen": [True] * topics}
    receipts = {
        name: [
            Receipt(
                m.publisher,
                m.sequence,
                m.key,
                m.key_sequence,
                m.intended_ns,
                m.intended_ns + 5 * MS,
                member=m.key % spec.members,
            )
            for m in sends
            if selected[name][m.topic]
        ]
        for name, spec in readers.items()
    }
    return World(sends, receipts, readers, selected)


KINDS = (
    "expected", "received", "lost", "pending", "missing_allowed", "missing_unknown", "unknown_received",
    "rejected_received", "duplicates_flagged", "duplicates_unflagged", "duplicates_flag_not_offered", "reordered",
    "reordered_allowed", "corrupt", "foreign", "unexpected", "receipts", "failed", "dead_lettered", "expired",
    "misplaced",
)  # fmt: skip


def naive_reader_ledger(world: World, name: str, drain_clean: bool) -> dict[str, int]:
    """The ledger's specification once more, one message at a time with dictionaries; slow, and independent of numpy."""
    count = dict.fromkeys(KINDS, 0)
    spec, at_most_once = world.readers[name], world.readers[name].delivery == "at-most-once"
    sent = {(m.publisher, m.sequence): m for m in world.messages}
    got: set[tuple[int, int]] = set()
    mark_to_spare: set[tuple[int, int]] = set()  # the first receipt has the mark that a later one lacks
    highest: dict[tuple[int, int], int] = defaultdict(lambda: -1)
    ordering = sorted(world.receipts[name], key=lambda r: (r.at_ns, r.member))
    for receipt in ordering:
        assert receipt.member < spec.members
        count["receipts"] += 1
        identity = (receipt.publisher, receipt.sequence)
        message = sent.get(identity)
        if receipt.fault == CORRUPT:
            count["corrupt"] += 1
        elif receipt.fault == FOREIGN:
            count["foreign"] += 1
        elif (
            message is None
            or (message.key, message.key_sequence) != (receipt.key, receipt.key_sequence)
            or not world.selected[name][message.topic]
        ):
            count["unexpected"] += 1
        elif receipt.fault == FAILED:
            count["failed"] += 1
        elif identity in got:
            kind = ("duplicates_unflagged", "duplicates_flagged", "duplicates_flag_not_offered")[receipt.redelivered]
            if kind == "duplicates_unflagged" and identity in mark_to_spare:
                mark_to_spare.remove(identity)
                kind = "duplicates_flagged"
            count[kind] += 1
        else:
            got.add(identity)
            if receipt.redelivered == REDELIVERED_YES:
                mark_to_spare.add(identity)
            outcome = final_outcome(world, message)
            count["rejected_received"] += outcome is Outcome.REJECTED
            count["unknown_received"] += outcome is Outcome.UNKNOWN
            stream = (message.publisher, message.key)
            if message.key_sequence < highest[stream]:
                allowed = at_most_once or spec.order == "none" or receipt.redelivered == 1
                count["reordered_allowed" if allowed else "reordered"] += 1
            highest[stream] = max(highest[stream], message.key_sequence)
    buried = _count_letters(world, name, got, count)
    _count_missing(world, name, drain_clean, got, buried, count)
    return count


def _count_letters(world: World, name: str, got: set[tuple[int, int]], count: dict[str, int]) -> set[tuple[int, int]]:
    """Identities of the reader's messages that lie in its place."""
    sent = {(m.publisher, m.sequence): m for m in world.messages}
    buried: set[tuple[int, int]] = set()
    for letter in world.letters.get(name, ()):
        identity = (letter.publisher, letter.sequence)
        message = sent.get(identity)
        if (
            letter.fault != INTACT
            or message is None
            or (message.key, message.key_sequence) != (letter.key, letter.key_sequence)
            or not world.selected[name][message.topic]
        ):
            count["misplaced"] += 1
            continue
        fine = (message.poison or world.expires) and identity not in got and identity not in buried
        count["misplaced"] += not fine or final_outcome(world, message) is Outcome.REJECTED
        buried.add(identity)
    return buried


def _count_missing(
    world: World,
    name: str,
    drain_clean: bool,
    got: set[tuple[int, int]],
    buried: set[tuple[int, int]],
    count: dict[str, int],
) -> None:
    at_most_once = world.readers[name].delivery == "at-most-once"
    has_place = world.readers[name].dead_letters_after is not None
    vanished = 0  # with a time to live, and nowhere
    for message in world.messages:
        identity = (message.publisher, message.sequence)
        outcome = final_outcome(world, message)
        if outcome is Outcome.REJECTED or not world.selected[name][message.topic]:
            continue
        count["expected"] += 1
        if identity in got:
            count["received"] += 1
        elif identity in buried:
            count["expired" if world.expires and not message.poison else "dead_lettered"] += 1
        elif outcome is Outcome.UNKNOWN:
            count["missing_unknown"] += 1
        elif outcome is Outcome.SENT or at_most_once:
            count["missing_allowed"] += 1
        elif world.expires and not has_place and drain_clean:
            vanished += 1
        else:
            known = drain_clean and (world.place_read or not has_place)
            count["lost" if known else "pending"] += 1
    told = world.expired_discarded
    count["pending" if told is None else "expired" if told >= vanished else "lost"] += vanished


def final_outcome(world: World, message: Message) -> Outcome:
    if not world.guaranteed:
        return Outcome.REJECTED if Outcome.REJECTED in message.outcomes else Outcome.SENT
    for outcome in (Outcome.ACKNOWLEDGED, Outcome.SENT, Outcome.REJECTED):
        if outcome in message.outcomes:
            return outcome
    return Outcome.UNKNOWN


def copy_of(receipt: Receipt, **changes: int) -> Receipt:
    return replace(receipt, **changes)
