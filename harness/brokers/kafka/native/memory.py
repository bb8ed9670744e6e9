"""Read many C structures at once: an array of pointers in, an array of structures out.

A loop over pointers costs most of a microsecond for each; numpy gathers by index, and the process's own memory is an
array like any other. Only addresses that a library has handed over, and not taken back yet, may be read.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ADDRESS_BITS = 47
"""User space of a 64-bit Linux or macOS process (x86-64 and ARM64 with 48-bit addresses) lies below."""

FIRST = 4096
"""Nothing lies in the first page, and an array that began at address 0 would be taken for one without memory."""


@cache
def process_memory() -> NDArray[np.uint8]:
    """The process's memory as bytes; what lies at address ``a`` is item ``a - FIRST``."""
    size = (1 << _ADDRESS_BITS) - FIRST
    seen: NDArray[np.uint8] = np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(FIRST))
    return seen


def structures_at(pointers: NDArray[np.uint64], layout: np.dtype[Any]) -> NDArray[Any]:
    """A copy of the structure that each pointer points to; shape that of ``pointers``, dtype ``layout``."""
    memory = process_memory()
    everywhere = np.ndarray(len(memory) - layout.itemsize + 1, f"V{layout.itemsize}", memory, strides=(1,))
    structures: NDArray[Any] = everywhere[(pointers - np.uint64(FIRST)).astype(np.int64)].view(layout)
    return structures
