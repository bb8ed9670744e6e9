"""A set of message numbers that costs one bit each, and next to nothing where it is whole or empty."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

CHUNK = 1 << 18
"""Numbers in a chunk (32 KiB): a set grows, is looked at and is written chunk by chunk."""

_MANY = 1 << 12
"""So many numbers are set faster by way of a whole chunk than one by one."""

Numbers = NDArray[np.uint64]
Mask = NDArray[np.bool_]
Bits = NDArray[np.uint8]
"""A chunk: ``CHUNK / 8`` bytes in the bit order of ``np.packbits``. Read-only where it is whole or empty."""


def _constant(value: int) -> Bits:
    bits = np.full(CHUNK // 8, value, np.uint8)
    bits.flags.writeable = False
    return bits


EMPTY, WHOLE = _constant(0x00), _constant(0xFF)


class Bitmap:
    """Numbers from 0 on. ``changed`` holds the chunks that were added to since its owner cleared it.

    A chunk that becomes whole is replaced by one that all sets share, so a set of 10**8 numbers without a gap takes a
    few kilobytes; with gaps everywhere it takes 12.5 MB.
    """

    def __init__(self) -> None:
        self._chunks: list[Bits] = []
        self._counts: list[int] = []
        self.changed: set[int] = set()

    @classmethod
    def of_chunks(cls, chunks: list[Bits]) -> Bitmap:
        """The set that has these chunks, which it takes over."""
        bitmap = cls()
        for bits in chunks:
            count = _ones(bits)
            bitmap._chunks.append(WHOLE if count == CHUNK else EMPTY if count == 0 else bits)
            bitmap._counts.append(count)
        return bitmap

    def __len__(self) -> int:
        return sum(self._counts)

    @property
    def chunks(self) -> int:
        """Chunks up to the highest number."""
        return len(self._chunks)

    def chunk(self, place: int) -> Bits:
        """One chunk; beyond the highest number an empty one."""
        return self._chunks[place] if place < len(self._chunks) else EMPTY

    def holds(self, numbers: Numbers) -> Mask:
        """Which of the numbers are in the set; any order, same length."""
        held = np.zeros(len(numbers), np.bool_)
        for chunk, places in _by_chunk(numbers):
            bits = self.chunk(chunk)
            if bits is EMPTY:
                continue
            byte, bit = _address(numbers[places])
            held[places] = (bits[byte] & bit) != 0
        return held

    def add(self, numbers: Numbers) -> Mask:
        """Put the numbers in.

        Returns:
            Which of them were not in the set; of one that is given twice, the first.
        """
        fresh = np.zeros(len(numbers), np.bool_)
        for chunk, places in _by_chunk(numbers):
            bits = self._writable(chunk)
            if bits is WHOLE:
                continue
            byte, bit = _address(numbers[places])
            new = (bits[byte] & bit) == 0
            _set(bits, numbers[places], byte, bit)
            count = _ones(bits)
            added = count - self._counts[chunk]
            if added != np.count_nonzero(new):
                candidates = np.flatnonzero(new)
                first = np.unique(numbers[places][candidates], return_index=True)[1]
                new[:] = False
                new[candidates[first]] = True
            fresh[places] = new
            self._counts[chunk] = count
            if count == CHUNK:
                self._chunks[chunk] = WHOLE
            if added:
                self.changed.add(chunk)
        return fresh

    def _writable(self, chunk: int) -> Bits:
        while len(self._chunks) <= chunk:
            self._chunks.append(EMPTY)
            self._counts.append(0)
        if self._chunks[chunk] is EMPTY:
            self._chunks[chunk] = np.zeros(CHUNK // 8, np.uint8)
        return self._chunks[chunk]


def numbers_in(bits: Bits, chunk: int, limit: int) -> Numbers:
    """The lowest ``limit`` numbers of a chunk at its place, ascending."""
    numbers = np.flatnonzero(np.unpackbits(bits))[:limit]
    return numbers.astype(np.uint64) + np.uint64(chunk * CHUNK)


def ones(bits: Bits) -> int:
    """How many numbers a chunk holds."""
    return 0 if bits is EMPTY else CHUNK if bits is WHOLE else _ones(bits)


def _ones(bits: Bits) -> int:
    return int(np.bitwise_count(bits.view(np.uint64)).sum(dtype=np.int64))


def _by_chunk(numbers: Numbers) -> Iterator[tuple[int, slice | NDArray[np.intp]]]:
    if not len(numbers):
        return
    chunk = numbers // np.uint64(CHUNK)
    each = occurring(chunk)
    if len(each) == 1:
        yield each[0], slice(None)
        return
    for one in each:
        yield one, np.flatnonzero(chunk == one)


def occurring(values: Numbers) -> list[int]:
    """The different values, ascending; neighbours of each other, as they are here, are found faster than by sorting."""
    lowest, highest = int(values.min()), int(values.max())
    if lowest == highest:
        return [lowest]
    if highest - lowest > len(values):
        return [int(value) for value in np.unique(values)]
    return (np.flatnonzero(np.bincount((values - np.uint64(lowest)).astype(np.intp))) + lowest).tolist()


def _set(bits: Bits, numbers: Numbers, byte: NDArray[np.intp], bit: Bits) -> None:
    if len(numbers) < _MANY:
        np.bitwise_or.at(bits, byte, bit)
        return
    chosen = np.zeros(CHUNK, np.bool_)
    chosen[(numbers & np.uint64(CHUNK - 1)).astype(np.intp)] = True
    bits |= np.packbits(chosen)


def _address(numbers: Numbers) -> tuple[NDArray[np.intp], Bits]:
    """Byte in its chunk, and bit in that byte, of each number."""
    within = (numbers & np.uint64(CHUNK - 1)).astype(np.intp)
    return within >> 3, np.right_shift(np.uint8(128), (within & 7).astype(np.uint8))
