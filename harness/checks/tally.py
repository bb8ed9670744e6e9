"""The delivery ledger, kept while the run goes on: bitmaps and counters into which records are folded, then forgotten.

::

    SENT, OUTCOME ─▶ PublisherTally: sent, acknowledged, rejected, accepted      one bit a message each
         │                 │ sent
         │                 ▼
    RECEIVED, merged ─▶ ReaderTally: wanted, received; the highest key sequence of each key; counters; anomalies

What is counted and what each word means is said by ``ledger``, the same thing as a function of all records at once;
``balance`` draws the ledgers from a tally, and the tests hold the two against each other on random histories.

The order of folding is the caller's part of the bargain, and all that it has to know:

* of a publisher, records in the order of its files, and a send before its outcomes;
* of a reader, the receipts of *all* its members merged by time (ties: by member), each call later than the one before.
  So nothing has to be merged afterwards: order across members is judged exactly as if one client had received all;
* a receipt after every send that may have caused it.

Whoever breaks the last two is found out: ``late_receipts`` and ``late_sends`` count it, and the *records* rule fails.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from crep.harness.brokers.contract import (
    REDELIVERED_NO,
    REDELIVERED_NOT_OFFERED,
    REDELIVERED_YES,
    Outcome,
    ReaderSpec,
)
from crep.harness.checks.anomalies import ANOMALY, Anomalies, Recent
from crep.harness.checks.bitmap import CHUNK, EMPTY, Bitmap, Bits
from crep.harness.checks.planned import Planned
from crep.harness.metrics.histogram import Histogram
from crep.harness.metrics.history import CORRUPT, FAILED, FOREIGN, INTACT, Records

SECOND = 1_000_000_000
AWAITED = 1 << 16
"""First receipts that are kept by themselves because their message has no outcome yet."""

Mask = NDArray[np.bool_]
Numbers = NDArray[np.uint64]
Times = NDArray[np.int64]


class Handovers(Protocol):
    """When each message of one publisher was handed over: 8 bytes each, so not for a tally to hold."""

    def put(self, sequences: Numbers, sent_ns: Times) -> None:
        """Keep them."""

    def get(self, sequences: Numbers) -> Times:
        """Times of messages that were put."""


class KeptInMemory:
    """``Handovers`` for histories that are in memory anyway."""

    def __init__(self) -> None:
        self._sent_ns = np.zeros(1024, np.int64)

    def put(self, sequences: Numbers, sent_ns: Times) -> None:
        """Keep them."""
        if len(sequences):
            highest = int(sequences.max())
            if highest >= len(self._sent_ns):
                grown = np.zeros(2 * (highest + 1), np.int64)
                grown[: len(self._sent_ns)] = self._sent_ns
                self._sent_ns = grown
            self._sent_ns[sequences.astype(np.intp)] = sent_ns

    def get(self, sequences: Numbers) -> Times:
        """Times of messages that were put."""
        return np.asarray(self._sent_ns[sequences.astype(np.intp)], np.int64)


@dataclass
class Clock:
    """Moments by whole second of the measured phase: ``t0_ns`` is absolute, ``end_ns`` its end relative to that."""

    t0_ns: int
    end_ns: int

    @property
    def seconds(self) -> int:
        """Whole seconds that the measured phase touches."""
        return -(-self.end_ns // SECOND)

    def per_second(self, moments_ns: Times) -> Times:
        """How many of these (absolute) moments fall into each second of the measured phase."""
        relative = moments_ns - self.t0_ns
        inside = relative[(relative >= 0) & (relative < self.end_ns)]
        return np.bincount(inside // SECOND, minlength=self.seconds)

    def measured(self, intended_ns: Times) -> Mask:
        """Messages intended in these seconds (absolute times)."""
        relative = intended_ns - self.t0_ns
        return np.asarray((relative >= 0) & (relative < self.seconds * SECOND))


class PublisherTally:
    """What became of one publisher's messages."""

    def __init__(self, planned: Planned, clock: Clock, handovers: Handovers) -> None:
        self.planned, self.clock, self.handovers = planned, clock, handovers
        self.sent, self.acknowledged, self.rejected, self.accepted = Bitmap(), Bitmap(), Bitmap(), Bitmap()
        self.strays = 0  # outcomes without a send, and second sends of one sequence
        self.sent_per_second = np.zeros(clock.seconds, np.int64)
        self.acknowledged_per_second = np.zeros(clock.seconds, np.int64)

    def sends(self, records: Records) -> Records:
        """Fold ``SENT`` records; returns those that are the first of their sequence."""
        sequences = np.ascontiguousarray(records["sequence"])
        if len(sequences) and int(sequences.max()) >= self.planned.count:
            raise ValueError(f"publisher {self.planned.publisher} sent more than its {self.planned.count} messages")
        fresh = self.sent.add(sequences)
        if not fresh.all():
            self.strays += int(np.count_nonzero(~fresh))
            records, sequences = records[fresh], sequences[fresh]
        sent_ns = np.ascontiguousarray(records["sent_ns"])
        self.handovers.put(sequences, sent_ns)
        self.sent_per_second += self.clock.per_second(sent_ns)
        return records

    def outcomes(self, records: Records) -> None:
        """Fold ``OUTCOME`` records."""
        known = self.knows(np.ascontiguousarray(records["sequence"]))
        if not known.all():
            self.strays += int(np.count_nonzero(~known))
            records = records[known]
        kinds = records["outcome"]
        for outcome, bitmap in (
            (Outcome.ACKNOWLEDGED, self.acknowledged),
            (Outcome.REJECTED, self.rejected),
            (Outcome.SENT, self.accepted),
        ):
            these = kinds == outcome
            if not these.any():
                continue
            first = bitmap.add(records["sequence"][these])
            if outcome is Outcome.ACKNOWLEDGED and self.planned.guaranteed:
                self.acknowledged_per_second += self.clock.per_second(records["at_ns"][these][first])

    def knows(self, sequences: Numbers) -> Mask:
        """Which of them were sent."""
        possible = sequences < np.uint64(self.planned.count)
        if possible.all():
            return self.sent.holds(sequences)
        return possible & self.sent.holds(np.where(possible, sequences, np.uint64(0)))

    def final(self, sequences: Numbers) -> Mask:
        """Which of them, all sent, have an outcome that no later one can change; *rejected* is none."""
        final = self.acknowledged.holds(sequences) | self.accepted.holds(sequences)
        return final if self.planned.guaranteed else final & ~self.rejected.holds(sequences)

    def refused(self, sequences: Numbers) -> Mask:
        """Which of them have *rejected* for their outcome."""
        rejected = self.rejected.holds(sequences)
        if not self.planned.guaranteed:
            return rejected
        return rejected & ~self.acknowledged.holds(sequences) & ~self.accepted.holds(sequences)

    def poison_bits(self, chunk: int) -> Bits:
        """Which messages of a chunk are poison."""
        return self._chosen(chunk, self.planned.poisonous) if self.planned.has_poison else EMPTY

    def oversized_bits(self, chunk: int) -> Bits:
        """Which messages of a chunk are larger than the channel takes."""
        return self._chosen(chunk, self.planned.oversized) if self.planned.has_oversize else EMPTY

    def _chosen(self, chunk: int, choose: Callable[[Numbers], Mask]) -> Bits:
        first = chunk * CHUNK
        last = min(first + CHUNK, self.planned.count)
        chosen = np.zeros(CHUNK, np.bool_)
        chosen[: max(0, last - first)] = choose(np.arange(first, max(first, last), dtype=np.uint64))
        return np.packbits(chosen)

    def outcome_bits(self, chunk: int) -> dict[Outcome, Bits]:
        """Final outcomes of one chunk's messages: of several the acknowledgement stands, then *sent*.

        A class without acknowledgement knows *rejected* and *sent* only (METHOD rule 5).
        """
        sent, rejected = self.sent.chunk(chunk), self.rejected.chunk(chunk)
        if not self.planned.guaranteed:
            return {
                Outcome.ACKNOWLEDGED: EMPTY,
                Outcome.REJECTED: rejected,
                Outcome.SENT: without(sent, rejected),
                Outcome.UNKNOWN: EMPTY,
            }
        acknowledged = self.acknowledged.chunk(chunk)
        accepted = without(self.accepted.chunk(chunk), acknowledged)
        rejected = without(without(rejected, acknowledged), accepted)
        unknown = without(without(without(sent, acknowledged), accepted), rejected)
        return {
            Outcome.ACKNOWLEDGED: acknowledged,
            Outcome.REJECTED: rejected,
            Outcome.SENT: accepted,
            Outcome.UNKNOWN: unknown,
        }


