"""CRC-32 of many short heads at once, each behind a payload whose sum is known.

CRC-32 is linear over XOR but for a constant: the sum of a head of fixed length is the XOR of what each of its bytes
contributes at its place, and a sum that was begun before contributes what it becomes behind as many zero bytes. Both
are looked up in tables that ``zlib`` has filled, so there is no second definition of the polynomial.
"""

from __future__ import annotations

import zlib
from functools import cache

import numpy as np
from numpy.typing import NDArray


def head_sums(heads: NDArray[np.uint8], begun: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """``zlib.crc32(head, begun)`` for each row.

    Args:
        heads: shape (n, length), any length.
        begun: shape (n,), the sums of what comes before each head.

    Returns:
        Shape (n,), uint32.
    """
    length = heads.shape[1]
    places, zero = _places(length)
    sums: NDArray[np.uint32] = np.bitwise_xor.reduce(places[heads + 256 * np.arange(length)], axis=1)
    return sums ^ zero ^ _behind_zeros(length, begun)


def _behind_zeros(length: int, begun: NDArray[np.uint32]) -> NDArray[np.uint32]:
    table = _carried(length)
    moved: NDArray[np.uint32] = table[begun & 0xFF]
    for byte in (1, 2, 3):
        moved ^= table[256 * byte + (begun >> np.uint32(8 * byte) & 0xFF)]
    return moved


@cache
def _places(length: int) -> tuple[NDArray[np.uint32], np.uint32]:
    """What each value of each byte adds to the sum of ``length`` zero bytes (flat, 256 a place), and that sum."""
    zero = zlib.crc32(bytes(length))
    table = np.zeros(256 * length, np.uint32)
    for place in range(length):
        for value in range(1, 256):
            head = bytearray(length)
            head[place] = value
            table[256 * place + value] = zlib.crc32(head) ^ zero
    return table, np.uint32(zero)


@cache
def _carried(length: int) -> NDArray[np.uint32]:
    """What each value of each byte of a begun sum (flat, 256 a byte, lowest first) adds behind ``length`` zeros."""
    zeros, table = bytes(length), np.zeros(4 * 256, np.uint32)
    for byte in range(4):
        for value in range(256):
            table[256 * byte + value] = zlib.crc32(zeros, value << 8 * byte) ^ zlib.crc32(zeros)
    return table
