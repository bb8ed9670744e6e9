"""When bytes may go on: a token bucket and a line of chunks, both pure (the time is an argument)."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence

from crep.harness.proxy.rules import Latency

BURST_S = 0.05
"""What a bucket lets pass at once, in seconds of its rate: a proxy that woke up late makes up for that much."""

SLICE_S = 0.02
"""What one connection takes from a bucket at a time, so that those which share it take turns."""

_CHUNK_COST = 128
"""Bytes that a waiting chunk takes beside its own."""


class TokenBucket:
    """A rate in bytes a second. It is full at first: `BURST_S` of the rate pass without a wait."""

    def __init__(self, bytes_per_s: float) -> None:
        self._rate = bytes_per_s
        self._free_s = float("-inf")

    def take(self, now_s: float, size: int) -> float:
        """Take ``size`` bytes; returns when the last of them has passed (``now_s`` or later)."""
        self._free_s = max(self._free_s, now_s - BURST_S) + size / self._rate
        return max(now_s, self._free_s)

    @property
    def slice(self) -> int:
        """Bytes to take at a time."""
        return max(1, int(self._rate * SLICE_S))


def delay(latencies: Sequence[Latency], chance: random.Random) -> float:
    """Seconds that the latencies add up to, with a draw of each one's jitter."""
    return sum(one.s + one.jitter_s * chance.uniform(-1.0, 1.0) for one in latencies)


class DelayLine:
    """Chunks in the order in which they came, each with the time at which it may go on; an end may follow them.

    ``cost`` is the memory that they take, in bytes.
    """

    __slots__ = ("_chunks", "cost")

    def __init__(self) -> None:
        self._chunks: deque[tuple[float, memoryview | None]] = deque()
        self.cost = 0

    def __bool__(self) -> bool:
        return bool(self._chunks)

    def push(self, due_s: float, data: memoryview | None) -> None:
        """Append a chunk that is the caller's no more; None: the end. It never overtakes the one before."""
        if self._chunks:
            due_s = max(due_s, self._chunks[-1][0])
        self._chunks.append((due_s, data))
        self.cost += _cost(data)

    def head(self) -> tuple[float, memoryview | None]:
        """The next chunk and when it may go on.

        Raises:
            IndexError: there is none.
        """
        return self._chunks[0]

    def pop(self, sent: int | None = None) -> None:
        """The first ``sent`` bytes of the head have gone on; None: all of it."""
        due_s, data = self._chunks.popleft()
        self.cost -= _cost(data)
        if data is not None and sent is not None and sent < len(data):
            rest = data[sent:]
            self._chunks.appendleft((due_s, rest))
            self.cost += _cost(rest)

    def clear(self) -> None:
        """Throw everything away."""
        self._chunks.clear()
        self.cost = 0


def _cost(data: memoryview | None) -> int:
    return _CHUNK_COST + (0 if data is None else len(data))