def without(bits: Bits, others: Bits) -> Bits:
    """``bits`` that are not among ``others``; the constants stay what they are where that is plain."""
    if bits is EMPTY or others is EMPTY:
        return bits
    return bits & ~others


class ReaderTally:
    """What one logical reader was to get, and got."""

    def __init__(self, spec: ReaderSpec, selected: Mask, publishers: Sequence[PublisherTally], clock: Clock) -> None:
        self.spec, self.selected, self.clock = spec, selected, clock
        self.selects_all = bool(selected.all())
        self._publishers = publishers
        self.received = {one.planned.publisher: Bitmap() for one in publishers}
        self.wanted = {n: Bitmap() for n in self.received} if not self.selects_all else {}
        self.marked = {n: Bitmap() for n in self.received}  # first receipts that are marked as redelivered
        self.unmarked = {n: Bitmap() for n in self.received}  # of these, with a further receipt that is not
        self.highest = np.full(0, -1, np.int64)  # by key: the highest key sequence received, -1 for none
        self.counts: Counter[str] = Counter()
        self.members = np.zeros(spec.members, np.int64)
        self.per_second = np.zeros(clock.seconds, np.int64)
        self.service = Histogram()
        self.anomalies = Anomalies()
        self.awaited = np.empty(0, ANOMALY)  # first receipts without a final outcome, the earliest
        self.latest_ns = np.iinfo(np.int64).min
        self.late_receipts = self.late_sends = 0
        self._recent = Recent()
        self.never_sent: set[tuple[int, int]] = set()

    @property
    def receipts(self) -> int:
        """All receipts, whatever they are."""
        return int(self.members.sum())

    def sends(self, publisher: PublisherTally, records: Records) -> None:
        """Fold first ``SENT`` records of a publisher: what of them the filter selects is to come."""
        if not len(records):
            return
        number, topics = publisher.planned.publisher, records["topic"]
        if int(topics.max()) >= len(self.selected):
            raise ValueError(f"topic {int(topics.max())} was sent; the channel has {len(self.selected)}")
        if not self.selects_all:
            self.wanted[number].add(np.ascontiguousarray(records["sequence"][self.selected[topics]]))
        if self.never_sent:
            sequences = records["sequence"].tolist()
            self.late_sends += sum((number, sequence) in self.never_sent for sequence in sequences)

    def wanted_bits(self, publisher: PublisherTally, chunk: int) -> Bits:
        """What the filter selects of what was sent."""
        if self.selects_all:
            return publisher.sent.chunk(chunk)
        return self.wanted[publisher.planned.publisher].chunk(chunk)

    def fold(self, records: Records, members: NDArray[np.uint16]) -> None:
        """Fold ``RECEIVED`` records of all members, merged by time; ``members`` says whose each one is."""
        self._settle_awaited()
        if not len(records):
            return
        received_ns = np.ascontiguousarray(records["received_ns"])
        self.late_receipts += int(np.count_nonzero(received_ns < self.latest_ns))
        self.latest_ns = max(self.latest_ns, int(received_ns[-1]))
        self.members += np.bincount(members, minlength=self.spec.members)
        located, first, failed = self._locate(records, members)
        self.per_second += self.clock.per_second(received_ns[located])
        late = self._overtaken(records, first)
        self._recent.add(records, first)
        self.counts["failed"] += int(np.count_nonzero(failed))
        self._judge(records, members, located, first, late, failed)

    def _locate(self, records: Records, members: NDArray[np.uint16]) -> tuple[Mask, Mask, Mask]:
        """Which receipts are of messages that were to come, and which of these are the first of their message.

        The third mask has those of messages that were to come and that the reader failed to process: no receipts of
        theirs.
        """
        located, first, failed, open_ = (np.zeros(len(records), np.bool_) for _ in range(4))
        fault = records["fault"]
        intact, refused = fault == INTACT, fault == FAILED
        any_refused = bool(refused.any())
        if any_refused:
            intact |= refused
        for publisher in self._publishers:
            number = publisher.planned.publisher
            mine = np.flatnonzero(intact & (records["publisher"] == number))
            if not len(mine):
                continue
            sequences = records["sequence"][mine]
            known = publisher.knows(sequences)
            if not known.all():
                self._note_never_sent(number, sequences[~known])
                mine, sequences = mine[known], sequences[known]
            key, key_sequence = publisher.planned.identity(sequences)
            honest = (records["key"][mine] == key) & (records["key_sequence"][mine] == key_sequence)
            if not self.selects_all:
                honest &= self.selected[publisher.planned.topic_of(key)]
            if not honest.all():
                mine, sequences = mine[honest], sequences[honest]
            if any_refused:
                kept = ~refused[mine]
                failed[mine[~kept]] = True
                mine, sequences = mine[kept], sequences[kept]
            located[mine] = True
            fresh = self.received[number].add(sequences)
            first[mine[fresh]] = True
            self._time(publisher, records["intended_ns"][mine], records["received_ns"][mine], sequences)
            if len(self.awaited) < AWAITED:
                open_[mine[fresh]] = ~publisher.final(sequences[fresh])
        self._await(records, members, np.flatnonzero(open_)[: AWAITED - len(self.awaited)])
        return located, first, failed

    def _note_never_sent(self, number: int, sequences: Numbers) -> None:
        room = AWAITED - len(self.never_sent)
        self.never_sent.update((number, sequence) for sequence in sequences[: max(0, room)].tolist())

    def _time(self, publisher: PublisherTally, intended_ns: Times, received_ns: Times, sequences: Numbers) -> None:
        """Service time: received minus handed over, of messages intended in the measured phase."""
        measured = self.clock.measured(intended_ns)
        if measured.any():
            sent_ns = publisher.handovers.get(sequences[measured])
            self.service.record(received_ns[measured] - sent_ns)

    def _overtaken(self, records: Records, first: Mask) -> Mask:
        """First receipts after one of a higher key sequence of their key (``order.overtaken``, going on)."""
        late = np.zeros(len(records), np.bool_)
        places = np.flatnonzero(first)
        if not len(places):
            return late
        keys, sequences = records["key"][places], records["key_sequence"][places].astype(np.int64)
        self._reach(int(keys.max()))
        small = keys.astype(np.uint16) if len(self.highest) <= 1 << 16 else keys  # a stable sort of these is by radix
        by_key = np.argsort(small, kind="stable")
        keys, sequences = keys[by_key], sequences[by_key]
        last = np.append(keys[1:] != keys[:-1], True)
        group = np.cumsum(last) - last
        running = np.maximum.accumulate((group << 32) | sequences) & 0xFFFFFFFF
        before = self.highest[keys]
        late[places[by_key]] = (sequences < running) | (sequences < before)
        self.highest[keys[last]] = np.maximum(before[last], running[last])
        return late

    def _reach(self, key: int) -> None:
        if key >= len(self.highest):
            grown = np.full(max(key + 1, 2 * len(self.highest)), -1, np.int64)
            grown[: len(self.highest)] = self.highest
            self.highest = grown

    def _judge(
        self,
        records: Records,
        members: NDArray[np.uint16],
        located: Mask,
        first: Mask,
        late: Mask,
        failed: Mask,
    ) -> None:
        fault, flag = records["fault"], records["redelivered"]
        found: dict[str, Mask] = {}
        if not located.all():
            unexpected = (fault != CORRUPT) & (fault != FOREIGN) & ~located & ~failed
            found |= {"corrupt": fault == CORRUPT, "foreign": fault == FOREIGN, "unexpected": unexpected}
        self._note_marked(records, first & (flag == REDELIVERED_YES))
        if not first.all():
            again = located & ~first
            marked = again & (flag == REDELIVERED_YES)
            marked |= self._marked_before(records, again & (flag == REDELIVERED_NO))
            found |= {
                "duplicate-flagged": marked,
                "duplicate-unflagged": again & (flag == REDELIVERED_NO) & ~marked,
                "duplicate-flag-not-offered": again & (flag == REDELIVERED_NOT_OFFERED),
            }
        if late.any():
            excused = flag == REDELIVERED_YES
            if self.spec.order == "none" or self.spec.delivery == "at-most-once":
                excused = np.ones(len(records), np.bool_)
            found |= {"reordered": late & ~excused, "reordered-allowed": late & excused}
        for kind, mask in found.items():
            places = np.flatnonzero(mask)
            self.counts[kind] += len(places)
            if room := self.anomalies.room(kind, len(places)):
                kept = _with_member(records[places[:room]], members[places[:room]])
                if kind.startswith("duplicate"):
                    kept["first_ns"] = [self._recent.time_of(*one) for one in _identities(kept)]
                self.anomalies.keep(kind, kept)

    def _note_marked(self, records: Records, marked: Mask) -> None:
        for number, places in self._by_publisher(records, marked):
            self.marked[number].add(records["sequence"][places])

    def _marked_before(self, records: Records, unmarked: Mask) -> Mask:
        """Of further receipts without the mark: the first of each message whose first receipt has it."""
        found = np.zeros(len(records), np.bool_)
        for number, places in self._by_publisher(records, unmarked):
            spared = places[self.marked[number].holds(records["sequence"][places])]
            found[spared] = self.unmarked[number].add(records["sequence"][spared])
        return found

    def _by_publisher(self, records: Records, chosen: Mask) -> Iterable[tuple[int, NDArray[np.intp]]]:
        places = np.flatnonzero(chosen)
        for number in self.received if len(places) else ():
            yield number, places[records["publisher"][places] == number]

    def _await(self, records: Records, members: NDArray[np.uint16], places: NDArray[np.intp]) -> None:
        if len(places):
            self.awaited = np.concatenate([self.awaited, _with_member(records[places], members[places])])

    def _settle_awaited(self) -> None:
        """Forget those whose outcome is known to be good."""
        if not len(self.awaited):
            return
        good = np.zeros(len(self.awaited), np.bool_)
        for publisher in self._publishers:
            mine = np.flatnonzero(self.awaited["publisher"] == publisher.planned.publisher)
            good[mine] = publisher.final(np.ascontiguousarray(self.awaited["sequence"][mine]))
        if good.any():
            self.awaited = self.awaited[~good]


