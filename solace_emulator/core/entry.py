"""A message on the spool, one queue's hold on it, and the order in which a queue gives its entries out."""

from __future__ import annotations

import heapq
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..smf.message import Message
    from .flow import ConsumerFlow


class SpooledMessage:
    """A message on the spool, shared by the queues (by number) that still hold it."""

    __slots__ = ("expires", "id", "message", "position", "queues", "segment", "spooled_at_ms")

    def __init__(
        self,
        message_id: int,
        message: Message,
        queues: list[int],
        *,
        segment: int,
        position: int,
        spooled_at_ms: int,
        expires: bool,
    ) -> None:
        self.id = message_id
        self.message = message
        self.queues = queues
        self.segment = segment
        self.position = position
        self.spooled_at_ms = spooled_at_ms
        self.expires = expires  # a dead message does not die of age a second time


class Entry:
    """One queue's hold on a spooled message, with its delivery history."""

    __slots__ = (
        "count",
        "delivery_id",
        "expires_at_ms",
        "flow",
        "id",
        "partition",
        "redelivered",
        "removed",
        "returned",
        "spooled",
    )

    def __init__(self, spooled: SpooledMessage, expires_at_ms: int, partition: int) -> None:
        self.spooled = spooled
        self.id = spooled.id
        self.partition = partition
        self.count = 0  # deliveries so far
        self.redelivered = False  # the next delivery is not the first, or may not be
        self.flow: ConsumerFlow | None = None
        self.delivery_id = 0  # of the latest delivery
        self.expires_at_ms = expires_at_ms
        self.removed = False
        self.returned = False  # stands in the heap of returned entries


class Lane:
    """Entries waiting for delivery, in the order of spooling.

    What was never delivered stands in a line; what came back has lower ids than all of that, and a heap of its own.
    Entries that are removed or delivered by other ways are skipped when their turn comes.
    """

    __slots__ = ("_fresh", "_returned")

    def __init__(self) -> None:
        self._fresh: deque[Entry] = deque()
        self._returned: list[tuple[int, Entry]] = []

    def add(self, entry: Entry) -> None:
        """Add an entry behind all others."""
        self._fresh.append(entry)

    def give_back(self, entry: Entry) -> None:
        """Put a delivered entry back to its place."""
        if not entry.returned:
            entry.returned = True
            heapq.heappush(self._returned, (entry.id, entry))

    def head(self) -> Entry | None:
        """Return the next entry, which stays."""
        while self._returned:
            entry = self._returned[0][1]
            if not entry.removed and entry.flow is None:
                return entry
            entry.returned = False
            heapq.heappop(self._returned)
        while self._fresh:
            entry = self._fresh[0]
            if not entry.removed:
                return entry
            self._fresh.popleft()
        return None

    def pop_head(self) -> None:
        """Remove what :meth:`head` has returned."""
        if self._returned:
            heapq.heappop(self._returned)[1].returned = False
        else:
            self._fresh.popleft()
