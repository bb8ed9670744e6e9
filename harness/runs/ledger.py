"""``ledger/`` while it grows: what engines append is merged by time, folded into the channels' tallies, and let go.

::

    publisher-0.sent, .outcomes ─┐
    reader-orders.billing-0 … m ─┴─▶ merged up to what every client's marks vouch for ─▶ ChannelTally ─▶ saved (5 s)
                                                                                              │
    segments that are folded *and* saved are removed, unless records are kept ◄───────────────┘

A receipt may be folded when nothing earlier can still come: every member of its reader, and every publisher of its
channel, has said that all it did until then is written (``metrics.history.MARK``). So a killed crep leaves what it had
saved and the records since then, from which ``load_tallies`` goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from crep.harness.checks.planned import FromPlan
from crep.harness.checks.tally import SECOND, ChannelTally, Clock, PublisherTally, ReaderTally
from crep.harness.metrics.history import (
    OUTCOME,
    RECEIVED,
    SENT,
    Records,
    joined,
    outcomes_file,
    publisher_marks,
    reader_marks,
    received_file,
    sent_file,
)
from crep.harness.runs.disk import writing
from crep.harness.runs.handovers import HandoverFile
from crep.harness.runs.streams import Mark, RecordStream, last_mark
from crep.harness.runs.tallies import Store
from crep.harness.scenario.plan import Plan

SAVE_EVERY_S = 5.0
BATCH = 1 << 16
"""Records of one file that are read at once."""
MARGIN_NS = SECOND // 2
"""A client library stamps a receipt a little before it hands it on: a mark of a member is believed this much less."""

_BEFORE_ALL = np.iinfo(np.int64).min
_AFTER_ALL = np.iinfo(np.int64).max


class _PublisherFeed:
    """One publisher's files. ``through_ns``: all its sends until then are folded."""

    def __init__(self, folder: Path, tally: PublisherTally, positions: dict[str, int]) -> None:
        number = tally.planned.publisher
        self.tally, self._folder, self._marks, self._positions = tally, folder, publisher_marks(number), positions
        self._sends, self._outcomes = sent_file(number), outcomes_file(number)
        self._streams = {
            self._sends: RecordStream(folder, self._sends, SENT),
            self._outcomes: RecordStream(folder, self._outcomes, OUTCOME),
        }
        self.through_ns = _BEFORE_ALL
        self._mark: Mark | None = None

    @property
    def streams(self) -> Mapping[str, RecordStream]:
        """By file name."""
        return self._streams

    def fold(self, channel: ChannelTally, *, final: bool) -> bool:
        """Fold a batch of each file, sends first; True when something was folded."""
        if self._mark is None or self._reached(self._mark):  # else go on to the one at hand: newer ones never end
            self._mark = last_mark(self._folder, self._marks)
        if self._mark is None and not final:
            return False
        sends_end, outcomes_end = (_AFTER_ALL, _AFTER_ALL) if final or self._mark is None else self._mark.records
        sends = self._next(self._sends, sends_end)
        channel.sends(self.tally, sends)
        if len(sends):
            return True  # outcomes only when every send that they may be of is folded
        if not final and self._positions[self._sends] < sends_end:
            return False  # a mark for what is not there: this is for the end of the run to clear up
        self.through_ns = _AFTER_ALL if final or self._mark is None else self._mark.until_ns
        outcomes = self._next(self._outcomes, outcomes_end)
        self.tally.outcomes(outcomes)
        return bool(len(outcomes))

    def _reached(self, mark: Mark) -> bool:
        at = tuple(self._positions.get(name, 0) for name in self._streams)
        return all(here >= end for here, end in zip(at, mark.records, strict=True))

    def _next(self, name: str, most: int) -> Records:
        at = self._positions.setdefault(name, 0)
        records = self._streams[name].read(at, min(BATCH, max(0, most - at)))
        self._positions[name] = at + len(records)
        return records