def _identities(records: Records) -> Iterable[tuple[int, int]]:
    return zip(records["publisher"].tolist(), records["sequence"].tolist(), strict=True)


def _with_member(records: Records, members: NDArray[np.uint16]) -> Records:
    kept = np.zeros(len(records), ANOMALY)
    for name in records.dtype.names or ():
        kept[name] = records[name]
    kept["member"] = members
    return kept


@dataclass
class ChannelTally:
    """One channel: its publishers by their place in it, and its readers."""

    channel: str
    clock: Clock
    publishers: tuple[PublisherTally, ...]
    readers: tuple[ReaderTally, ...] = field(default=())

    @classmethod
    def empty(
        cls,
        channel: str,
        clock: Clock,
        planned: Mapping[int, tuple[Planned, Handovers]],
        readers: Sequence[tuple[ReaderSpec, Mask]],
    ) -> ChannelTally:
        """Nothing has happened. ``planned`` is by publisher number, in their order; masks are by topic."""
        publishers = tuple(PublisherTally(one, clock, times) for one, times in planned.values())
        return cls(
            channel, clock, publishers, tuple(ReaderTally(spec, mask, publishers, clock) for spec, mask in readers)
        )

    @property
    def chunks(self) -> int:
        """Chunks up to the highest message that was sent."""
        return max((one.sent.chunks for one in self.publishers), default=0)

    def sends(self, publisher: PublisherTally, records: Records) -> None:
        """Fold ``SENT`` records."""
        first = publisher.sends(records)
        for reader in self.readers:
            reader.sends(publisher, first)
