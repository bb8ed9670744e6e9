"""Payloads in one buffer, as the engines render them and as the C libraries take and give them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray


class Packed(Sequence[bytes]):
    """Payloads in one buffer: what a library that takes addresses needs, and bytes for any other.

    ``starts`` and ``lengths`` are int64 arrays, one item a payload; a slice shares the buffer. ``address`` is that of
    the buffer, valid while this object lives. Payloads may lie in any order, with anything between them.
    """

    def __init__(self, buffer: NDArray[np.uint8], starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> None:
        self.buffer, self.starts, self.lengths = buffer, starts, lengths
        self.address = int(buffer.ctypes.data)

    @classmethod
    def of(cls, bodies: Sequence[bytes]) -> Packed:
        """A copy of payloads that lie anywhere."""
        lengths = np.fromiter(map(len, bodies), np.int64, len(bodies))
        return cls(np.frombuffer(b"".join(bodies), np.uint8), np.cumsum(lengths) - lengths, lengths)

    def __len__(self) -> int:
        return len(self.starts)

    @overload
    def __getitem__(self, at: int) -> bytes: ...

    @overload
    def __getitem__(self, at: slice) -> Packed: ...

    def __getitem__(self, at: int | slice) -> bytes | Packed:
        if isinstance(at, slice):
            return Packed(self.buffer, self.starts[at], self.lengths[at])
        start = int(self.starts[at])
        return self.buffer[start : start + int(self.lengths[at])].tobytes()

    def __iter__(self) -> Iterator[bytes]:
        starts, lengths = self.starts, self.lengths
        data: bytes | memoryview = memoryview(self.buffer)  # type: ignore[arg-type]
        if np.array_equal(starts[1:], starts[:-1] + lengths[:-1]):  # one behind the other: slicing bytes is faster
            first, size = int(starts[0]) if len(starts) else 0, int(lengths.sum())
            starts, data = starts - first, self.buffer[first : first + size].tobytes()
        for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
            yield bytes(data[start : start + length])
