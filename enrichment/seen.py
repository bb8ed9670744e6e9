"""Message ids that were forwarded, for as long as a route's ``deduplicate`` says."""

from __future__ import annotations

import time
from collections import OrderedDict

from crep.harness.brokers.contract import Message


class Seen:
    """A memory of this process; it ends with it.

    Args:
        keep_s: how long an id is remembered; None: not at all.
    """

    def __init__(self, keep_s: float | None) -> None:
        self._keep_ns = None if keep_s is None else round(keep_s * 1e9)
        self._ids: OrderedDict[str, int] = OrderedDict()

    def before(self, message: Message, now_ns: int) -> bool:
        """Whether a message of this id was forwarded; one without an id never was."""
        if self._keep_ns is None or message.message_id is None:
            return False
        while self._ids and next(iter(self._ids.values())) < now_ns - self._keep_ns:
            self._ids.popitem(last=False)
        return message.message_id in self._ids

    def add(self, message: Message) -> None:
        """It was forwarded."""
        if self._keep_ns is not None and message.message_id is not None:
            self._ids[message.message_id] = time.monotonic_ns()
            self._ids.move_to_end(message.message_id)
