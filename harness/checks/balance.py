"""The delivery ledgers that a tally adds up to; every word of them is defined by ``ledger``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from crep.harness.brokers.contract import Outcome
from crep.harness.checks.anomalies import UNKNOWN_NS, counted_only
from crep.harness.checks.bitmap import EMPTY, WHOLE, Bitmap, Bits, numbers_in, ones
from crep.harness.checks.dead_letters import LETTER, GivenUp, Letters, all_expired, is_known, letters_known
from crep.harness.checks.ledger import MISSING, RECEIVED_KINDS
from crep.harness.checks.planned import intended_before
from crep.harness.checks.results import ChannelLedger, Offender, ReaderLedger
from crep.harness.checks.tally import SECOND, ChannelTally, PublisherTally, ReaderTally, Times, without
from crep.harness.metrics.history import INTACT

_BY_OUTCOME = {"unknown-received": Outcome.UNKNOWN, "rejected-received": Outcome.REJECTED}
"""Kinds that the message's final outcome makes, not its receipt."""

NOT_KEPT = "was not kept"
"""Ends the detail of an offender of which the tally knows less than all records together would tell."""


def channel_ledger(tally: ChannelTally, rejection_reasons: Mapping[str, int] | None = None) -> ChannelLedger:
    """Outcomes of all sends."""
    count: Counter[Outcome] = Counter()
    contradictions = oversize = oversize_accepted = 0
    for publisher in tally.publishers:
        contradictions += publisher.strays
        for chunk in range(publisher.sent.chunks):
            for outcome, bits in publisher.outcome_bits(chunk).items():
                count[outcome] += ones(bits)
            contradictions += ones(_contradicted(publisher, chunk))
            too_large = _both(publisher.sent.chunk(chunk), publisher.oversized_bits(chunk))
            oversize += ones(too_large)
            oversize_accepted += ones(without(too_large, publisher.outcome_bits(chunk)[Outcome.REJECTED]))
    handed_over = sum(len(publisher.sent) for publisher in tally.publishers)
    return ChannelLedger(
        channel=tally.channel,
        handed_over=handed_over,
        acknowledged=count[Outcome.ACKNOWLEDGED],
        rejected=count[Outcome.REJECTED],
        unknown=count[Outcome.UNKNOWN],
        sent=count[Outcome.SENT],
        unscheduled=sum(publisher.planned.count for publisher in tally.publishers) - handed_over,
        contradictions=contradictions,
        oversize=oversize,
        oversize_accepted=oversize_accepted,
        rejection_reasons=dict(rejection_reasons or {}),
    )


def _contradicted(publisher: PublisherTally, chunk: int) -> Bits:
    """Messages with two different definite outcomes."""
    acknowledged, rejected, accepted = (
        bitmap.chunk(chunk) for bitmap in (publisher.acknowledged, publisher.rejected, publisher.accepted)
    )
    return _either(_both(acknowledged, rejected), _both(acknowledged, accepted), _both(rejected, accepted))


def reader_ledger(
    tally: ChannelTally,
    reader: ReaderTally,
    *,
    drain_clean: bool,
    given_up: GivenUp | None = None,
    offenders: int = 5,
) -> ReaderLedger:
    """What one logical reader should have received, and did; ``offenders`` of each kind are named, the earliest."""
    letters, in_place = _letters(reader, tally.publishers, given_up)
    known = drain_clean and is_known(given_up, reader.spec)
    books = [
        _Books(reader, publisher, in_place[publisher.planned.publisher], clean=drain_clean, known=known)
        for publisher in tally.publishers
    ]
    gone = sum(one.may_have_expired for one in books if drain_clean)
    if all_expired(given_up, reader.spec, gone):
        for one in books:
            one.discards = drain_clean
    count: Counter[str] = Counter(reader.counts)
    for one in books:
        count.update(one.counts())
    return ReaderLedger(
        channel=tally.channel,
        reader=reader.spec.name,
        share=reader.spec.share,
        delivery=reader.spec.delivery,
        members=reader.spec.members,
        expected=count["expected"],
        received=count["received"],
        lost=count["lost"],
        pending=count["pending"],
        missing_allowed=count["missing-allowed"],
        missing_unknown=count["missing-unknown"],
        unknown_received=count["unknown-received"],
        rejected_received=count["rejected-received"],
        duplicates_flagged=count["duplicate-flagged"],
        duplicates_unflagged=count["duplicate-unflagged"],
        duplicates_flag_not_offered=count["duplicate-flag-not-offered"],
        reordered=count["reordered"],
        reordered_allowed=count["reordered-allowed"],
        corrupt=count["corrupt"],
        foreign=count["foreign"],
        unexpected=count["unexpected"],
        failed=count["failed"],
        dead_lettered=count["dead-lettered"],
        expired=count["expired"],
        letters=letters_known(given_up, reader.spec),
        misplaced=int(np.count_nonzero(letters.misplaced)),
        receipts=reader.receipts,
        members_receipts=tuple(reader.members.tolist()),
        offenders=(*_offenders(reader, books, tally.clock.t0_ns, offenders), *letters.offenders(offenders)),
    )


