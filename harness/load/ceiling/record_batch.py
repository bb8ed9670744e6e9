"""A Kafka record batch (magic 2), made once and served again and again.

The first offset of a batch stands before what its check sum covers, so the same bytes serve at every offset.

Format: https://kafka.apache.org/documentation/#recordbatch
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

Headers = Sequence[tuple[str, bytes]]

_OFFSET = struct.Struct(">q")
_BEFORE_SUM = struct.Struct(">iib")  # length, leader epoch, magic
_SUM = struct.Struct(">I")
_HEAD = struct.Struct(">hiqqqhii")  # attributes, last delta, first and last time, producer, its epoch, sequence, count
_MAGIC, _NOBODY = 2, -1
_CASTAGNOLI = 0x82F63B78  # reflected


@dataclass(frozen=True)
class Record:
    """One message."""

    key: bytes
    value: bytes
    headers: Headers = ()


@dataclass(frozen=True)
class RecordBatch:
    """``count`` records, encoded, without the first offset."""

    count: int
    behind_offset: bytes

    @classmethod
    def of(cls, records: Sequence[Record], at_ms: int) -> RecordBatch:
        """Encode records, all of the same time (milliseconds since 1970)."""
        count = len(records)
        head = _HEAD.pack(0, count - 1, at_ms, at_ms, _NOBODY, _NOBODY, _NOBODY, count)
        summed = head + b"".join(_record(place, record) for place, record in enumerate(records))
        length = len(summed) + _SUM.size + 5  # leader epoch and magic
        return cls(count, _BEFORE_SUM.pack(length, _NOBODY, _MAGIC) + _SUM.pack(crc32c(summed)) + summed)

    def at(self, offset: int) -> bytes:
        """The batch whose first record has this offset."""
        return _OFFSET.pack(offset) + self.behind_offset


def _record(place: int, record: Record) -> bytes:
    """Attributes, time and offset (both relative), key, value, headers; with the length of all that before it."""
    headers = b"".join(_counted(name.encode()) + _counted(value) for name, value in record.headers)
    body = b"\0" + varint(0) + varint(place) + _counted(record.key) + _counted(record.value)
    body += varint(len(record.headers)) + headers
    return varint(len(body)) + body


def _counted(data: bytes) -> bytes:
    return varint(len(data)) + data


def varint(value: int) -> bytes:
    """A signed number in zigzag encoding, seven bits a byte."""
    left, encoded = (value << 1) ^ (value >> 63), bytearray()
    while left > 0x7F:
        encoded.append(left & 0x7F | 0x80)
        left >>= 7
    encoded.append(left)
    return bytes(encoded)


def crc32c(data: bytes) -> int:
    """CRC-32 with Castagnoli's polynomial."""
    table, crc = _table(), 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


@cache
def _table() -> tuple[int, ...]:
    entries = []
    for number in range(256):
        crc = number
        for _ in range(8):
            crc = (crc >> 1) ^ (_CASTAGNOLI if crc & 1 else 0)
        entries.append(crc)
    return tuple(entries)
