"""Which messages are in memory: those spooled or read last, up to a number of bytes. The others lie in the journal.

A message that consumers keep up with is delivered from memory; the backlog of a deep queue costs memory for its
entries only and is read back when its turn comes: to be delivered, browsed, moved or shown.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Final

from ..smf import ProtocolError
from ..smf import message as smf_message
from . import log as records
from .log import Log, Unreadable

if TYPE_CHECKING:
    from ..smf.message import Message
    from .entry import SpooledMessage

RESIDENT_BYTES: Final = 32 * 1024 * 1024
_READ_PER_TURN: Final = 1024 * 1024  # bytes: some milliseconds from a slow disk
_MESSAGE_OVERHEAD: Final = 700  # bytes that a message takes in memory besides its own, about
_LOG: Final = logging.getLogger(__name__)


class Bodies:
    """The messages in memory. ``log`` is where the others are read from; ``budget`` in bytes."""

    def __init__(self, log: Log, budget: int = RESIDENT_BYTES) -> None:
        self.log = log
        self.budget = budget
        self._resident: deque[SpooledMessage] = deque()  # oldest first; those that left the spool since count as well
        self._bytes = 0
        self._unread = _READ_PER_TURN

    @property
    def resident_bytes(self) -> int:
        """What the messages in memory take, about."""
        return self._bytes

    def begin_turn(self) -> None:
        """Allow as much to be read as keeps a turn short, and let go what has become durable meanwhile."""
        self._unread = _READ_PER_TURN
        if self._bytes > self.budget:
            self._evict()

    @property
    def may_read(self) -> bool:
        """Whether this turn may read more of the journal; others wait for their turn otherwise."""
        return self._unread > 0

    def keep(self, spooled: SpooledMessage) -> None:
        """A message has come to memory: let the oldest go for it."""
        self._resident.append(spooled)
        self._bytes += spooled.size + _MESSAGE_OVERHEAD
        if self._bytes > self.budget:
            self._evict()

    def _evict(self) -> None:
        """What is not durable stays: only then is it certain to be in its place. So does the newest."""
        resident, durable = self._resident, self.log.durable
        while self._bytes > self.budget and len(resident) > 1 and resident[0].position <= durable:
            oldest = resident.popleft()
            self._bytes -= oldest.size + _MESSAGE_OVERHEAD
            oldest.evict()

    def load(self, spooled: SpooledMessage) -> Message:
        """Read a message back. Raises :class:`.log.Unreadable`, which is logged with the range of bytes."""
        least = records.spooled_length(spooled.size)
        self._unread -= least
        try:
            record = records.decode(self.log.read(spooled.segment, spooled.offset, least))
            if not isinstance(record, records.Spooled) or record.message_id != spooled.id:
                raise Unreadable("another record is in its place")
            if len(record.kept) + len(record.body) != spooled.size:
                raise Unreadable("it has another length")
            message = smf_message.restore(record.flags, record.cos, record.kept, record.body)
        except (Unreadable, ProtocolError, ValueError) as error:
            place = f"segment {spooled.segment}, bytes {spooled.offset} to {spooled.offset + least}"
            _LOG.error("message %d is lost: journal %s cannot be read back: %s", spooled.id, place, error)
            raise Unreadable(f"message {spooled.id}, journal {place}: {error}") from error
        return message