def _letters(
    reader: ReaderTally, publishers: Sequence[PublisherTally], given_up: GivenUp | None
) -> tuple[Letters, dict[int, Bitmap]]:
    """The letters of a reader, and by publisher the messages that they are."""
    records = np.empty(0, LETTER) if given_up is None else given_up.letters
    located, refused, processed, due = (np.zeros(len(records), np.bool_) for _ in range(4))
    in_place = {}
    for publisher in publishers:
        number = publisher.planned.publisher
        mine = np.flatnonzero((records["publisher"] == number) & (records["fault"] == INTACT))
        mine = mine[publisher.knows(np.ascontiguousarray(records["sequence"][mine]))]
        key, key_sequence = publisher.planned.identity(np.ascontiguousarray(records["sequence"][mine]))
        honest = (records["key"][mine] == key) & (records["key_sequence"][mine] == key_sequence)
        mine = mine[honest & reader.selected[publisher.planned.topic_of(key)]]
        sequences = np.ascontiguousarray(records["sequence"][mine])
        located[mine] = True
        refused[mine] = publisher.refused(sequences)
        processed[mine] = reader.received[number].holds(sequences)
        due[mine] = publisher.planned.expires | publisher.planned.poisonous(sequences)
        in_place[number] = Bitmap()
        in_place[number].add(sequences)
    return Letters(records, located, refused, processed, due), in_place


class _Books:
    """One reader's messages of one publisher, put in their places chunk by chunk.

    Args:
        reader: the reader.
        publisher: the publisher.
        in_place: messages in the reader's dead letter place.
        clean: the drain ended clean.
        known: and it is known what was given up.
    """

    def __init__(
        self, reader: ReaderTally, publisher: PublisherTally, in_place: Bitmap, *, clean: bool, known: bool
    ) -> None:
        self.reader, self.publisher, self._in_place = reader, publisher, in_place
        self.received = reader.received[publisher.planned.publisher]
        self._has_place = reader.spec.dead_letters_after is not None
        self._judges_loss = known or (clean and not (self._has_place or publisher.planned.expires))
        self.discards = False  # what is missing of messages with a time to live has expired

    @property
    def may_have_expired(self) -> int:
        """Acknowledged messages with a time to live that are nowhere."""
        if self._has_place or not self.publisher.planned.expires:
            return 0
        counts = self.counts()
        return counts["lost"] + counts["pending"]

    def places(self, chunk: int) -> dict[str, Bits]:
        """Kind → which messages of a chunk; kinds of ``MISSING``, ``_BY_OUTCOME``, *expected* and *received*."""
        outcome = self.publisher.outcome_bits(chunk)
        came = self.received.chunk(chunk)
        expected = without(self.reader.wanted_bits(self.publisher, chunk), outcome[Outcome.REJECTED])
        absent = without(expected, came)
        given_up = _both(absent, self._in_place.chunk(chunk))
        by_time = EMPTY
        if self.publisher.planned.expires and given_up is not EMPTY:
            by_time = without(WHOLE, self.publisher.poison_bits(chunk)) if self._has_place else WHOLE
        absent = without(absent, given_up)
        unknown = _both(absent, outcome[Outcome.UNKNOWN])
        at_most_once = self.reader.spec.delivery == "at-most-once"
        owed = EMPTY if at_most_once else _both(absent, outcome[Outcome.ACKNOWLEDGED])
        gone = owed if self.discards and self.publisher.planned.expires else EMPTY
        absent, owed = without(absent, gone), without(owed, gone)
        return {
            "expected": expected,
            "received": _both(expected, came),
            "dead-lettered": without(given_up, by_time),
            "expired": _either(_both(given_up, by_time), gone),
            "lost": owed if self._judges_loss else EMPTY,
            "pending": EMPTY if self._judges_loss else owed,
            "missing-allowed": without(without(absent, unknown), owed),
            "missing-unknown": unknown,
        } | {kind: _both(came, outcome[of]) for kind, of in _BY_OUTCOME.items()}

    def counts(self) -> Counter[str]:
        """How many messages are of which kind."""
        count: Counter[str] = Counter()
        for chunk in range(self.publisher.sent.chunks):
            for kind, bits in self.places(chunk).items():
                count[kind] += ones(bits)
        return count

    def first_of(self, kind: str, limit: int) -> list[int]:
        """The lowest sequences of a kind, which are the earliest by intended time."""
        found: list[int] = []
        for chunk in range(self.publisher.sent.chunks):
            bits = self.places(chunk)[kind]
            if bits is not EMPTY and len(found) < limit:
                found += numbers_in(bits, chunk, limit - len(found)).tolist()
        return found


