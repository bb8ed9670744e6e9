"""When each message of a publisher was handed over: 8 bytes a message, on disk, the latest ones in memory as well."""

from __future__ import annotations

import os
from collections import OrderedDict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crep.harness.checks.bitmap import occurring

CHUNK = 1 << 15
"""Messages in a piece (256 KiB)."""
CACHED = 16
"""Pieces in memory."""

Numbers = NDArray[np.uint64]
Times = NDArray[np.int64]


class HandoverFile:
    """``checks.tally.Handovers`` in a file: int64 nanoseconds, at 8 times the sequence.

    Args:
        path: the file; may be missing where ``writable`` is False.
        writable: False: what is put stays in memory, for a run folder that is only read.
    """

    def __init__(self, path: Path, *, writable: bool) -> None:
        self._writable = writable
        self._file: int | None = None
        if writable or path.exists():
            self._file = os.open(path, os.O_RDWR | os.O_CREAT if writable else os.O_RDONLY, 0o644)
        self._pieces: OrderedDict[int, Times] = OrderedDict()

    def put(self, sequences: Numbers, sent_ns: Times) -> None:
        """Keep them.

        Raises:
            OSError: the disk is full.
        """
        if not len(sequences):
            return
        chunk = sequences // np.uint64(CHUNK)
        for number in occurring(chunk):
            mine = chunk == number
            places = (sequences[mine] % np.uint64(CHUNK)).astype(np.intp)
            piece = self._piece(number)
            piece[places] = sent_ns[mine]
            if self._writable and self._file is not None:
                first, end = int(places.min()), int(places.max()) + 1
                _write(self._file, piece[first:end], (number * CHUNK + first) * 8)

    def get(self, sequences: Numbers) -> Times:
        """Times of messages that were put."""
        times = np.zeros(len(sequences), np.int64)
        if not len(sequences):
            return times
        chunk = sequences // np.uint64(CHUNK)
        for number in occurring(chunk):
            mine = chunk == number
            times[mine] = self._piece(number)[(sequences[mine] % np.uint64(CHUNK)).astype(np.intp)]
        return times

    def close(self) -> None:
        """Close the file; idempotent."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _piece(self, number: int) -> Times:
        piece = self._pieces.get(number)
        if piece is None:
            piece = np.zeros(CHUNK, np.int64)
            if self._file is not None:
                data = os.pread(self._file, CHUNK * 8, number * CHUNK * 8)
                piece[: len(data) // 8] = np.frombuffer(data[: len(data) // 8 * 8], np.int64)
            self._pieces[number] = piece
            if self._writable and len(self._pieces) > CACHED:
                self._pieces.popitem(last=False)
        self._pieces.move_to_end(number)
        return piece


def _write(file: int, times: Times, offset: int) -> None:
    data = memoryview(times.tobytes())
    while data:
        written = os.pwrite(file, data, offset)
        data, offset = data[written:], offset + written
