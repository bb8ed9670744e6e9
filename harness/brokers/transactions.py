"""Read, process, write as one: what was sent and how far was read are committed together, or not at all.

Only some brokers can (``registry.transactional``), and only within one cluster. Beside ``streams``, whose sources and
sinks know nothing of each other: there a message may come twice, here its effect is there once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from crep.harness.brokers.contract import ClientEvent, Message
from crep.harness.brokers.streams import GiveBack


class TransactionAborted(Exception):
    """Nothing of the open transaction is there: its messages come again.

    Attributes:
        reason: why, in words.
        rejected: token → reason, of the messages that the broker refuses and that would end the next one as well.
    """

    def __init__(self, reason: str, rejected: Mapping[int, str] | None = None) -> None:
        super().__init__(reason)
        self.reason, self.rejected = reason, dict(rejected or {})


class Refused(Exception):
    """The client library will not even take a message; the transaction goes on without it."""


class Transactions(Protocol):
    """One reader and one writer under one transactional id. Used by one thread.

    A transaction begins with the first message that is received, or sent, after the last one ended.
    """

    def open(self, give_back: GiveBack | None = None) -> None:
        """Connect; a transaction that an earlier holder of the id left open is aborted. Raises BrokerError.

        ``give_back`` is called within ``receive``, before a part of the place goes to another reader: what has been
        received is to be committed, or it is aborted and the other one reads it again.
        """

    def receive(self, max_messages: int, timeout_s: float) -> list[Message]:
        """What has come, committed messages only; empty after ``timeout_s``. All of it belongs to the transaction."""

    def send(self, message: Message, token: int) -> bool:
        """Hand over within the transaction; False when the buffer is full: offer it again.

        Raises:
            Refused: never taken.
            TransactionAborted: the transaction cannot be committed any more.
            BrokerError: another process has taken over the transactional id, or the broker is away for good.
        """

    def commit(self) -> None:
        """Wait for every outcome, then commit what was sent and how far was read.

        Raises:
            TransactionAborted: it could not be; the reader has gone back.
            BrokerError: as for ``send``.
        """

    def abort(self, reason: str) -> TransactionAborted:
        """Undo what was sent, go back to where the transaction began; returns what to tell. Raises BrokerError."""

    def events(self) -> Sequence[ClientEvent]:
        """Connection events since the last call."""

    def effective_settings(self) -> dict[str, str]:
        """The client settings that were used, without passwords."""

    def close(self) -> None:
        """Abort what is open, disconnect, bounded; idempotent."""
