"""Clients that are killed at any moment, as often as you like: the ledger of what they wrote tells the truth.

The clients write through the engines' own ``HistoryWriter``; broker, clock and crashes are drawn. What really happened
is kept beside it, and the ledger is held against that.
"""

from __future__ import annotations

import tempfile
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crep.harness.brokers.contract import ChannelSpec, Durability, Outcome, ReaderSpec
from crep.harness.checks.balance import channel_ledger, damage, reader_ledger
from crep.harness.load import background
from crep.harness.load.background import HistoryWriter
from crep.harness.load.earlier import earlier
from crep.harness.metrics.history import (
    OUTCOME,
    RECEIVED,
    SENT,
    AheadFile,
    Records,
    outcomes_file,
    publisher_marks,
    read_records,
    reader_marks,
    received_file,
    sent_file,
)
from crep.harness.runs.ledger import LedgerFolder, load_tallies
from crep.harness.scenario.plan import Plan
from tests.checks.simulated import T0, a_plan

Message = tuple[int, int]  # publisher, sequence
MEMBERS = 2
TORN = b"torn"
_STEP_NS = 1_000_000


def a_small_plan() -> Plan:
    reader = ReaderSpec("billing", "group", MEMBERS, "at-least-once")
    channel = ChannelSpec("orders", ("orders/eu", "orders/us"), 8, (reader,), Durability(1, "disk"))
    made = a_plan(rate=40, measured_s=1, warm_up_s=0, keys=8, kill_at_s=None)
    return replace(made, channels={"bus": (channel,)})


PLAN = a_small_plan()


class AtOnce:
    """``Background`` without a thread: what was handed to it before a crash is written, as a write(2) is."""

    def __init__(self, name: str) -> None:
        self.name = name

    def submit(self, work: Callable[..., None], *args: Any) -> None:
        work(*args)

    def check(self) -> None: ...

    def close(self, timeout_s: float) -> None: ...


