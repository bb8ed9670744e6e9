"""What became of a connection, in the contract's words, whichever library it was made with."""

from __future__ import annotations

import time
from collections import deque

from crep.harness.brokers.contract import ClientEvent

_EVENTS_KEPT = 1000


class EventLog:
    """Collects what a client library reports, on whichever thread it does; the owner takes it from its own."""

    def __init__(self) -> None:
        self._events: deque[ClientEvent] = deque(maxlen=_EVENTS_KEPT)
        self._down = False
        self.given_up: str | None = None  # why the library tries no more

    def note(self, kind: str, text: str) -> None:
        """Record an event."""
        self._events.append(ClientEvent(time.monotonic_ns(), kind, text))

    def reconnecting(self, cause: str) -> None:
        """An attempt to connect again begins; the first one tells that the connection was lost."""
        self.note("reconnecting" if self._down else "down", cause)
        self._down = True

    def reconnected(self, text: str) -> None:
        """Connected again; subscriptions and flows are back."""
        self._down = False
        self.note("reconnected", text)

    def gave_up(self, cause: str) -> None:
        """The library tries no more."""
        self._down = True
        self.given_up = cause
        self.note("down", f"gave up reconnecting: {cause}")

    def take(self) -> list[ClientEvent]:
        """Events since the last call."""
        taken = []
        while self._events:
            taken.append(self._events.popleft())
        return taken
