"""The file format of a segment, and reading one that a crash has cut, zeroed or garbled.

A segment is a magic number and then batches: U32 length, U32 CRC-32 of the payload, payload; the payload is a sequence
of records, each U32 length and bytes. A batch is what one commit wrote, so its records are there together or not at
all. Reading stops at the first batch that is not whole; everything before it is good. A record lies at the offset of
its length in the segment, and can be read from there by itself (:class:`Reader`).
"""

import os
import struct
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

from ..core.log import Unreadable

MAGIC: Final = b"SMFJRNL1"
_BATCH: Final = struct.Struct(">II")
_LENGTH: Final = struct.Struct(">I")
_FILES_OPEN: Final = 16
_READ_AHEAD: Final = 64  # bytes: a record that is not much longer than expected is read at once


class Contents:
    """The records of a segment, read one batch at a time; the attributes tell how far that has got.

    ``good_length`` is the length in bytes of what could be read, ``total_length`` that of the whole.
    """

    def __init__(self, file: BinaryIO, total_length: int) -> None:
        self.good_length = 0
        self.total_length = total_length
        self._file = file

    @property
    def damaged(self) -> bool:
        """Something behind the good part cannot be read. Known after :meth:`records`."""
        return self.good_length != self.total_length

    def records(self) -> Iterator[tuple[int, bytes]]:
        """Yield (offset, record), oldest first. Zeros are no batch: an empty one is never written."""
        if self._file.read(len(MAGIC)) != MAGIC:
            return
        self.good_length = len(MAGIC)
        while (payload := self._batch()) is not None:
            yield from unpack(payload, self.good_length + _BATCH.size)
            self.good_length += _BATCH.size + len(payload)

    def _batch(self) -> bytes | None:
        """Read the next batch; None where there is no whole one."""
        head = self._file.read(_BATCH.size)
        if len(head) < _BATCH.size:
            return None
        length, check = _BATCH.unpack(head)
        if not 0 < length <= self.total_length - self.good_length - _BATCH.size:
            return None
        payload = self._file.read(length)
        return payload if len(payload) == length and zlib.crc32(payload) == check else None


def pack(records: Iterable[bytes]) -> bytes:
    """Encode records as one batch."""
    payload = b"".join(part for record in records for part in (_LENGTH.pack(len(record)), record))
    return _BATCH.pack(len(payload), zlib.crc32(payload)) + payload


def offsets(lengths: Iterable[int], start: int) -> Iterator[int]:
    """Yield where each record lies in a segment when the batch of records of these lengths is written at ``start``."""
    at = start + _BATCH.size
    for length in lengths:
        yield at
        at += _LENGTH.size + length


def unpack(payload: bytes, start: int) -> Iterator[tuple[int, bytes]]:
    """Yield (offset, record) of a batch whose check sum is right; the payload lies at ``start``."""
    at = 0
    while at < len(payload):
        (length,) = _LENGTH.unpack_from(payload, at)
        yield start + at, payload[at + 4 : at + 4 + length]
        at += 4 + length


def path_of(folder: Path, number: int) -> Path:
    """Return the file of a segment."""
    return folder / f"journal-{number:010d}.log"


def numbers(folder: Path) -> list[int]:
    """Return the numbers of the segments in a folder, oldest first."""
    return sorted(int(path.stem.removeprefix("journal-")) for path in folder.glob("journal-*.log"))


class Reader:
    """Reads single records from the segments in a folder. It knows their lengths, not what is in them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: OrderedDict[int, int] = OrderedDict()  # segment -> descriptor, the last used last

    def read(self, segment: int, offset: int, least: int) -> bytes:
        """Return the record at ``offset``, of ``least`` bytes or more. Raises :class:`Unreadable` and ``OSError``."""
        descriptor = self._open(segment)
        start = os.pread(descriptor, _LENGTH.size + least + _READ_AHEAD, offset)
        length = _LENGTH.unpack_from(start)[0] if len(start) >= _LENGTH.size else 0
        if length < least or offset + _LENGTH.size + length > os.fstat(descriptor).st_size:
            raise Unreadable("its length is wrong")
        found = start[_LENGTH.size : _LENGTH.size + length]
        if len(found) < length:
            found += os.pread(descriptor, length - len(found), offset + _LENGTH.size + len(found))
        return found

    def _open(self, segment: int) -> int:
        descriptor = self._files.pop(segment, None)
        if descriptor is None:
            descriptor = os.open(path_of(self._folder, segment), os.O_RDONLY)
        self._files[segment] = descriptor
        if len(self._files) > _FILES_OPEN:
            os.close(self._files.popitem(last=False)[1])
        return descriptor

    def forget(self, segment: int) -> None:
        """A segment is dropped."""
        descriptor = self._files.pop(segment, None)
        if descriptor is not None:
            os.close(descriptor)

    def close(self) -> None:
        """Close all files."""
        for segment in list(self._files):
            self.forget(segment)
