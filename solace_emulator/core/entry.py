"""A message on the spool, one queue's hold on it, and the order in which a queue gives its entries out.

There may be a million of these: every attribute counts.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Final

from ..smf.frame import FLAG_DMQ_ELIGIBLE

if TYPE_CHECKING:
    from ..smf.message import Message
    from .bodies import Bodies
    from .flow import ConsumerFlow

_EXPIRES: Final = 1
_DMQ_ELIGIBLE: Final = 2
_SIZE_SHIFT: Final = 2
_OFFSET_SHIFT: Final = 32
_SWEPT_FROM: Final = 1000
_SIZE_MASK: Final = (1 << _OFFSET_SHIFT - _SIZE_SHIFT) - 1


class SpooledMessage:
    """A message on the spool, shared by the queues (by number) that still hold it.

    Its record lies at ``offset`` of ``segment`` in the journal, 0 as long as it is not written. ``position`` is that of
    the record in the log, 0 when it is known to be durable. ``queues`` is a tuple that messages share. ``size`` and
    ``flags`` (header byte 0) are the message's, which may be on the disk only (None).
    """

    __slots__ = ("_bodies", "_extent", "_message", "id", "position", "queues", "segment", "spooled_at_ms")

    def __init__(
        self,
        message_id: int,
        message: Message | None,
        queues: tuple[int, ...],
        bodies: Bodies,
        *,
        size: int,
        flags: int,
        segment: int,
        spooled_at_ms: int,
        expires: bool,
    ) -> None:
        self.id = message_id
        self.queues = queues
        self.segment = segment
        self.position = 0
        self.spooled_at_ms = spooled_at_ms
        self._bodies = bodies
        self._message = message
        #: offset, size and two flags in one number, which takes 32 bytes; apart they would take 120.
        self._extent = (
            size << _SIZE_SHIFT | (_EXPIRES if expires else 0) | (_DMQ_ELIGIBLE if flags & FLAG_DMQ_ELIGIBLE else 0)
        )

    @property
    def message(self) -> Message:
        """The message, read back from the journal where it is not in memory. Raises :class:`.log.Unreadable`."""
        message = self._message
        if message is None:
            message = self._message = self._bodies.load(self)
            self._bodies.keep(self)
        return message

    @property
    def resident(self) -> bool:
        """Whether the message is in memory."""
        return self._message is not None

    @property
    def size(self) -> int:
        """Bytes that count against quotas, as :attr:`..smf.message.Message.size`."""
        return self._extent >> _SIZE_SHIFT & _SIZE_MASK

    @property
    def offset(self) -> int:
        """Where its record begins in the segment, in bytes."""
        return self._extent >> _OFFSET_SHIFT

    @property
    def expires(self) -> bool:
        """Whether its time to live counts: a dead message does not die of age a second time."""
        return bool(self._extent & _EXPIRES)

    @property
    def dmq_eligible(self) -> bool:
        """Whether the publisher allows a move to a dead message queue."""
        return bool(self._extent & _DMQ_ELIGIBLE)

    def placed(self, offset: int) -> None:
        """The record was written at this offset; 0: it will be."""
        self._extent = self._extent & (1 << _OFFSET_SHIFT) - 1 | offset << _OFFSET_SHIFT

    def evict(self) -> None:
        """Leave the memory, for a place that is durable; without a place (kept through a full disk) stay."""
        if self._extent >> _OFFSET_SHIFT:
            self._message = None
            self.position = 0

    def drop(self) -> None:
        """Leave the spool."""
        self._message = None


class Live:
    """The messages on the spool by the segment of the journal that their latest copy lies in."""

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self._messages: dict[int, deque[SpooledMessage]] = {}  # with some that are gone or moved

    def count(self, segment: int) -> int:
        """Return how many messages need a segment."""
        return self._counts.get(segment, 0)

    def add(self, spooled: SpooledMessage) -> None:
        """A copy of a message lies in ``spooled.segment``."""
        segment = spooled.segment
        if segment not in self._counts:
            self._counts[segment] = 0
            self._messages[segment] = deque()
        self._counts[segment] += 1
        self._messages[segment].append(spooled)

    def remove(self, spooled: SpooledMessage) -> None:
        """A message is gone: no queue holds it."""
        self._lose_one(spooled.segment)

    def move(self, spooled: SpooledMessage, segment: int) -> None:
        """A message's latest copy lies in another segment now."""
        former, spooled.segment = spooled.segment, segment
        if former != segment:
            self._lose_one(former)
            self.add(spooled)

    def _lose_one(self, segment: int) -> None:
        """Whenever half of what is listed is gone, it is let go."""
        self._counts[segment] -= 1
        listed = self._messages[segment]
        if len(listed) > 2 * self._counts[segment] + _SWEPT_FROM:
            self._messages[segment] = deque(self._in(segment))

    def some(self, segment: int, most: int) -> list[SpooledMessage]:
        """Return messages that need a segment, at most so many of them."""
        return list(islice(self._in(segment), most))

    def _in(self, segment: int) -> Iterator[SpooledMessage]:
        return (one for one in self._messages.get(segment, ()) if one.queues and one.segment == segment)

    def forget(self, segment: int) -> None:
        """A segment is dropped. Raises ``ValueError`` when a message needs it."""
        if self.count(segment):
            raise ValueError(f"segment {segment} is needed by {self.count(segment)} messages")
        self._counts.pop(segment, None)
        self._messages.pop(segment, None)


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
