"""A worker's records on their way into the master's run folder, while its engines go on writing them.

::

    engines ─► <worker's folder>/ledger ─► Shipper ─(pieces, at most CREDIT bytes on their way)─► Intake ─► run folder
                    segments that have arrived are removed ◄───────── acknowledged ◄──────────────┘

Each file arrives in order and without a gap, and the marks of a client only behind the records that they vouch for, so
the ledger of the run folder is kept as if the engines wrote it themselves. Times become the master's on the way.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from crep.harness.config.errors import EnvironmentFailure
from crep.harness.load.protocol import PublisherTask
from crep.harness.metrics.history import (
    DONE,
    MARK,
    OUTCOME,
    RECEIVED,
    SEGMENT,
    SENT,
    RecordFile,
    Records,
    outcomes_file,
    publisher_marks,
    reader_marks,
    received_file,
    sent_file,
)
from crep.harness.runs.disk import writing
from crep.harness.runs.streams import Mark, RecordStream, last_mark
from crep.harness.workers.share import Task

CREDIT = 8 << 20
"""Bytes of a worker's records that may be under way: what waits for the network waits on its disk."""
PIECE = 1 << 14
"""Records that are sent at once: some hundreds of kilobytes."""
_LOOK_EVERY_S = 0.1
_AFTER_ALL = np.iinfo(np.int64).max
_TIMES: dict[np.dtype[Any], tuple[str, ...]] = {
    SENT: ("intended_ns", "sent_ns"),
    OUTCOME: ("at_ns",),
    RECEIVED: ("intended_ns", "received_ns"),
}


@dataclass(frozen=True)
class ClientFiles:
    """What one client writes. ``records``: file name → layout, in the order of its marks' numbers."""

    records: Mapping[str, np.dtype[Any]]
    marks: str

    @classmethod
    def of(cls, task: Task) -> ClientFiles:
        """The files of the client that carries out a task."""
        if isinstance(task, PublisherTask):
            number = task.plan.publisher
            return cls({sent_file(number): SENT, outcomes_file(number): OUTCOME}, publisher_marks(number))
        who = task.spec.channel, task.spec.reader.name, task.spec.member
        return cls({received_file(*who): RECEIVED}, reader_marks(*who))


def translated(records: Records, ahead_ns: int) -> Records:
    """A copy of records, whose times are of a clock that is ahead by so much, with the other clock's times."""
    copy = records.copy()
    for name in _TIMES[records.dtype]:
        copy[name] -= ahead_ns
    return copy


def mark_record(mark: Mark, ahead_ns: int) -> Records:
    """The ``MARK`` record of a mark, with the other clock's time."""
    record = np.zeros(1, MARK)
    record["until_ns"] = mark.until_ns if mark.until_ns == DONE else mark.until_ns - ahead_ns
    record["records"][0] = mark.records
    return record


@dataclass
class _Feed:
    """How far one client's files are sent."""

    files: ClientFiles
    streams: dict[str, RecordStream]
    sent: dict[str, int] = field(default_factory=dict)
    mark: Mark | None = None
    marks_sent: int = 0
    vouched: Mark | None = None  # the last that was sent

    @property
    def behind(self) -> bool:
        """The mark at hand vouches for records that are still to be sent."""
        ends = () if self.mark is None else zip(self.files.records, self.mark.records, strict=False)
        return any(self.sent.get(name, 0) < end for name, end in ends)


Send = Callable[[str, int, bytes], None]
"""Sends records of a file: its name, the number of the first one, their bytes."""


