"""A publisher flow: which message ids were taken, refused or repeated, and what may be acknowledged.

An acknowledge is cumulative, so three things must never happen: acknowledging what is not durable yet, covering a
refused message by the acknowledge of a later one, and storing a repeated message twice. The flow's name, last id and
refused ids are as durable as the messages, so that all three hold across a crash.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from .refusal import Refused

MAX_WINDOW: Final = 255


class Standing(enum.Enum):
    """What an incoming message id is to the flow."""

    NEW = "new"
    REPEATED = "repeated"  # taken before: acknowledge only
    REFUSED_BEFORE = "refused before"  # judge it again
    GAP = "gap"  # a message before it is missing: the client sends it again


class PublisherOwner(Protocol):
    """The session that a flow is open on."""

    def acknowledge(self, flow: PublisherFlow, last: int, refusal: Refused | None) -> None:
        """Tell the client: taken up to ``last``, or (with a refusal) ``last`` was refused."""
        ...


class PublisherFlow:
    """One publisher flow. It outlives its sessions: a client that comes back goes on with it by name."""

    def __init__(self, vpn: str, name: str, number: int, last: int = 0) -> None:
        self.vpn = vpn
        self.name = name
        self.number = number
        self.last = last
        self.window = MAX_WINDOW
        self.owner: PublisherOwner | None = None
        self.refused: dict[int, None] = {}
        self._pending: deque[tuple[int, int, Refused | None]] = deque()  # id, position in the log, refusal

    def standing(self, message_id: int, previous_id: int) -> Standing:
        """Judge an incoming id."""
        if message_id > self.last:
            return Standing.GAP if previous_id > self.last else Standing.NEW
        return Standing.REFUSED_BEFORE if message_id in self.refused else Standing.REPEATED

    def note(self, message_id: int, position: int, refusal: Refused | None) -> None:
        """Remember a message's outcome; it is told once the log is durable up to ``position``."""
        self.last = max(self.last, message_id)
        if refusal is None:
            self.refused.pop(message_id, None)
        else:
            self.refused[message_id] = None
            self.forget_old_refusals()
        self._pending.append((message_id, position, refusal))

    def retract(self, message_id: int, refusal: Refused) -> None:
        """A message noted as taken could not be stored: it is refused instead."""
        self.refused[message_id] = None
        self._pending = deque(
            (pending, position, refusal if pending == message_id else outcome)
            for pending, position, outcome in self._pending
        )

    def hurry(self, written: int) -> None:
        """Tell what stands behind the position ``written`` as soon as that is durable: nothing more is to come."""
        self._pending = deque(
            (message_id, min(position, written), refusal) for message_id, position, refusal in self._pending
        )

    def restore(self, message_id: int, *, refused: bool) -> None:
        """After a restart: this id was taken or refused."""
        self.last = max(self.last, message_id)
        if refused:
            self.refused[message_id] = None
            self.forget_old_refusals()
        else:
            self.refused.pop(message_id, None)

    def forget_old_refusals(self) -> None:
        """Drop refusals that no client can still be unaware of: more than a window behind."""
        for message_id in [old for old in self.refused if old <= self.last - MAX_WINDOW]:
            del self.refused[message_id]

    @property
    def waiting(self) -> int:
        """Outcomes not told yet."""
        return len(self._pending)

    def tell(self, durable: int) -> None:
        """Tell the outcomes that are durable, in order: accepted ones together, each refused one by itself."""
        accepted = 0
        for message_id, refusal in self._due(durable):
            if refusal is None:
                accepted = max(accepted, message_id)
                continue
            self._tell(accepted, None)
            accepted = 0
            self._tell(message_id, refusal)
        self._tell(accepted, None)

    def _due(self, durable: int) -> Iterator[tuple[int, Refused | None]]:
        while self._pending and self._pending[0][1] <= durable:
            message_id, _, refusal = self._pending.popleft()
            yield message_id, refusal

    def _tell(self, last: int, refusal: Refused | None) -> None:
        if last and self.owner is not None:
            self.owner.acknowledge(self, last, refusal)

    def resume(self, last_acked: int) -> int:
        """A client that has seen acknowledges up to ``last_acked`` comes back; return from which id on it goes on.

        That is the last id that is durable and not behind a refusal which the client may not have heard of. What the
        client has seen acknowledged without a trace here (nobody subscribed to it) counts as taken.
        """
        self.last = max(self.last, last_acked)
        settled = min((message_id - 1 for message_id, _, _ in self._pending), default=self.last)
        unheard = min((refused - 1 for refused in self.refused if refused > last_acked), default=self.last)
        return min(settled, unheard, self.last)
