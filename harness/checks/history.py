"""What the checks are computed from: the history of one channel as plain arrays.

::

    publisher q ── SENT ──▶ broker ── RECEIVED (member 0..m-1) ──▶ logical reader
        ▲                     │
        └────── OUTCOME ──────┘

``ChannelHistory`` is that picture as it was recorded (layouts: ``metrics.history``). ``Sends`` and ``Receipts`` are
what every check works on: one row per message with its final outcome, and one row per receipt of a logical reader,
located in ``Sends``. All is vectorised: no step loops over messages in Python. Times are CLOCK_MONOTONIC nanoseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crep.harness.brokers.contract import REDELIVERED_YES, Outcome, ReaderSpec
from crep.harness.checks.dead_letters import LETTER, GivenUp, Letters
from crep.harness.metrics.history import CORRUPT, FAILED, FOREIGN, INTACT, RECEIVED, SENT, Records, joined

NEVER = np.iinfo(np.int64).max
"""The time of what did not happen; later than every recorded time."""


def _no_sends() -> Records:
    return np.empty(0, SENT)


@dataclass(frozen=True)
class PublisherHistory:
    """One publisher. ``unscheduled`` (layout ``SENT``, its ``sent_ns`` 0) holds what was intended and nobody took.

    ``poison`` and ``oversize`` are sequences; ``expires``: its messages have a time to live.
    """

    publisher: int
    guaranteed: bool
    sent: Records
    outcomes: Records
    unscheduled: Records = field(default_factory=_no_sends)
    poison: frozenset[int] = frozenset()
    oversize: frozenset[int] = frozenset()
    expires: bool = False


@dataclass(frozen=True)
class ReaderHistory:
    """One logical reader: its members' receipts, the topics that its filter selects, and what of it was given up."""

    spec: ReaderSpec
    selected: NDArray[np.bool_]  # by topic index of the channel
    members: tuple[Records, ...]  # RECEIVED, each in order of receipt
    given_up: GivenUp | None = None  # None: it has no dead letter place, and nothing expires


@dataclass(frozen=True)
class ChannelHistory:
    """All publishers and readers of one channel."""

    channel: str
    publishers: tuple[PublisherHistory, ...]
    readers: tuple[ReaderHistory, ...]


