"""Payload buffers that librdkafka reads from: their messages are not copied, so they are held until it has reported."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class LentBuffers:
    """Buffers in the order of their messages' sequence numbers, which ascend; each with the messages left in it."""

    def __init__(self) -> None:
        self._buffers: list[NDArray[np.uint8]] = []
        self._firsts: list[int] = []  # sequence number of the first message
        self._left: list[int] = []

    def __len__(self) -> int:
        return len(self._buffers)

    def lend(self, buffer: NDArray[np.uint8], first: int, messages: int) -> None:
        """``messages`` more, from sequence number ``first`` on, lie in this buffer."""
        if self._buffers and self._buffers[-1] is buffer:
            self._left[-1] += messages
        elif messages:
            self._buffers.append(buffer)
            self._firsts.append(first)
            self._left.append(messages)

    def reported(self, sequences: NDArray[np.uint64]) -> None:
        """The library will not look at these messages any more."""
        places = np.searchsorted(np.array(self._firsts, np.uint64), sequences, "right") - 1
        of_each = np.bincount(places, minlength=len(self._left)).tolist()
        self._left = [left - gone for left, gone in zip(self._left, of_each, strict=True)]
        if not all(self._left):
            kept = [place for place, left in enumerate(self._left) if left]
            self._buffers = [self._buffers[place] for place in kept]
            self._firsts = [self._firsts[place] for place in kept]
            self._left = [self._left[place] for place in kept]

    def clear(self) -> None:
        """The library is gone."""
        self._buffers, self._firsts, self._left = [], [], []