def _both(bits: Bits, others: Bits) -> Bits:
    return EMPTY if bits is EMPTY or others is EMPTY else bits & others


def _either(*several: Bits) -> Bits:
    used = [bits for bits in several if bits is not EMPTY]
    return np.bitwise_or.reduce(used) if used else EMPTY


def _offenders(reader: ReaderTally, books: list[_Books], t0_ns: int, limit: int) -> Iterator[Offender]:
    for kind in MISSING:
        yield from _missing(kind, books, limit)
    for kind in RECEIVED_KINDS:
        if kind in _BY_OUTCOME:
            yield from _by_outcome(kind, reader, books, t0_ns, limit)
            continue
        for record in reader.anomalies.of(kind)[:limit]:
            yield _received(kind, record, books, t0_ns)


def _missing(kind: str, books: list[_Books], limit: int) -> Iterable[Offender]:
    """The earliest of all publishers, by intended time; at equal times in the order of the publishers."""
    found: list[tuple[int, Offender]] = []
    for one in books:
        for sequence in one.first_of(kind, limit):
            at_ns, offender = _unseen(kind, one.publisher, sequence)
            found.append((at_ns, offender))
    return [offender for _, offender in sorted(found, key=lambda pair: pair[0])[:limit]]


def _unseen(kind: str, publisher: PublisherTally, sequence: int) -> tuple[int, Offender]:
    """A message that did not come, and its intended time relative to t0."""
    numbers = np.array([sequence], np.uint64)
    key, key_sequence = publisher.planned.identity(numbers)
    at_ns = int(publisher.planned.intended_ns(numbers)[0])
    offender = Offender(
        kind=kind,
        publisher=publisher.planned.publisher,
        sequence=sequence,
        key=int(key[0]),
        key_sequence=int(key_sequence[0]),
        at_s=at_ns / 1e9,
        detail=f"outcome {_outcome(publisher, numbers).name.lower()}",
    )
    return at_ns, offender


def _outcome(publisher: PublisherTally, number: np.ndarray[tuple[int], np.dtype[np.uint64]]) -> Outcome:
    """The final outcome of one message that was sent."""
    if not publisher.planned.guaranteed:
        return Outcome.REJECTED if publisher.rejected.holds(number)[0] else Outcome.SENT
    for outcome, bitmap in (
        (Outcome.ACKNOWLEDGED, publisher.acknowledged),
        (Outcome.SENT, publisher.accepted),
        (Outcome.REJECTED, publisher.rejected),
    ):
        if bitmap.holds(number)[0]:
            return outcome
    return Outcome.UNKNOWN


