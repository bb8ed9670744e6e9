"""CRC-32 of many payloads at once, and of many short heads, each behind a payload whose sum is known.

CRC-32 is linear over XOR but for a constant: the sum of a head of fixed length is the XOR of what each of its bytes
contributes at its place, and a sum that was begun before contributes what it becomes behind as many zero bytes. Both
are looked up in tables that ``zlib`` has filled, so there is no second definition of the polynomial. Heads of one
batch differ in few of their bytes: only these are looked up, what they share is summed once.

Payloads repeat: what equals, byte for byte, a payload that was summed before has its sum. Comparing costs a tenth of
summing.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

_FEW_HEADS = 16
"""So many are summed faster one by one."""


def head_sums(heads: NDArray[np.uint8], begun: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """``zlib.crc32(head, begun)`` for each row.

    Args:
        heads: shape (n, length), any length.
        begun: shape (n,), the sums of what comes before each head.

    Returns:
        Shape (n,), uint32.
    """
    count, length = heads.shape
    if count < _FEW_HEADS:
        return np.array(
            [zlib.crc32(head.tobytes(), sum_) for head, sum_ in zip(heads, begun.tolist(), strict=True)], "u4"
        )
    differing = np.ascontiguousarray(heads.T)
    differing ^= heads[0][:, None]
    columns = np.flatnonzero(differing.any(axis=1))
    places, changes = _places(length), np.zeros(count, np.uint32)
    for column in columns.tolist():
        changes ^= places[column].take(differing[column])
    if (begun == begun[0]).all():
        return changes ^ np.uint32(zlib.crc32(heads[0].tobytes(), int(begun[0])))
    return changes ^ np.uint32(zlib.crc32(heads[0].tobytes())) ^ _behind_zeros(length, begun)


def _behind_zeros(length: int, begun: NDArray[np.uint32]) -> NDArray[np.uint32]:
    table = _carried(length)
    moved: NDArray[np.uint32] = table[begun & 0xFF]
    for byte in (1, 2, 3):
        moved ^= table[256 * byte + (begun >> np.uint32(8 * byte) & 0xFF)]
    return moved


@cache
def _places(length: int) -> NDArray[np.uint32]:
    """What a change (XOR) of each of ``length`` bytes changes in the sum; shape (length, 256)."""
    zero = zlib.crc32(bytes(length))
    table = np.zeros((length, 256), np.uint32)
    for place in range(length):
        for value in range(1, 256):
            head = bytearray(length)
            head[place] = value
            table[place, value] = zlib.crc32(head) ^ zero
    return table


@cache
def _carried(length: int) -> NDArray[np.uint32]:
    """What each value of each byte of a begun sum (flat, 256 a byte, lowest first) adds behind ``length`` zeros."""
    zeros, table = bytes(length), np.zeros(4 * 256, np.uint32)
    for byte in range(4):
        for value in range(256):
            table[256 * byte + value] = zlib.crc32(zeros, value << 8 * byte) ^ zlib.crc32(zeros)
    return table


_FEW = 8
"""Fewer payloads of one length are summed as they are: the comparison costs as much as summing so many."""
_LENGTHS, _LONGEST = 32, 1 << 16
"""How many lengths are remembered, and up to which (bytes): together at most 4 MiB."""
_BLOCK = 1 << 17
"""Bytes that are compared at once: what the processor's cache holds."""


@dataclass(frozen=True)
class _Known:
    """A payload that was seen, its sum, and as many of it end to end as fill a block."""

    payload: bytes
    sum: int
    block: bytes

    @classmethod
    def of(cls, payload: bytes) -> _Known:
        return cls(payload, zlib.crc32(payload), payload * max(1, _BLOCK // len(payload)))


class PayloadSums:
    """``zlib.crc32`` of payloads; remembers one payload of each length that comes often."""

    def __init__(self) -> None:
        self._known: dict[int, _Known] = {}

    def of(
        self, buffer: NDArray[np.uint8], starts: NDArray[np.int64], lengths: NDArray[np.int64]
    ) -> NDArray[np.uint32]:
        """The sum of each ``buffer[start : start + length]``; shapes (n,)."""
        if not len(lengths):
            return np.zeros(0, np.uint32)
        if lengths.min() == lengths.max():
            return self._alike(buffer, starts, int(lengths[0]))
        sums = np.empty(len(lengths), np.uint32)
        order = np.argsort(lengths, kind="stable")
        borders = np.flatnonzero(np.diff(lengths[order])) + 1
        for part in np.split(order, borders):
            sums[part] = self._alike(buffer, starts[part], int(lengths[part[0]]))
        return sums

    def _alike(self, buffer: NDArray[np.uint8], starts: NDArray[np.int64], length: int) -> NDArray[np.uint32]:
        """Sums of payloads of one length."""
        known = self._known.get(length)
        if length == 0 or len(starts) < _FEW or (known is None and not self._may_learn(length)):
            return _summed(buffer, starts, length)
        if known is None:
            known = self._known[length] = _Known.of(_payload(buffer, int(starts[0]), length))
        sums = np.empty(len(starts), np.uint32)
        step = len(known.block) // length
        for first in range(0, len(starts), step):
            part = starts[first : first + step]
            payloads = rows_at(buffer, part, length)
            sums[first : first + step] = known.sum
            if known.block.startswith(payloads.data):  # not copied once more
                continue
            other = np.flatnonzero(payloads != np.frombuffer(known.payload, payloads.dtype))
            sums[first + other] = _summed(buffer, part[other], length)
            if 2 * len(other) > len(part):  # another one comes now
                known = self._known[length] = _Known.of(_payload(buffer, int(part[other[-1]]), length))
        return sums

    def _may_learn(self, length: int) -> bool:
        return length <= _LONGEST and len(self._known) < _LENGTHS


def rows_at(buffer: NDArray[np.uint8], starts: NDArray[np.int64], length: int) -> NDArray[np.void]:
    """A copy of ``buffer[start : start + length]`` for each start, all in one step; ``length`` at least 1.

    Returns:
        Shape (n,), of items of ``length`` bytes.
    """
    everywhere = np.ndarray(max(0, len(buffer) - length + 1), f"V{length}", buffer, strides=(1,))
    rows: NDArray[np.void] = everywhere[starts]
    return rows


def _payload(buffer: NDArray[np.uint8], start: int, length: int) -> bytes:
    return buffer[start : start + length].tobytes()


def _summed(buffer: NDArray[np.uint8], starts: NDArray[np.int64], length: int) -> NDArray[np.uint32]:
    data = memoryview(buffer)  # type: ignore[arg-type]
    return np.array([zlib.crc32(data[start : start + length]) for start in starts.tolist()], np.uint32)