@dataclass
class World:
    """Two publishers, a broker with one reader, its members; and what really happened."""

    folder: Path
    acknowledge_first: bool

    def __post_init__(self) -> None:
        self.now_ns = T0
        self.queue: deque[tuple[Message, bool]] = deque()  # with: delivered before
        self.at_hand: dict[int, list[tuple[Message, bool]]] = defaultdict(list)  # by member: what it works on
        self.held: dict[int, list[Message]] = defaultdict(list)  # by member: not acknowledged
        self.halfway: dict[int, bool] = defaultdict(bool)  # by member: recorded, or acknowledged
        self.position = [0, 0]  # by publisher: the first message that it has not handed over
        self.unsettled: dict[int, list[Records]] = defaultdict(list)  # by publisher: handed over, not yet in its books
        self.open: dict[int, list[int]] = defaultdict(list)  # by publisher: acknowledgements on their way
        self.untold: dict[int, list[int]] = defaultdict(list)  # the same, not yet in the operating system's hands
        self.acknowledged: set[Message] = set()  # as written
        self.receipts: Counter[Message] = Counter()  # as written
        self.publishers = [self._publisher(number) for number in range(2)]
        self.members = [self._member(number) for number in range(MEMBERS)]
        self.ledger = LedgerFolder(self.folder, PLAN, T0, keep_records=True, clock=lambda: 0.0)

    def _publisher(self, number: int) -> HistoryWriter:
        files = {sent_file(number): SENT, outcomes_file(number): OUTCOME}
        return HistoryWriter(self.folder, files, marks=publisher_marks(number), ahead=sent_file(number))

    def _member(self, number: int) -> HistoryWriter:
        name = received_file("orders", "billing", number)
        return HistoryWriter(self.folder, {name: RECEIVED}, marks=reader_marks("orders", "billing", number), ahead=name)

    def tick(self) -> int:
        self.now_ns += _STEP_NS
        return self.now_ns

    def publish(self, number: int, offered: int, taken: int) -> None:
        """Offer messages; the client library takes some of them, and so does the broker."""
        writer, plan = self.publishers[number], PLAN.publishers[number]
        first = self.position[number]
        sequences = np.arange(first, min(first + offered, plan.count), dtype=np.uint64)
        records = np.zeros(len(sequences), SENT)
        records["sequence"], records["intended_ns"] = sequences, plan.intended_ns(sequences) + T0
        records["sent_ns"] = self.tick()
        records["key"], records["key_sequence"] = plan.assignment.of(sequences)
        records["topic"] = plan.assignment.topic_of(records["key"])
        writer.offer(first, records)
        for sequence in sequences[:taken].tolist():
            self.queue.append(((number, sequence), False))
            self.open[number].append(sequence)
        self.unsettled[number].append(records[:taken])
        self.position[number] += len(records[:taken])

    def settle(self, number: int) -> None:
        """The library reports the acknowledgements that have come."""
        self._bring_up_to_date(number)
        outcomes = np.zeros(len(self.open[number]), OUTCOME)
        outcomes["sequence"], outcomes["outcome"] = self.open[number], Outcome.ACKNOWLEDGED
        outcomes["at_ns"] = self.tick()
        self.publishers[number].append(outcomes_file(number), outcomes)
        self.untold[number] += self.open[number]
        self.open[number] = []

    def _bring_up_to_date(self, number: int) -> None:
        for records in self.unsettled.pop(number, []):
            self.publishers[number].append(sent_file(number), records)

    def flush(self, number: int) -> None:
        """As the engine's pulse: a mark vouches for what was handed over before the books were brought up to date."""
        until_ns = self.tick()
        self._bring_up_to_date(number)
        self.publishers[number].mark(until_ns)
        self.acknowledged |= {(number, sequence) for sequence in self.untold[number]}
        self.untold[number] = []

    def crash_publisher(self, number: int) -> None:
        """Nothing that was offered is ever sent again; what was on its way to the broker has arrived there."""
        self._kill(self.publishers[number], sent_file(number), outcomes_file(number), publisher_marks(number))
        self.open[number], self.untold[number], self.unsettled[number] = [], [], []
        self.publishers[number] = self._publisher(number)
        self.position[number] = self.publishers[number].held(sent_file(number))

    def advance(self, member: int, most: int) -> None:
        """Go one step: take messages, then record and acknowledge them, or the other way round."""
        came = self.at_hand[member]
        if not came:
            came += [self.queue.popleft() for _ in range(min(most, len(self.queue)))]
            self.held[member] = [message for message, _ in came]
        elif self.halfway[member] == self.acknowledge_first:
            self._record(member, came)
            self._went_on(member)
        else:
            self.held[member] = []
            self._went_on(member)

    def _went_on(self, member: int) -> None:
        if self.halfway[member]:
            self.at_hand[member] = []
        self.halfway[member] = not self.halfway[member]

    def _record(self, member: int, came: list[tuple[Message, bool]]) -> None:
        records = np.zeros(len(came), RECEIVED)
        for place, ((number, sequence), again) in enumerate(came):
            plan = PLAN.publishers[number]
            key, key_sequence = plan.assignment.of(np.array([sequence]))
            records[place]["sequence"], records[place]["publisher"] = sequence, number
            records[place]["key"], records[place]["key_sequence"] = key[0], key_sequence[0]
            records[place]["intended_ns"] = plan.intended_ns(np.array([sequence]))[0] + T0
            records[place]["redelivered"] = again
        records["received_ns"] = self.tick()
        self.members[member].append(received_file("orders", "billing", member), records)
        self.receipts.update(message for message, _ in came)

    def beat(self, member: int) -> None:
        self.members[member].mark(self.tick())

    def crash_member(self, member: int) -> None:
        """What it held goes back to the front of the queue."""
        name = received_file("orders", "billing", member)
        self._kill(self.members[member], name, reader_marks("orders", "billing", member))
        self.queue.extendleft((message, True) for message in reversed(self.held[member]))
        self.held[member], self.at_hand[member], self.halfway[member] = [], [], False
        self.members[member] = self._member(member)

    def _kill(self, writer: HistoryWriter, *files: str) -> None:
        writer.release()
        for name in files:
            with (self.folder / name).open("ab") as file:
                file.write(TORN)

    def fold(self) -> None:
        while self.ledger.step():
            pass

    def end(self) -> None:
        """Everybody goes on to the end of the schedule; the broker has nothing left."""
        for number, plan in enumerate(PLAN.publishers):
            self.publish(number, plan.count, plan.count)
            self.settle(number)
            self.flush(number)
            self.publishers[number].close(5)
        while self.queue or any(self.at_hand.values()):
            for member in range(MEMBERS):
                self.advance(member, 5)
        for writer in self.members:
            writer.close(5)
        self.ledger.finish()