class _MemberFeed:
    """One member's file: what of it was read and waits for its turn."""

    def __init__(self, folder: Path, channel: str, reader: str, member: int, positions: dict[str, int]) -> None:
        self._folder, self._positions = folder, positions
        self.name, self._marks = received_file(channel, reader, member), reader_marks(channel, reader, member)
        self.stream = RecordStream(folder, self.name, RECEIVED)
        self._waiting: Records = np.empty(0, RECEIVED)
        self.before_ns = _BEFORE_ALL  # what comes later is not earlier than this
        self._mark: Mark | None = None

    def read(self, *, final: bool) -> bool:
        """Read a batch when less than one waits; True when something came."""
        at = self._positions.setdefault(self.name, 0) + len(self._waiting)
        if self._mark is None or at >= self._mark.records[0]:  # else go on to the one at hand
            self._mark = last_mark(self._folder, self._marks)
        end = _AFTER_ALL if final else 0 if self._mark is None else self._mark.records[0]
        if len(self._waiting) >= BATCH and not self._at_one_instant():
            return False
        records = self.stream.read(at, min(BATCH, max(0, end - at)))
        if len(records):
            self._waiting = joined([self._waiting, records], RECEIVED)
            self.before_ns = max(self.before_ns, int(records["received_ns"][-1]))
        elif final:
            self.before_ns = _AFTER_ALL
        elif self._mark is not None and at >= end:
            heard_ns = _AFTER_ALL if self._mark.done else self._mark.until_ns - MARGIN_NS
            self.before_ns = max(self.before_ns, heard_ns)
        return bool(len(records))

    def take(self, before_ns: int) -> Records:
        """What came before then, in its order."""
        latest = np.maximum.accumulate(self._waiting["received_ns"])
        count = len(latest) if before_ns == _AFTER_ALL else int(np.searchsorted(latest, before_ns, "left"))
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        self._positions[self.name] = self._positions.get(self.name, 0) + count
        return taken

    def _at_one_instant(self) -> bool:
        received_ns = self._waiting["received_ns"]
        return bool(received_ns[0] == received_ns[-1])


class _ChannelFeed:
    """All files of one channel."""

    def __init__(self, folder: Path, tally: ChannelTally, positions: dict[str, int]) -> None:
        self.tally, self.positions = tally, positions
        self._publishers = [_PublisherFeed(folder, one, positions) for one in tally.publishers]
        self._readers = [
            (
                reader,
                [
                    _MemberFeed(folder, tally.channel, reader.spec.name, member, positions)
                    for member in range(reader.spec.members)
                ],
            )
            for reader in tally.readers
        ]

    def streams(self) -> Iterator[tuple[str, RecordStream]]:
        """Every record file, by name."""
        for publisher in self._publishers:
            yield from publisher.streams.items()
        for _, members in self._readers:
            for member in members:
                yield member.name, member.stream

    def fold(self, *, final: bool) -> bool:
        """Fold what may be folded, a bounded piece; True when there may be more at once."""
        busy = [publisher.fold(self.tally, final=final) for publisher in self._publishers]
        sent_ns = min((publisher.through_ns for publisher in self._publishers), default=_AFTER_ALL)
        for reader, members in self._readers:
            busy += [member.read(final=final) for member in members]
            busy.append(_fold_members(reader, members, sent_ns))
        return any(busy)


def _fold_members(reader: ReaderTally, members: list[_MemberFeed], sent_ns: int) -> bool:
    before_ns = min([sent_ns, *(member.before_ns for member in members)])
    parts = [member.take(before_ns) for member in members]
    records = joined(parts, RECEIVED)
    whose = np.repeat(np.arange(len(parts), dtype=np.uint16), [len(part) for part in parts])
    received_ns = np.ascontiguousarray(records["received_ns"])
    if (received_ns[1:] < received_ns[:-1]).any():  # else in order, as a single member's are: sorting copies each field
        order = np.argsort(received_ns, kind="stable")
        records, whose = records[order], whose[order]
    reader.fold(records, whose)
    return bool(len(records))


