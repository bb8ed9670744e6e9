"""Read the same field of many C structures at once: an array of pointers in, an array of values out.

A loop over pointers costs most of a microsecond for each; numpy gathers by index, and the process's own memory is an
array like any other. Only addresses that a library has handed over, and not taken back yet, may be read.
"""

from __future__ import annotations

import ctypes
from functools import cache

import numpy as np
from numpy.typing import NDArray

_ADDRESS_BITS = 47
"""User space of a 64-bit Linux or macOS process (x86-64 and ARM64 with 48-bit addresses) lies below."""


FIRST = 4096
"""Nothing lies in the first page, and an array that began at address 0 would be taken for one without memory."""


@cache
def _words() -> NDArray[np.uint64]:
    words = ((1 << _ADDRESS_BITS) - FIRST) // 8
    seen: NDArray[np.uint64] = np.ctypeslib.as_array((ctypes.c_uint64 * words).from_address(FIRST))
    return seen


def process_memory() -> NDArray[np.uint8]:
    """The process's memory as bytes; what lies at address ``a`` is item ``a - FIRST``."""
    return _words().view(np.uint8)


def word_at(pointers: NDArray[np.uint64], offset: int) -> NDArray[np.uint64]:
    """The 64-bit word ``offset`` bytes behind each pointer; both multiples of 8."""
    taken: NDArray[np.uint64] = _words()[(pointers + np.uint64(offset) - np.uint64(FIRST)) >> np.uint64(3)]
    return taken


def int_at(pointers: NDArray[np.uint64], offset: int) -> NDArray[np.int32]:
    """The 32-bit signed integer ``offset`` bytes behind each pointer; both multiples of 8, little-endian."""
    words: NDArray[np.int32] = word_at(pointers, offset).astype(np.uint32).view(np.int32)
    return words
