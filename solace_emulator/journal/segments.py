"""The file format of a segment, and reading one that a crash has cut, zeroed or garbled.

A segment is a magic number and then batches: U32 length, U32 CRC-32 of the payload, payload; the payload is a sequence
of records, each U32 length and bytes. A batch is what one commit wrote, so its records are there together or not at
all. Reading stops at the first batch that is not whole; everything before it is good.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MAGIC: Final = b"SMFJRNL1"
_BATCH: Final = struct.Struct(">II")
_LENGTH: Final = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class Contents:
    """The good part of a segment: its batches' payloads, its length in bytes, and what stands behind it."""

    payloads: tuple[bytes, ...]
    good_length: int
    total_length: int

    @property
    def damaged(self) -> bool:
        """Something behind the good part cannot be read."""
        return self.good_length != self.total_length

    def records(self) -> Iterator[bytes]:
        """Yield the records, oldest first."""
        for payload in self.payloads:
            yield from unpack(payload)


def pack(records: Iterable[bytes]) -> bytes:
    """Encode records as one batch."""
    payload = b"".join(part for record in records for part in (_LENGTH.pack(len(record)), record))
    return _BATCH.pack(len(payload), zlib.crc32(payload)) + payload


def unpack(payload: bytes) -> Iterator[bytes]:
    """Yield the records of a batch whose check sum is right."""
    at = 0
    while at < len(payload):
        (length,) = _LENGTH.unpack_from(payload, at)
        yield payload[at + 4 : at + 4 + length]
        at += 4 + length


def read(data: bytes) -> Contents:
    """Read a segment's bytes; never fails. Zeros are no batch: an empty one is never written."""
    if not data.startswith(MAGIC):
        return Contents((), 0, len(data))
    payloads: list[bytes] = []
    at = len(MAGIC)
    while at + _BATCH.size <= len(data):
        length, check = _BATCH.unpack_from(data, at)
        payload = data[at + _BATCH.size : at + _BATCH.size + length]
        if length == 0 or len(payload) < length or zlib.crc32(payload) != check:
            break
        payloads.append(payload)
        at += _BATCH.size + length
    return Contents(tuple(payloads), at, len(data))


def path_of(folder: Path, number: int) -> Path:
    """Return the file of a segment."""
    return folder / f"journal-{number:010d}.log"


def numbers(folder: Path) -> list[int]:
    """Return the numbers of the segments in a folder, oldest first."""
    return sorted(int(path.stem.removeprefix("journal-")) for path in folder.glob("journal-*.log"))