class LedgerFolder:
    """Folds, saves and clears one run's ``ledger/``. Used by one thread.

    Args:
        folder: ``ledger/`` of the run folder.
        plan: what the run does.
        t0_ns: its t0.
        keep_records: the records stay.
        clock: seconds, to know when to save.

    Raises:
        EnvironmentFailure: here and in every method: the disk is full, or the folder is gone or not writable.
        UsageError: the same: the folder holds the ledger of another run or version, or a damaged one.
    """

    def __init__(
        self,
        folder: Path,
        plan: Plan,
        t0_ns: int,
        *,
        keep_records: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder, self._keep, self._clock = folder, keep_records, clock
        with writing(folder):
            self._feeds, self._handovers = _opened(folder, plan, t0_ns, writable=True)
        self._stores = [Store(folder, feed.tally, feed.positions) for feed in self._feeds]
        self._due = clock() + SAVE_EVERY_S

    @property
    def tallies(self) -> dict[str, ChannelTally]:
        """By channel, as far as folded."""
        return {feed.tally.channel: feed.tally for feed in self._feeds}

    def step(self) -> bool:
        """Fold what may be folded by now, a bounded piece, and save when it is time; True when more may be there."""
        with writing(self._folder):
            busy = sum(feed.fold(final=False) for feed in self._feeds)
        if self._clock() >= self._due:
            self.save()
        return busy > 0

    def save(self) -> None:
        """Write what changed, then remove the segments that are not needed any more."""
        with writing(self._folder):
            for store in self._stores:
                store.save()
            if not self._keep:
                self._drop_folded()
        self._due = self._clock() + SAVE_EVERY_S

    def _drop_folded(self) -> None:
        """Remove the segments that nobody needs any more: a publisher's may feed several channels."""
        folded: dict[str, int] = {}
        streams: dict[str, RecordStream] = {}
        for feed in self._feeds:
            for name, stream in feed.streams():
                at = feed.positions.get(name, 0)
                folded[name], streams[name] = min(at, folded.get(name, at)), stream
        for name, stream in streams.items():
            stream.drop_before(folded[name])

    def finish(self) -> None:
        """Every engine has ended: fold all that is left, write the ledger anew, remove what it replaces."""
        with writing(self._folder):
            _fold_all(self._feeds)
            for store, feed in zip(self._stores, self._feeds, strict=True):
                store.save(anew=True)
                if not self._keep:
                    for _, stream in feed.streams():
                        stream.drop()
            for file in self._handovers:
                file.close()
            for path in [*self._folder.glob("*.handovers"), *self._folder.glob("*.marks")]:
                path.unlink()


def load_tallies(folder: Path, plan: Plan, t0_ns: int, *, from_records: bool = False) -> dict[str, ChannelTally]:
    """The tallies of a run, by channel: what was saved, and the records since then; the folder is left as it is.

    Args:
        folder: ``ledger/`` of the run folder.
        plan: what the run did.
        t0_ns: its t0; 0 in a run that never came so far.
        from_records: look at nothing but records (they must have been kept).

    Raises:
        UsageError: a file is damaged, or is not of this run.
    """
    feeds, handovers = _opened(folder, plan, t0_ns, writable=False, from_records=from_records)
    _fold_all(feeds)
    for file in handovers:
        file.close()
    return {feed.tally.channel: feed.tally for feed in feeds}


def _fold_all(feeds: list[_ChannelFeed]) -> None:
    for feed in feeds:
        while feed.fold(final=True):
            pass  # each turn takes in a piece of a finite file


def _opened(
    folder: Path, plan: Plan, t0_ns: int, *, writable: bool, from_records: bool = False
) -> tuple[list[_ChannelFeed], list[HandoverFile]]:
    clock = Clock(t0_ns, round(plan.measured_s * SECOND))
    feeds: list[_ChannelFeed] = []
    files: list[HandoverFile] = []
    for spec in (spec for specs in plan.channels.values() for spec in specs):
        feeders = plan.feeders_of(spec.name)
        handovers = {
            one.publisher: HandoverFile(folder / f"{spec.name}.publisher-{one.publisher}.handovers", writable=writable)
            for one in feeders
        }
        tally = ChannelTally.empty(
            spec.name,
            clock,
            {one.publisher: (FromPlan(one), handovers[one.publisher]) for one in feeders},
            [(reader, plan.selected(spec, reader)) for reader in spec.readers],
        )
        positions: dict[str, int] = {} if from_records else Store.load(folder, tally)
        feeds.append(_ChannelFeed(folder, tally, positions))
        files += handovers.values()
    return feeds, files
