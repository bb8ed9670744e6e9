"""The history of a run: one fixed-size record for each send, each outcome and each receipt.

Engines append records while they run, so that a killed run keeps all but its last second; the ledger is a pure function
of these records and of the scenario. Times are CLOCK_MONOTONIC nanoseconds of one host (METHOD rule 3).

====================================  =======================================================================
``publisher-<id>.sent``               ``SENT``: one record per message handed to the client library, by sequence
``publisher-<id>.outcomes``           ``OUTCOME``: one record per outcome, in the order the library reported them
``reader-<channel>.<reader>-<m>``     ``RECEIVED``: one record per receipt of member ``m``, in order of receipt
====================================  =======================================================================
"""

from __future__ import annotations

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
        ("fault", "u1"),  # INTACT, CORRUPT or FOREIGN
    ]
)
INTACT, CORRUPT, FOREIGN = 0, 1, 2
"""``CORRUPT``: the check sum does not match (its other fields are zero). ``FOREIGN``: intact, but of another run."""


def sent_file(publisher: int) -> str:
    """Name of the file of a publisher's ``SENT`` records."""
    return f"publisher-{publisher}.sent"


def outcomes_file(publisher: int) -> str:
    """Name of the file of a publisher's ``OUTCOME`` records."""
    return f"publisher-{publisher}.outcomes"


def received_file(channel: str, reader: str, member: int) -> str:
    """Name of the file of one member's ``RECEIVED`` records; members count from 0."""
    return f"reader-{channel}.{reader}-{member}"


def joined(parts: Sequence[Records], layout: np.dtype[Any]) -> Records:
    """Records laid end to end, read-only. ``np.concatenate`` compares layouts by field: a hundred times slower."""
    return np.frombuffer(b"".join([part.tobytes() for part in parts]), layout)


class RecordFile:
    """Append-only file of records of one layout. ``append`` buffers in the operating system, never in Python."""

    def __init__(self, path: Path, layout: np.dtype[Any]) -> None:
        self.path, self.layout = path, layout
        self._file = path.open("ab", buffering=0)

    def append(self, records: Records) -> None:
        """Write records.

        Raises:
            OSError: the disk is full or the folder is gone.
        """
        if records.dtype != self.layout:
            raise TypeError(f"{self.path.name} holds {self.layout}, not {records.dtype}")
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


def read_records(path: Path, layout: np.dtype[Any]) -> Records:
    """All whole records of a file; a torn last record (the writer was killed) is left out."""
    whole = path.stat().st_size // layout.itemsize
    return np.fromfile(path, dtype=layout, count=whole)