class Shipper:
    """The worker's side: a thread that follows the files. ``acknowledged`` gives credit back.

    Args:
        ledger: the folder that the engines write.
        files: of every client of this worker.
        send: may be called from the thread.
        ahead_ns: what this clock shows more than the master's.
        keep: the records stay here until the end; else segments that have arrived are removed.
    """

    def __init__(self, ledger: Path, files: Iterable[ClientFiles], send: Send, *, ahead_ns: int, keep: bool) -> None:
        self._ledger, self._send, self._ahead_ns, self._keep = ledger, send, ahead_ns, keep
        self._feeds = [
            _Feed(one, {name: RecordStream(ledger, name, layout) for name, layout in one.records.items()})
            for one in files
        ]
        self._under_way: deque[tuple[int, RecordStream | None, int]] = deque()  # bytes, file, number behind the last
        self._credit = threading.Condition()
        self._final, self._stop, self.done = threading.Event(), threading.Event(), threading.Event()
        self.failure: str | None = None
        self._thread = threading.Thread(target=self._run, name="shipping", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def finish(self) -> None:
        """Every engine has ended: ``done`` is set when all has been sent and has arrived."""
        self._final.set()

    def stop(self) -> None:
        """Send nothing more."""
        self._stop.set()
        with self._credit:
            self._credit.notify_all()
        if self._thread.is_alive():
            self._thread.join(_LOOK_EVERY_S * 20)

    def acknowledged(self) -> None:
        """The oldest piece under way has been written by the master."""
        with self._credit:
            _, stream, end = self._under_way.popleft()
            self._credit.notify_all()
        if stream is not None and not self._keep:
            stream.drop_before(end)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                final = self._final.is_set()  # looked at first: what engines wrote, they wrote before
                moved = [self._advance(feed, final=final) for feed in self._feeds]
                if not any(moved):
                    if final:
                        break
                    self._stop.wait(_LOOK_EVERY_S)
            self._wait_for_credit(0)
        except OSError as error:
            self.failure = f"the records in {self._ledger} cannot be read: {error}"
        self.done.set()

    def _advance(self, feed: _Feed, *, final: bool) -> bool:
        """Send a piece of each file, or the mark that is reached; True when something was sent."""
        if not feed.behind:
            feed.mark = last_mark(self._ledger, feed.files.marks)
        moved = False
        for place, (name, stream) in enumerate(feed.streams.items()):
            at = feed.sent.setdefault(name, 0)
            end = _AFTER_ALL if final else 0 if feed.mark is None else feed.mark.records[place]
            records = stream.read(at, min(PIECE, max(0, end - at)))
            if len(records):
                self._post(name, at, translated(records, self._ahead_ns), stream)
                feed.sent[name] = at + len(records)
                moved = True
        if feed.mark is not None and feed.mark != feed.vouched and not feed.behind:
            self._post(feed.files.marks, feed.marks_sent, mark_record(feed.mark, self._ahead_ns), None)
            feed.vouched, feed.marks_sent = feed.mark, feed.marks_sent + 1
            moved = True
        return moved

    def _post(self, name: str, first: int, records: Records, stream: RecordStream | None) -> None:
        data = records.tobytes()
        self._wait_for_credit(CREDIT - len(data))
        if self._stop.is_set():
            return
        with self._credit:
            self._under_way.append((len(data), stream, first + len(records)))
        self._send(name, first, data)

    def _wait_for_credit(self, at_most: int) -> None:
        """Until no more than so many bytes are under way, or ``stop``: a master that is gone is noticed by others."""
        with self._credit:
            self._credit.wait_for(
                lambda: self._stop.is_set() or sum(length for length, _, _ in self._under_way) <= at_most
            )


class Intake:
    """The master's side: the files of all workers' clients, in the run folder.

    Args:
        ledger: the run folder's.
        files: of every client.
        keep: the records stay; else they are written in segments, for the ledger's keeper to remove.
    """

    def __init__(self, ledger: Path, files: Sequence[ClientFiles], *, keep: bool) -> None:
        self._ledger = ledger
        segment = None if keep else SEGMENT
        with writing(ledger):
            ledger.mkdir(parents=True, exist_ok=True)
            self._files = {
                name: RecordFile(ledger / name, layout, segment)
                for one in files
                for name, layout in one.records.items()
            }
            self._files |= {one.marks: RecordFile(ledger / one.marks, MARK) for one in files}
        self._held = dict.fromkeys(self._files, 0)

    def append(self, name: str, first: int, data: bytes) -> None:
        """Write records of a file, the first of which has that number.

        Raises:
            EnvironmentFailure: the disk is full or the folder gone; or records that came before are missing.
        """
        held = self._held.get(name)
        if held is None:
            raise EnvironmentFailure(f"{name} is no file of this run")
        if first != held:
            raise EnvironmentFailure(f"records of {name} were lost on their way here: {held} are, number {first} came")
        file = self._files[name]
        records = np.frombuffer(data, file.layout)
        with writing(self._ledger):
            file.append(records)
        self._held[name] = held + len(records)

    def close(self) -> None:
        """Close the files; idempotent."""
        for file in self._files.values():
            file.close()
