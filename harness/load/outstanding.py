"""The sends that have no outcome yet, and when each was intended. Pure but for its own state."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Outstanding:
    """A ring indexed by sequence number; grows when a new send would take the place of one without an outcome."""

    def __init__(self, capacity: int = 1 << 14) -> None:
        if capacity & (capacity - 1):
            raise ValueError(f"the capacity must be a power of two, not {capacity}")
        self._allocate(capacity)

    def _allocate(self, capacity: int) -> None:
        self._sequence = np.zeros(capacity, np.uint64)
        self._intended_ns = np.zeros(capacity, np.int64)
        self._open = np.zeros(capacity, np.bool_)
        self._place = np.zeros(capacity, np.int64)

    def __len__(self) -> int:
        return int(np.count_nonzero(self._open))

    def add(self, sequence: NDArray[np.uint64], intended_ns: NDArray[np.int64]) -> None:
        """Sends without an outcome: new sequence numbers, ascending by one."""
        while len(sequence) > len(self._open) or self._open[slots := self._slots(sequence)].any():
            self._grow()
        self._sequence[slots], self._intended_ns[slots], self._open[slots] = sequence, intended_ns, True

    def settle(self, sequence: NDArray[np.uint64]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """These have an outcome now.

        Returns:
            Arrays as long as ``sequence``: whether it was outstanding (False: never sent, or settled before), and its
            intended time (meaningless where False).
        """
        slots = self._slots(sequence)
        known = self._open[slots] & (self._sequence[slots] == sequence)
        place = np.flatnonzero(known)
        self._place[slots[place[::-1]]] = place[::-1]
        known[place] = self._place[slots[place]] == place  # of several outcomes of one send the first counts
        intended_ns = self._intended_ns[slots]
        self._open[slots[known]] = False
        return known, intended_ns

    def _slots(self, sequence: NDArray[np.uint64]) -> NDArray[np.int64]:
        return (sequence & np.uint64(len(self._open) - 1)).view(np.int64)

    def _grow(self) -> None:
        sequence, intended_ns = self._sequence[self._open], self._intended_ns[self._open]
        self._allocate(2 * len(self._open))
        slots = self._slots(sequence)
        self._sequence[slots], self._intended_ns[slots], self._open[slots] = sequence, intended_ns, True
