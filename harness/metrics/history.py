"""The history of a run: one fixed-size record for each send, each outcome and each receipt.

Engines append records while they run, so that a killed run keeps all but its last second; the ledger is a pure function
of these records and of the scenario. Times are CLOCK_MONOTONIC nanoseconds of one host (METHOD rule 3).

====================================  =======================================================================
``publisher-<id>.sent``               ``SENT``: one record per message handed to the client library, by sequence
``publisher-<id>.outcomes``           ``OUTCOME``: one record per outcome, in the order the library reported them
``reader-<channel>.<reader>-<m>``     ``RECEIVED``: one record per receipt of member ``m``, in order of receipt
``publisher-<id>.marks``,             ``MARK``: how much of the client's files holds all that it did until when
``reader-<channel>.<reader>-<m>.marks``
====================================  =======================================================================

Where records are not kept, a file goes on in segments of ``SEGMENT`` records: ``<name>``, ``<name>.1``, ``<name>.2`` …,
each of which is removed when the ledger has taken it in.

A client that is killed and started again goes on with its own files, a torn last record cut off. Where that is planned,
it writes its records *ahead*: a send before it is handed over, a receipt before it is acknowledged (``AheadFile``).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

Records = NDArray[Any]
"""A one-dimensional structured array with one of the layouts below."""

SENT = np.dtype(
    [
        ("sequence", "<u8"),
        ("intended_ns", "<i8"),
        ("sent_ns", "<i8"),  # when the client library took it
        ("key", "<u4"),
        ("key_sequence", "<u4"),
        ("topic", "<u4"),  # index into the channel's topics
        ("size", "<u4"),  # bytes of payload
    ]
)
OUTCOME = np.dtype([("sequence", "<u8"), ("at_ns", "<i8"), ("outcome", "u1")])  # brokers.contract.Outcome
RECEIVED = np.dtype(
    [
        ("sequence", "<u8"),
        ("intended_ns", "<i8"),
        ("received_ns", "<i8"),
        ("key", "<u4"),
        ("key_sequence", "<u4"),
        ("publisher", "<u2"),
        ("redelivered", "u1"),  # brokers.contract.REDELIVERED_*
        ("fault", "u1"),  # INTACT, CORRUPT, FOREIGN or FAILED
    ]
)
MARK = np.dtype([("until_ns", "<i8"), ("records", "<u8", (2,))])
"""``records`` of each of a client's files (a subscriber has one) hold all that it did until ``until_ns``; what it does
later is later: a publisher's sends and their outcomes, a member's receipts. ``DONE`` when it has ended."""
DONE = np.iinfo(np.int64).max

SEGMENT = 1 << 18
"""Records in a whole segment."""

INTACT, CORRUPT, FOREIGN, FAILED = 0, 1, 2, 3
"""``CORRUPT``: the check sum does not match (its other fields are zero). ``FOREIGN``: intact, but of another run.
``FAILED``: intact and of this run, but the reader could not process it (poison) and said so to the broker."""


def sent_file(publisher: int) -> str:
    """Name of the file of a publisher's ``SENT`` records."""
    return f"publisher-{publisher}.sent"


def outcomes_file(publisher: int) -> str:
    """Name of the file of a publisher's ``OUTCOME`` records."""
    return f"publisher-{publisher}.outcomes"


def received_file(channel: str, reader: str, member: int) -> str:
    """Name of the file of one member's ``RECEIVED`` records; members count from 0."""
    return f"reader-{channel}.{reader}-{member}"


def publisher_marks(publisher: int) -> str:
    """Name of the file of a publisher's ``MARK`` records: of its ``SENT`` file, then of its ``OUTCOME`` file."""
    return f"publisher-{publisher}.marks"


def reader_marks(channel: str, reader: str, member: int) -> str:
    """Name of the file of a member's ``MARK`` records."""
    return f"{received_file(channel, reader, member)}.marks"


def segment_path(path: Path, number: int) -> Path:
    """Segment ``number`` (from 0) of a record file."""
    return path if number == 0 else path.with_name(f"{path.name}.{number}")