Act = Callable[[World], None]


def happenings(chance: np.random.Generator) -> list[Act]:
    """Up to eighty things that happen, in any order, one in eight of them a crash."""

    def one() -> Act:
        who, offered = int(chance.integers(0, 2)), int(chance.integers(0, 7))
        taken = int(chance.integers(0, offered + 1))
        return chance.choice(
            np.array(
                [
                    lambda world: world.publish(who, offered, taken),
                    lambda world: world.settle(who),
                    lambda world: world.flush(who),
                    lambda world: world.advance(who, offered),
                    lambda world: world.advance(who, offered),
                    lambda world: world.beat(who),
                    lambda world: world.fold(),
                    (lambda world: world.crash_publisher(who))
                    if chance.random() < 0.5
                    else (lambda world: world.crash_member(who)),
                ],
                object,
            )
        )

    return [one() for _ in range(int(chance.integers(0, 80)))]


def lived(folder: Path, acts: list[Act], *, acknowledge_first: bool) -> World:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(background, "Background", AtOnce)
        world = World(folder, acknowledge_first)
        for act in acts:
            act(world)
        world.end()
    return world


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_however_clients_are_killed_the_ledger_tells_the_truth(seed: int, acknowledge_first: bool) -> None:
    with tempfile.TemporaryDirectory() as name:
        acts = happenings(np.random.default_rng(seed))
        world = lived(Path(name), acts, acknowledge_first=acknowledge_first)
        everything = {(number, n) for number, plan in enumerate(PLAN.publishers) for n in range(plan.count)}
        never = everything - set(world.receipts)
        for from_records in (False, True):
            [tally] = load_tallies(Path(name), PLAN, T0, from_records=from_records).values()
            sends, [reader] = channel_ledger(tally), tally.readers
            found = reader_ledger(tally, reader, drain_clean=True)
            assert (sends.handed_over, sends.unscheduled, sends.contradictions) == (len(everything), 0, 0)
            assert sends.acknowledged == len(world.acknowledged)
            assert sends.unknown == len(everything - world.acknowledged)
            assert found.received == len(world.receipts)
            assert (
                found.duplicates_flagged + found.duplicates_unflagged == sum(world.receipts.values()) - found.received
            )
            assert found.lost == len(world.acknowledged & never)
            assert found.missing_unknown == len(never - world.acknowledged)
            assert (found.unexpected, found.corrupt, found.foreign) == (0, 0, 0)
            assert damage("orders.billing", reader, found) == []
            if not acknowledge_first:
                assert found.lost == 0
        for number in range(2):
            told = earlier(Path(name), number)
            mine = {message for message in world.acknowledged if message[0] == number}
            assert (told["acknowledged"], told["unknown"]) == (len(mine), PLAN.publishers[number].count - len(mine))


def test_a_message_that_was_acknowledged_before_its_member_died_is_found_lost(tmp_path: Path) -> None:
    acts: list[Act] = [
        lambda world: world.publish(0, 3, 3),
        lambda world: world.settle(0),
        lambda world: world.flush(0),
        *[lambda world: world.advance(0, 1)] * 5,  # the first is done, the second acknowledged
        lambda world: world.crash_member(0),
    ]
    lived(tmp_path, acts, acknowledge_first=True)
    [tally] = load_tallies(tmp_path, PLAN, T0).values()
    found = reader_ledger(tally, tally.readers[0], drain_clean=True)
    assert (found.lost, [(one.publisher, one.sequence) for one in found.offenders]) == (1, [(0, 1)])


def a_record(sequence: int) -> Records:
    records = np.zeros(1, SENT)
    records["sequence"] = sequence
    return records


def test_a_record_that_was_torn_is_cut_off_and_its_place_taken_again(tmp_path: Path) -> None:
    path = tmp_path / "publisher-0.sent"
    file = AheadFile(path, SENT)
    file.put(0, a_record(0))
    file.put(1, a_record(1))
    file.close()
    path.write_bytes(path.read_bytes()[:-7])
    again = AheadFile(path, SENT)
    assert again.count == 1
    again.put(1, a_record(41))
    again.put(1, a_record(42))
    with pytest.raises(ValueError, match="do not fit"):
        again.put(3, a_record(9))
    again.close()
    assert read_records(path, SENT)["sequence"].tolist() == [0, 42]
