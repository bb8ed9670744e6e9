"""Buffers of payloads that serve again, with their filler in them: only the stamps are written anew.

Fresh memory of some megabytes comes from the kernel page by page, and goes back when it is let go: at 1 KiB a message
that, and the filler, were most of what rendering took. Who looks at payloads holds their buffer (``Packed.buffer``); a
buffer that nobody holds any more is free.
"""

from __future__ import annotations

import weakref
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_MOST_BYTES = 160 << 20
"""Kept altogether: what the client library has in its queue, as a rule. Beyond that buffers are let go."""
_ROUNDED_BELOW = 1 << 20
"""Bytes; smaller buffers are made a little larger than asked for, so that they serve for blocks of other lengths."""


@dataclass
class _Buffer:
    memory: NDArray[np.uint8]
    lent: weakref.ref[NDArray[np.uint8]]

    def lend(self, length: int) -> NDArray[np.uint8]:
        given = self.memory[:length]
        self.lent = weakref.ref(given)
        return given


class PayloadBuffers:
    """Buffers by the length of their payloads."""

    def __init__(self) -> None:
        self._kept: defaultdict[int, list[_Buffer]] = defaultdict(list)
        self._bytes = 0

    def of(self, count: int, length: int, filler: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """``count`` payloads of ``length`` bytes, one behind the other, each of which ends with ``filler``.

        Args:
            count: at least 1.
            length: at least that of the filler; of one length it must be the same filler every time.
            filler: what of each payload is always the same.

        Returns:
            Shape (count · length,); the caller writes what stands before the filler, and nothing else.
        """
        wanted, kept = count * length, self._kept[length]
        for buffer in kept:
            if len(buffer.memory) >= wanted and buffer.lent() is None:
                return buffer.lend(wanted)
        rows = count if wanted >= _ROUNDED_BELOW else 1 << (count - 1).bit_length()
        memory = np.empty(rows * length, np.uint8)
        memory.reshape(rows, length)[:, length - len(filler) :] = filler
        if self._bytes + len(memory) > _MOST_BYTES:
            return memory[:wanted]
        self._bytes += len(memory)
        made = _Buffer(memory, weakref.ref(memory))
        kept.append(made)
        return made.lend(wanted)