def _by_outcome(kind: str, reader: ReaderTally, books: list[_Books], t0_ns: int, limit: int) -> Iterator[Offender]:
    """Received although unknown or rejected: by time where the receipt was kept, then by sequence where it was not."""
    publishers = {one.publisher.planned.publisher: one.publisher for one in books}
    named: set[tuple[int, int]] = set()
    for place in range(len(reader.awaited)):
        record = reader.awaited[place]
        number = int(record["publisher"])
        if _outcome(publishers[number], record["sequence"].reshape(1)) is _BY_OUTCOME[kind]:
            named.add((number, int(record["sequence"])))
            yield _received(kind, record, books, t0_ns)
            if len(named) == limit:
                return
    for one in books:
        number = one.publisher.planned.publisher
        for sequence in one.first_of(kind, limit + len(named)):
            if (number, sequence) in named or len(named) >= limit:
                continue
            named.add((number, sequence))
            offender = _unseen(kind, one.publisher, sequence)[1]
            yield offender.model_copy(update={"at_s": None, "detail": f"when it came {NOT_KEPT}"})


def _received(kind: str, record: np.void, books: list[_Books], t0_ns: int) -> Offender:
    known = kind != "corrupt"  # a corrupt stamp names nobody
    return Offender(
        kind=kind,
        publisher=int(record["publisher"]) if known else None,
        sequence=int(record["sequence"]) if known else None,
        key=int(record["key"]) if known else None,
        key_sequence=int(record["key_sequence"]) if known else None,
        at_s=(int(record["received_ns"]) - t0_ns) / 1e9,
        detail=f"member {int(record['member'])}" + _detail(kind, record, books),
    )


def _detail(kind: str, record: np.void, books: list[_Books]) -> str:
    if kind.startswith("duplicate"):
        first_ns = int(record["first_ns"])
        if first_ns == UNKNOWN_NS:
            return f", after the first receipt, whose time {NOT_KEPT}"
        return f", {(int(record['received_ns']) - first_ns) / 1e6:.1f} ms after the first receipt"
    if kind != "unexpected":
        return ""
    sequence = record["sequence"].reshape(1)
    for one in books:
        if one.publisher.planned.publisher == int(record["publisher"]) and one.publisher.knows(sequence)[0]:
            key, key_sequence = one.publisher.planned.identity(sequence)
            if (int(key[0]), int(key_sequence[0])) == (int(record["key"]), int(record["key_sequence"])):
                return ", not selected by the reader's filter"
            return f", sent under key {int(key[0])} with key sequence {int(key_sequence[0])}"
    return ", never sent to this channel"


def remarks(where: str, reader: ReaderTally) -> list[str]:
    """What one must know of a reader's list of anomalies; nothing where all are named."""
    wrong = {kind: count for kind, count in reader.counts.items() if kind != "failed"}
    left = counted_only(wrong)
    return [f"{left:,} wrong receipts of {where} are counted and not named"] if left else []


def damage(where: str, reader: ReaderTally, found: ReaderLedger) -> list[str]:
    """What makes a reader's ledger doubtful: it was folded out of order, or does not add up."""
    wrong = []
    if late := reader.late_receipts + reader.late_sends:
        wrong.append(f"{late:,} records of {where} came after later ones had been checked")
    duplicates = found.duplicates_flagged + found.duplicates_unflagged + found.duplicates_flag_not_offered
    stray = found.corrupt + found.foreign + found.unexpected + found.failed
    if found.receipts != found.received + found.rejected_received + duplicates + stray:
        wrong.append(f"the ledger of {where} does not add up to its {found.receipts:,} receipts")
    return wrong


def sends_per_second(tally: ChannelTally, statistic: str) -> Times:
    """Messages *intended* (handed over or not), *sent* or *acknowledged* in each second of the measured phase."""
    if statistic == "intended":
        edges = np.minimum(np.arange(tally.clock.seconds + 1) * SECOND, tally.clock.end_ns)
        parts = [np.diff(intended_before(publisher.planned, edges)) for publisher in tally.publishers]
    elif statistic == "sent":
        parts = [publisher.sent_per_second for publisher in tally.publishers]
    else:
        parts = [publisher.acknowledged_per_second for publisher in tally.publishers]
    return np.sum(parts, axis=0, dtype=np.int64) if parts else np.zeros(tally.clock.seconds, np.int64)
