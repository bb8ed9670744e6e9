"""The open end of an archive: rows appended to one file and flushed before they are accepted at their source.

A frame is ``length (u32) | CRC-32 (u32) | row``, little-endian; the row is one byte string of JSON with key and payload
behind it. A kill can tear the last write only, none of whose messages were accepted: what stands behind the last whole
frame is cut off when the file is opened again, and kept beside it.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from zlib import crc32

import orjson

from crep.harness.config.errors import EnvironmentFailure
from crep.replay.stored import COLUMNS, Row

_FRAME = struct.Struct("<II")
_LENGTHS = struct.Struct("<III")  # of the JSON, the key and the payload; the largest number: there is none
_NONE = 0xFFFFFFFF
_KEY, _PAYLOAD = COLUMNS.index("key"), COLUMNS.index("payload")
_READ = 1 << 20
_MOST_ASIDE = 1000


class Journal:
    """One file, appended to by one process. Opening it mends what a kill left."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows, good = _whole(path)
        self.set_aside = self._mend(good)
        self._file = path.open("ab")
        self._failed = False
        self.size = good

    def _mend(self, good: int) -> Path | None:
        """Cut what is torn off, and keep it; None where nothing is."""
        if not self.path.exists() or self.path.stat().st_size == good:
            return None
        names = (self.path.with_suffix(f".torn-{number}") for number in range(1, _MOST_ASIDE))
        aside = next((name for name in names if not name.exists()), self.path.with_suffix(".torn"))
        with self.path.open("r+b") as file:
            file.seek(good)
            aside.write_bytes(file.read())
            file.truncate(good)
            os.fsync(file.fileno())
        return aside

    def append(self, rows: Iterable[Row]) -> None:
        """Write and flush to the disk; returns when a crash of the machine cannot take them any more.

        Raises:
            EnvironmentFailure: the disk does not take them. Nothing can be appended any more: what a failed write left
                behind is cut off when the journal is opened again.
        """
        if self._failed:
            raise EnvironmentFailure(f"{self.path} was not written whole before")
        added = list(rows)
        data = b"".join(map(_frame, added))
        try:
            self._file.write(data)
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            self._failed = True
            raise EnvironmentFailure(f"{self.path} cannot be written: {error.strerror}") from error
        self.rows += added
        self.size += len(data)

    def close(self) -> None:
        """Close the file; it stays."""
        try:
            self._file.close()
        except OSError:
            if not self._failed:  # then it cannot be flushed either, which was said
                raise

    def remove(self) -> None:
        """Close the file and delete it: its rows are in a segment."""
        self.close()
        self.path.unlink()


def _frame(row: Row) -> bytes:
    key, payload = row[_KEY], row[_PAYLOAD]
    rest = orjson.dumps([None if place in (_KEY, _PAYLOAD) else value for place, value in enumerate(row)])
    body = b"".join(
        (
            _LENGTHS.pack(len(rest), _length(key), _length(payload)),
            rest,
            key or b"",
            payload or b"",
        )
    )
    return _FRAME.pack(len(body), crc32(body)) + body


def _length(value: bytes | None) -> int:
    return _NONE if value is None else len(value)


def _row(body: bytes) -> Row:
    rest, key, payload = _LENGTHS.unpack_from(body)
    at = _LENGTHS.size
    values = orjson.loads(body[at : at + rest])
    at += rest
    if key != _NONE:
        values[_KEY] = body[at : at + key]
        at += key
    if payload != _NONE:
        values[_PAYLOAD] = body[at : at + payload]
    return tuple(values)


def whole_rows(path: Path) -> list[Row]:
    """The rows of a journal that another process may be appending to."""
    return _whole(path)[0]


def _whole(path: Path) -> tuple[list[Row], int]:
    """Every whole frame's row, and where the last one ends."""
    rows, good = [], 0
    try:
        for body, end in _bodies(path):
            rows.append(_row(body))
            good = end
    except FileNotFoundError:
        return [], 0
    return rows, good


def _bodies(path: Path) -> Iterator[tuple[bytes, int]]:
    """Bodies whose check sum is right, up to the first one that is not, each with the place behind it."""
    with path.open("rb", buffering=_READ) as file:
        end, size = 0, os.fstat(file.fileno()).st_size
        while len(head := file.read(_FRAME.size)) == _FRAME.size:
            length, checksum = _FRAME.unpack(head)
            if not _LENGTHS.size <= length <= size - end:  # a crash of the machine may leave zeros: no frame is empty
                return
            body = file.read(length)
            if len(body) < length or crc32(body) != checksum:
                return
            end += _FRAME.size + length
            yield body, end