@dataclass(frozen=True)
class Sends:
    """All messages of a channel that a client library took; columns of equal length, ordered by publisher and sequence.

    ``outcome`` is final (``brokers.contract.Outcome``); ``acknowledged_ns`` is ``NEVER`` without an acknowledgement.
    ``contradictions`` counts sequences with two different definite outcomes, outcomes without a send, and second sends
    of one sequence.
    """

    publisher: NDArray[np.uint16]
    sequence: NDArray[np.uint64]
    intended_ns: NDArray[np.int64]
    sent_ns: NDArray[np.int64]
    key: NDArray[np.uint32]
    key_sequence: NDArray[np.uint32]
    topic: NDArray[np.uint32]
    outcome: NDArray[np.uint8]
    acknowledged_ns: NDArray[np.int64]
    poison: NDArray[np.bool_]
    oversize: NDArray[np.bool_]
    expires: NDArray[np.bool_]
    contradictions: int
    blocks: tuple[tuple[int, int, int], ...]  # publisher, first row, end row

    def __len__(self) -> int:
        return len(self.sequence)

    def locate(self, publisher: NDArray[np.uint16], sequence: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Row of each (publisher, sequence); −1 for what was never sent."""
        rows = np.full(len(sequence), -1, np.int64)
        for number, first, end in self.blocks:
            mine = np.flatnonzero(publisher == number)
            rows[mine] = _position(self.sequence[first:end], sequence[mine], first)
        return rows


class Settled(NamedTuple):
    """Final outcome per send of one publisher."""

    outcome: NDArray[np.uint8]
    acknowledged_ns: NDArray[np.int64]
    contradictions: int


def collect_sends(publishers: tuple[PublisherHistory, ...]) -> Sends:
    """Join sends and outcomes.

    A send without an outcome is *unknown* where the class offers acknowledgement, and *sent* where it does not: there a
    library's "delivered" is not believed (METHOD rule 5). Where outcomes contradict each other the acknowledgement
    stands, for it is the promise that loss is judged by.
    """
    parts: list[Records] = []
    settled: list[Settled] = []
    blocks: list[tuple[int, int, int]] = []
    numbers: list[NDArray[np.uint16]] = []
    doubled = row = 0
    for each in publishers:
        sent = _by_sequence(each.sent)
        sequences = _column(sent, "sequence")
        doubled += len(each.sent) - len(sent)
        parts.append(sent)
        numbers.append(np.full(len(sent), each.publisher, np.uint16))
        settled.append(_settle(sequences, each.outcomes, each.guaranteed))
        blocks.append((each.publisher, row, row + len(sent)))
        row += len(sent)
    sends = joined(parts, SENT)
    return Sends(
        publisher=np.concatenate([*numbers, np.empty(0, np.uint16)]),
        sequence=_column(sends, "sequence"),
        intended_ns=_column(sends, "intended_ns"),
        sent_ns=_column(sends, "sent_ns"),
        key=_column(sends, "key"),
        key_sequence=_column(sends, "key_sequence"),
        topic=_column(sends, "topic"),
        outcome=np.concatenate([*(one.outcome for one in settled), np.empty(0, np.uint8)]),
        acknowledged_ns=np.concatenate([*(one.acknowledged_ns for one in settled), np.empty(0, np.int64)]),
        poison=_marked([one.poison for one in publishers], parts),
        oversize=_marked([one.oversize for one in publishers], parts),
        expires=np.repeat(np.array([one.expires for one in publishers], np.bool_), [len(part) for part in parts]),
        contradictions=doubled + sum(one.contradictions for one in settled),
        blocks=tuple(blocks),
    )


def _marked(chosen: Sequence[frozenset[int]], sends: Sequence[Records]) -> NDArray[np.bool_]:
    """Which sends of all publishers are among the sequences chosen of theirs."""
    marked = [
        np.isin(sent["sequence"], np.array(sorted(these), np.uint64)) for these, sent in zip(chosen, sends, strict=True)
    ]
    return np.concatenate([*marked, np.zeros(0, np.bool_)])


def _by_sequence(sent: Records) -> Records:
    """Sorted by sequence, the first record of each; engines write them so, and then nothing is moved."""
    sequences = _column(sent, "sequence")
    if np.all(sequences[1:] > sequences[:-1]):
        return sent
    return sent[np.unique(sequences, return_index=True)[1]]


def _settle(sequences: NDArray[np.uint64], outcomes: Records, guaranteed: bool) -> Settled:
    rows = _position(sequences, outcomes["sequence"], 0)
    known = rows >= 0
    contradictions = int(np.count_nonzero(~known))
    rows, kinds, times = rows[known], outcomes["outcome"][known], outcomes["at_ns"][known]
    seen = {kind: _flags(len(sequences), rows[kinds == kind]) for kind in Outcome if kind is not Outcome.UNKNOWN}
    contradictions += int(np.count_nonzero(sum(flags.astype(np.uint8) for flags in seen.values()) > 1))
    final = np.full(len(sequences), Outcome.UNKNOWN if guaranteed else Outcome.SENT, np.uint8)
    acknowledged_ns = np.full(len(sequences), NEVER, np.int64)
    final[seen[Outcome.REJECTED]] = Outcome.REJECTED
    if not guaranteed:
        return Settled(final, acknowledged_ns, contradictions)
    final[seen[Outcome.SENT]] = Outcome.SENT
    final[seen[Outcome.ACKNOWLEDGED]] = Outcome.ACKNOWLEDGED
    acknowledgements = np.flatnonzero(kinds == Outcome.ACKNOWLEDGED)[::-1]  # backwards: the first of several stays
    acknowledged_ns[rows[acknowledgements]] = times[acknowledgements]
    return Settled(final, acknowledged_ns, contradictions)


def _position(sorted_sequences: NDArray[np.uint64], wanted: NDArray[np.uint64], offset: int) -> NDArray[np.int64]:
    """Index (plus ``offset``) of each wanted sequence, −1 where absent. Dense sequences 0…n−1 need no search."""
    size = len(sorted_sequences)
    if size == 0 or len(wanted) == 0:
        return np.full(len(wanted), -1, np.int64)
    if sorted_sequences[0] == 0 and sorted_sequences[-1] == size - 1:
        found = wanted < np.uint64(size)
        places = np.where(found, wanted, 0).astype(np.int64)
    else:
        places = np.minimum(np.searchsorted(sorted_sequences, wanted), size - 1).astype(np.int64)
        found = sorted_sequences[places] == wanted
    return np.where(found, places + offset, -1)


def _flags(size: int, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    flags = np.zeros(size, np.bool_)
    flags[rows] = True
    return flags


def _column(records: Records, name: str) -> NDArray[Any]:
    return np.ascontiguousarray(records[name])


@dataclass(frozen=True)
class Receipts:
    """All receipts of one logical reader, members merged by time of receipt (stable), located in ``Sends``.

    ``row`` is the message's row, or −1 for what is corrupt, foreign, never sent, sent under another key, or not
    selected by the filter, and for what the reader ``failed`` to process. ``first`` marks the first receipt of each
    located message.
    """

    records: Records
    member: NDArray[np.uint16]
    row: NDArray[np.int64]
    first: NDArray[np.bool_]
    received_ns: NDArray[np.int64]  # per row of Sends: first receipt, NEVER without one
    failed: NDArray[np.bool_]  # of messages that were to come

    @property
    def flagged(self) -> NDArray[np.bool_]:
        """Receipts that the broker marked as redelivered."""
        return np.asarray(self.records["redelivered"] == REDELIVERED_YES)


def selected_sends(sends: Sends, reader: ReaderHistory) -> NDArray[np.bool_]:
    """Rows of ``Sends`` that the reader's filter selects."""
    if len(sends) and int(sends.topic.max()) >= len(reader.selected):
        raise ValueError(f"topic {int(sends.topic.max())} was sent; the channel has {len(reader.selected)}")
    return np.asarray(reader.selected[sends.topic], np.bool_)


def collect_receipts(sends: Sends, reader: ReaderHistory) -> Receipts:
    """Merge the members' receipts and locate each of them."""
    everything = joined(reader.members, RECEIVED)
    members = np.repeat(np.arange(len(reader.members), dtype=np.uint16), [len(part) for part in reader.members])
    order = np.argsort(everything["received_ns"], kind="stable")
    records, members = everything[order], members[order]
    row = sends.locate(records["publisher"], records["sequence"])
    row[(records["fault"] == CORRUPT) | (records["fault"] == FOREIGN)] = -1
    row[~_honest(sends, reader, records, row)] = -1
    failed = (row >= 0) & (records["fault"] == FAILED)
    row[failed] = -1
    known = np.flatnonzero(row >= 0)
    first_place = np.full(len(sends), -1, np.int64)
    first_place[row[known[::-1]]] = known[::-1]  # backwards: the earliest of several stays
    first = np.zeros(len(records), np.bool_)
    first[known] = first_place[row[known]] == known
    received_ns = np.full(len(sends), NEVER, np.int64)
    received_ns[row[first]] = records["received_ns"][first]
    return Receipts(records=records, member=members, row=row, first=first, received_ns=received_ns, failed=failed)


def _honest(sends: Sends, reader: ReaderHistory, records: Records, row: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which records (``row``: of their messages, −1 for none) carry the right key, and are selected by the filter."""
    honest = row >= 0
    at = row[honest]
    same = (sends.key[at] == records["key"][honest]) & (sends.key_sequence[at] == records["key_sequence"][honest])
    honest[honest] = same & selected_sends(sends, reader)[at]
    return honest


def collect_letters(sends: Sends, reader: ReaderHistory, receipts: Receipts) -> tuple[Letters, NDArray[np.int64]]:
    """The letters of a reader's dead letter place, and the row of each; −1 for what is not located."""
    records = np.empty(0, LETTER) if reader.given_up is None else reader.given_up.letters
    row = sends.locate(records["publisher"], records["sequence"])
    row[records["fault"] != INTACT] = -1
    located = _honest(sends, reader, records, row)
    row[~located] = -1
    refused, processed, due = (np.zeros(len(records), np.bool_) for _ in range(3))
    at = row[located]
    refused[located] = sends.outcome[at] == Outcome.REJECTED
    processed[located] = receipts.received_ns[at] != NEVER
    due[located] = sends.poison[at] | sends.expires[at]
    return Letters(records, located, refused, processed, due), row
