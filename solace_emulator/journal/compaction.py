"""When old segments go.

Segments are dropped oldest first, so that a settlement never goes before the message that it settles. One without live
messages goes at once. When the journal is more than twice as large as what lives, the live messages of the oldest are
written again at the end, a few at a time, and it goes when those copies are durable: the journal stays within about
twice the live data, and no step takes long.
"""

from typing import Final

from ..core.broker import Broker
from .commit import GroupCommit
from .store import SEGMENT_BYTES, Journal

_MESSAGES_PER_STEP: Final = 500
_BYTES_PER_STEP: Final = 4 * 1024 * 1024
_RECORD_OVERHEAD: Final = 100


class Compaction:
    """Keeps the journal's size in proportion. Call :meth:`step` regularly."""

    def __init__(
        self, broker: Broker, journal: Journal, commit: GroupCommit, *, segment_bytes: int = SEGMENT_BYTES
    ) -> None:
        self._broker = broker
        self._journal = journal
        self._commit = commit
        self._segment_bytes = segment_bytes
        self._copied_up_to = 0

    def step(self) -> None:
        """Drop what can go, or copy a little. Raises ``OSError``."""
        while (oldest := self._journal.oldest) != self._journal.segment:
            if self._broker.live.count(oldest):
                if self._oversized() and not self._commit.full:
                    self._copy_from(oldest)
                return
            if self._commit.durable < self._copied_up_to:
                return
            self._broker.live.forget(oldest)
            self._journal.drop_oldest()

    def _copy_from(self, segment: int) -> None:
        copied = 0
        for spooled in self._broker.live.some(segment, _MESSAGES_PER_STEP):
            self._broker.respool(spooled)
            copied += spooled.size
            if copied >= _BYTES_PER_STEP:
                break
        self._copied_up_to = self._commit.position

    def _oversized(self) -> bool:
        vpns = self._broker.vpns.values()
        live_bytes = sum(vpn.spool_usage + vpn.spooled_count * _RECORD_OVERHEAD for vpn in vpns)
        return self._journal.total_bytes > 2 * live_bytes + 3 * self._segment_bytes
