"""The delivery ledger: a pure function over a channel's history that says what became of every message."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crep.harness.brokers.contract import REDELIVERED_NO, REDELIVERED_NOT_OFFERED, REDELIVERED_YES, Outcome
from crep.harness.checks.dead_letters import Letters, all_expired, is_known, letters_known
from crep.harness.checks.history import (
    NEVER,
    ChannelHistory,
    ReaderHistory,
    Receipts,
    Sends,
    collect_letters,
    collect_receipts,
    collect_sends,
    selected_sends,
)
from crep.harness.checks.order import overtaken
from crep.harness.checks.results import ChannelLedger, Offender, ReaderLedger
from crep.harness.metrics.history import CORRUPT, FOREIGN

Mask = NDArray[np.bool_]

MISSING = ("lost", "pending", "missing-allowed", "missing-unknown")
RECEIVED_KINDS = (
    "duplicate-flagged",
    "duplicate-unflagged",
    "duplicate-flag-not-offered",
    "reordered",
    "reordered-allowed",
    "unknown-received",
    "rejected-received",
    "corrupt",
    "foreign",
    "unexpected",
)


def ledger(
    history: ChannelHistory,
    *,
    drain_clean: bool,
    t0_ns: int,
    rejection_reasons: Mapping[str, int] | None = None,
    offenders: int = 5,
) -> tuple[ChannelLedger, tuple[ReaderLedger, ...]]:
    """Account for every message of a channel: outcomes of all sends, and per logical reader what came of them.

    A logical reader is all its members together, receipts merged by time. A receipt is *located* when it is intact, of
    this run, and its publisher, sequence, key and key sequence are those of a message that was sent to this channel and
    that the reader's filter selects. The first located receipt of a message delivers it; every further one is a
    *duplicate*. Each message selected by the filter, and each receipt, is counted in exactly one place::

        selected and not rejected = expected = received + dead_lettered + expired
                                               + lost + pending + missing_allowed + missing_unknown
        receipts = received + rejected_received + duplicates_* + corrupt + foreign + unexpected + failed

    A reader *fails* at what is poison: it tells the broker so, which delivers it again, and after a number of times
    puts it into the reader's dead letter place. A receipt that failed delivers nothing and is in no order. What lies in
    that place at the end is read (``dead_letters``), so these counts come from what is there, not from what should be.

    ======================  ================================================================================
    dead_lettered           not received, and in the reader's dead letter place: because it is poison, or without cause
                            (then it is *misplaced* too)
    expired                 not received, not poison, with a time to live: it is in the dead letter place; or there is
                            none, and the broker itself counts at least as many expired messages as are missing
    lost                    acknowledged, not received, reader at-least-once, and the drain ended clean
    pending                 the same, but it may still be somewhere: the drain had not ended clean, or the dead letter
                            place (where there is none, the number of expired messages) is not known
    missing_allowed         not received where it may be: sent without acknowledgement, or reader at-most-once
    missing_unknown         no outcome known and not received: neither lost nor delivered
    unknown_received        no outcome known, and it came (part of ``received``): no duplicate, no fault
    rejected_received       the broker refused it and delivered it all the same
    duplicates_flagged      further receipts that the broker marked as redelivered; and one that it did not mark, where
                            it marked the first: a broker marks each delivery but the first, and members of a reader
                            may come to them in another order
    duplicates_unflagged    further receipts that it did not mark, though it offers the mark
    duplicates_flag_…       further receipts where it has no such mark (classic Kafka)
    reordered               first receipts overtaken by a later message of their key (see ``order.overtaken``)
    reordered_allowed       the same where order is not promised (``order: none``, at-most-once),
                            or where the broker marked the late receipt as redelivered
    corrupt                 receipts whose check sum does not match; whose they were is not known
    foreign                 intact receipts of another run
    unexpected              intact receipts of this run that are not located: never sent to this channel, sent
                            under another key, or not selected by the filter
    failed                  receipts of located messages that the reader could not process, and said so
    misplaced               letters in the dead letter place that do not belong there (``dead_letters``)
    ======================  ================================================================================

    Args:
        history: sends, outcomes and receipts as recorded.
        drain_clean: the broker's own backlog was 0 and nothing came for 3 s.
        t0_ns: the instant that ``Offender.at_s`` counts from.
        rejection_reasons: how often the client library gave which reason.
        offenders: identities kept per kind, the earliest first.
    """
    sends = collect_sends(history.publishers)
    readers = tuple(
        read_ledger(
            history.channel,
            sends,
            reader,
            collect_receipts(sends, reader),
            drain_clean=drain_clean,
            t0_ns=t0_ns,
            offenders=offenders,
        )
        for reader in history.readers
    )
    return send_ledger(history, sends, rejection_reasons or {}), readers


def send_ledger(history: ChannelHistory, sends: Sends, rejection_reasons: Mapping[str, int]) -> ChannelLedger:
    """Count the outcomes of all sends of a channel."""
    count = np.bincount(sends.outcome, minlength=len(Outcome))
    return ChannelLedger(
        channel=history.channel,
        handed_over=len(sends),
        acknowledged=int(count[Outcome.ACKNOWLEDGED]),
        rejected=int(count[Outcome.REJECTED]),
        unknown=int(count[Outcome.UNKNOWN]),
        sent=int(count[Outcome.SENT]),
        unscheduled=sum(len(publisher.unscheduled) for publisher in history.publishers),
        contradictions=sends.contradictions,
        oversize=int(np.count_nonzero(sends.oversize)),
        oversize_accepted=int(np.count_nonzero(sends.oversize & (sends.outcome != Outcome.REJECTED))),
        rejection_reasons=dict(rejection_reasons),
    )


@dataclass(frozen=True)
class Findings:
    """Masks per kind: ``receipts`` over the receipts, all others over the rows of ``Sends``; and the letters."""

    expected: Mask
    received: Mask
    dead_lettered: Mask
    expired: Mask
    letters: Letters
    missing: dict[str, Mask]
    receipts: dict[str, Mask]


def find(sends: Sends, reader: ReaderHistory, receipts: Receipts, drain_clean: bool) -> Findings:
    """Put every selected message and every receipt of one reader in its place (definitions: ``ledger``)."""
    rejected = sends.outcome == Outcome.REJECTED
    expected = selected_sends(sends, reader) & ~rejected
    came = receipts.received_ns != NEVER
    absent = expected & ~came
    at_most_once = reader.spec.delivery == "at-most-once"
    unknown = sends.outcome == Outcome.UNKNOWN
    has_place = reader.spec.dead_letters_after is not None
    by_time = sends.expires & ~(sends.poison & has_place)
    letters, letter_row = collect_letters(sends, reader, receipts)
    in_place = np.zeros(len(sends), np.bool_)
    in_place[letter_row[letters.located]] = True
    given_up = absent & in_place
    absent &= ~in_place
    owed = absent & (sends.outcome == Outcome.ACKNOWLEDGED) & (not at_most_once)
    gone = owed & by_time & drain_clean
    gone &= all_expired(reader.given_up, reader.spec, int(np.count_nonzero(gone)))
    absent, owed = absent & ~gone, owed & ~gone
    known = drain_clean & (is_known(reader.given_up, reader.spec) | ~(sends.expires | has_place))
    records, located = receipts.records, receipts.row >= 0
    outcome = np.full(len(records), 255, np.uint8)  # of the message; 255: not located
    outcome[located] = sends.outcome[receipts.row[located]]
    again = located & ~receipts.first
    marked = again & ((records["redelivered"] == REDELIVERED_YES) | _marked_before(receipts, again))
    late = overtaken(sends, receipts)
    excused = receipts.flagged | (reader.spec.order == "none") | at_most_once
    return Findings(
        expected=expected,
        received=expected & came,
        dead_lettered=given_up & ~by_time,
        expired=(given_up & by_time) | gone,
        letters=letters,
        missing={
            "lost": owed & known,
            "pending": owed & ~known,
            "missing-allowed": absent & ~unknown & ~owed,
            "missing-unknown": absent & unknown,
        },
        receipts={
            "duplicate-flagged": marked,
            "duplicate-unflagged": again & (records["redelivered"] == REDELIVERED_NO) & ~marked,
            "duplicate-flag-not-offered": again & (records["redelivered"] == REDELIVERED_NOT_OFFERED),
            "reordered": late & ~excused,
            "reordered-allowed": late & excused,
            "unknown-received": receipts.first & (outcome == Outcome.UNKNOWN),
            "rejected-received": receipts.first & (outcome == Outcome.REJECTED),
            "corrupt": records["fault"] == CORRUPT,
            "foreign": records["fault"] == FOREIGN,
            "unexpected": (records["fault"] != CORRUPT) & (records["fault"] != FOREIGN) & ~located & ~receipts.failed,
        },
    )


def _marked_before(receipts: Receipts, again: Mask) -> Mask:
    """Of each message whose first receipt is marked as redelivered: the first of its further ones that is not."""
    of_marked = np.zeros(len(receipts.received_ns), np.bool_)
    of_marked[receipts.row[receipts.first & receipts.flagged]] = True
    places = np.flatnonzero(again & (receipts.records["redelivered"] == REDELIVERED_NO))
    places = places[of_marked[receipts.row[places]]]
    found = np.zeros(len(again), np.bool_)
    found[places[np.unique(receipts.row[places], return_index=True)[1]]] = True
    return found


def read_ledger(
    channel: str,
    sends: Sends,
    reader: ReaderHistory,
    receipts: Receipts,
    *,
    drain_clean: bool,
    t0_ns: int,
    offenders: int = 5,
) -> ReaderLedger:
    """The ledger of one logical reader; ``ledger`` has the definitions."""
    found = find(sends, reader, receipts, drain_clean)
    count = {kind: int(np.count_nonzero(mask)) for kind, mask in (found.missing | found.receipts).items()}
    return ReaderLedger(
        channel=channel,
        reader=reader.spec.name,
        share=reader.spec.share,
        delivery=reader.spec.delivery,
        members=len(reader.members),
        expected=int(np.count_nonzero(found.expected)),
        received=int(np.count_nonzero(found.received)),
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
        failed=int(np.count_nonzero(receipts.failed)),
        dead_lettered=int(np.count_nonzero(found.dead_lettered)),
        expired=int(np.count_nonzero(found.expired)),
        letters=letters_known(reader.given_up, reader.spec),
        misplaced=int(np.count_nonzero(found.letters.misplaced)),
        receipts=len(receipts.row),
        members_receipts=tuple(len(part) for part in reader.members),
        offenders=tuple(_offenders(sends, receipts, found, t0_ns, offenders)),
    )


def _offenders(sends: Sends, receipts: Receipts, found: Findings, t0_ns: int, limit: int) -> Iterable[Offender]:
    """The earliest ``limit`` of each kind: what is missing by intended time, receipts by time of receipt."""
    for kind in MISSING:
        rows = np.flatnonzero(found.missing[kind])
        if len(rows) > limit:  # with all that are as early as the last of them: ties go by publisher and sequence
            rows = rows[sends.intended_ns[rows] <= np.partition(sends.intended_ns[rows], limit - 1)[limit - 1]]
        for row in rows[np.argsort(sends.intended_ns[rows], kind="stable")][:limit]:
            yield Offender(
                kind=kind,
                publisher=int(sends.publisher[row]),
                sequence=int(sends.sequence[row]),
                key=int(sends.key[row]),
                key_sequence=int(sends.key_sequence[row]),
                at_s=(int(sends.intended_ns[row]) - t0_ns) / 1e9,
                detail=f"outcome {Outcome(int(sends.outcome[row])).name.lower()}",
            )
    for kind in RECEIVED_KINDS:
        for place in np.flatnonzero(found.receipts[kind])[:limit]:
            yield _received_offender(kind, sends, receipts, int(place), t0_ns)
    yield from found.letters.offenders(limit)


def _received_offender(kind: str, sends: Sends, receipts: Receipts, place: int, t0_ns: int) -> Offender:
    record = receipts.records[place]
    known = kind != "corrupt"  # a corrupt stamp names nobody
    return Offender(
        kind=kind,
        publisher=int(record["publisher"]) if known else None,
        sequence=int(record["sequence"]) if known else None,
        key=int(record["key"]) if known else None,
        key_sequence=int(record["key_sequence"]) if known else None,
        at_s=(int(record["received_ns"]) - t0_ns) / 1e9,
        detail=f"member {int(receipts.member[place])}" + _detail(kind, sends, receipts, place),
    )


def _detail(kind: str, sends: Sends, receipts: Receipts, place: int) -> str:
    record = receipts.records[place]
    if kind.startswith("duplicate"):
        first = int(receipts.received_ns[receipts.row[place]])
        return f", {(int(record['received_ns']) - first) / 1e6:.1f} ms after the first receipt"
    if kind != "unexpected":
        return ""
    row = int(sends.locate(record["publisher"].reshape(1), record["sequence"].reshape(1))[0])
    if row < 0:
        return ", never sent to this channel"
    if int(sends.key[row]) != int(record["key"]) or int(sends.key_sequence[row]) != int(record["key_sequence"]):
        return f", sent under key {int(sends.key[row])} with key sequence {int(sends.key_sequence[row])}"
    return ", not selected by the reader's filter"