def joined(parts: Sequence[Records], layout: np.dtype[Any]) -> Records:
    """Records laid end to end, read-only. ``np.concatenate`` compares layouts by field: a hundred times slower."""
    return np.frombuffer(b"".join([part.tobytes() for part in parts]), layout)


class RecordFile:
    """Append-only file of records of one layout. ``append`` buffers in the operating system, never in Python.

    Args:
        path: the file, or its first segment. What is in it stays, but for a torn last record.
        layout: of its records.
        segment: records in a segment; None: one file, however long.

    Raises:
        OSError: the file cannot be written.
        ValueError: segments of an earlier writer are there; which of them are gone already is not known.
    """

    def __init__(self, path: Path, layout: np.dtype[Any], segment: int | None = None) -> None:
        self.path, self.layout, self._segment = path, layout, segment
        self._file = path.open("ab", buffering=0)
        self._number = 0  # of the segment
        self._held = _cut_torn(self._file.fileno(), layout)  # records in it
        if self._held and segment is not None:
            raise ValueError(f"{path.name}: nobody can go on with another writer's segments")

    @property
    def count(self) -> int:
        """Records in the file (in its last segment)."""
        return self._held

    def append(self, records: Records) -> None:
        """Write records.

        Raises:
            OSError: the disk is full or the folder is gone.
        """
        if records.dtype != self.layout:
            raise TypeError(f"{self.path.name} holds {self.layout}, not {records.dtype}")
        while self._segment is not None and self._held + len(records) > self._segment:
            room = self._segment - self._held
            self._write(records[:room])
            records = records[room:]
            self._file.close()
            self._number, self._held = self._number + 1, 0
            self._file = segment_path(self.path, self._number).open("ab", buffering=0)
        self._write(records)
        self._held += len(records)

    def _write(self, records: Records) -> None:
        data = np.ascontiguousarray(records).view(np.uint8).data
        while data:
            data = data[self._file.write(data) :]

    def close(self) -> None:
        """Close the file; idempotent."""
        self._file.close()

    def __enter__(self) -> RecordFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AheadFile:
    """File of records of one layout that are in the operating system's hands before what they tell of is done.

    So a SIGKILL of the writer loses none of them (the machine's end does: nothing is flushed to the disk). A record may
    be written again at its place until it is final. What is in the file stays, but for a torn last record.

    Raises:
        OSError: here and in ``put`` and ``cut``: the disk is full or the folder is gone.
    """

    def __init__(self, path: Path, layout: np.dtype[Any]) -> None:
        self.layout = layout
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        self.count = _cut_torn(self._file, layout)

    def put(self, first: int, records: Records) -> None:
        """Write records at their place: the first of them is number ``first``, which leaves no gap."""
        if records.dtype != self.layout or not 0 <= first <= self.count:
            raise ValueError(f"records of {records.dtype} from number {first} on do not fit behind {self.count}")
        data = np.ascontiguousarray(records).view(np.uint8).data
        at = first * self.layout.itemsize
        while data:
            written = os.pwrite(self._file, data, at)
            data, at = data[written:], at + written
        self.count = max(self.count, first + len(records))

    def cut(self, count: int) -> None:
        """Keep the first ``count`` records."""
        os.ftruncate(self._file, count * self.layout.itemsize)
        self.count = count

    def close(self) -> None:
        """Close the file; idempotent."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _cut_torn(file: int, layout: np.dtype[Any]) -> int:
    """Cut off the record in whose middle an earlier writer was killed; returns the whole records."""
    count, torn = divmod(os.fstat(file).st_size, layout.itemsize)
    if torn:
        os.ftruncate(file, count * layout.itemsize)
    return count


def whole_records(path: Path, layout: np.dtype[Any]) -> int:
    """How many whole records a file has; 0 where it is missing."""
    return path.stat().st_size // layout.itemsize if path.exists() else 0


def read_records(path: Path, layout: np.dtype[Any]) -> Records:
    """All whole records of a file; a torn last record (the writer was killed) is left out."""
    return np.fromfile(path, dtype=layout, count=path.stat().st_size // layout.itemsize)
