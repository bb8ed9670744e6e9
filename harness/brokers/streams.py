"""Streams of whole messages: what the bridge and the replay service read from and write to, at the speed of a service.

``Bulk`` (``contract``) moves bodies of one shape as arrays; ``Messages`` waits for each message. A stream lies between:
every property is kept, many messages are under way, and each is settled on its own. Places are the broker's native
objects (Kafka topics, a Solace queue), which exist already: a stream creates nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from crep.harness.brokers.contract import ClientEvent, Endpoint, Json, Message, Outcome

KEY_PROPERTY = "JMSXGroupID"
"""Solace's partition key: the broker keeps messages with one value of it in order on a partitioned queue."""

_new, _set = object.__new__, object.__setattr__


def message_of(fields: dict[str, Any]) -> Message:
    """A message of these fields, which it keeps. ``topic``, ``payload`` and ``properties`` must be among them; what is
    left out has the default of ``Message``.

    The constructor of a frozen dataclass sets field by field: that alone would be a tenth of what a message may cost at
    50,000 a second.
    """
    message = _new(Message)
    _set(message, "__dict__", fields)
    return message


GiveBack = Callable[[], None]
"""Called on the thread of ``receive`` before a part of the place goes to another reader: what has been received is to
be settled as far as it can be, so that the other one does not overtake it."""


@dataclass(frozen=True)
class SourceSpec:
    """Where messages come from. Kafka: ``places`` are topics and ``group`` is needed. Solace: one queue, no group."""

    endpoint: Endpoint
    name: str  # of the client
    places: tuple[str, ...]
    group: str | None = None
    settings: Json = field(default_factory=dict)
    reconnect_for_s: float = 3600.0
    topic_header: str | None = None  # Kafka: the header that holds the message's topic; None: the Kafka topic's name
    key_property: str = KEY_PROPERTY  # Solace: the user property that holds the key
    topic_prefix: str = ""  # Solace: taken off the topic of every message that has it


class Source(Protocol):
    """Messages of one place, at least once. Used by one thread.

    A message that is not accepted when the source closes (or its process dies) comes again, to whoever reads next.
    """

    def open(self, give_back: GiveBack | None = None) -> None:
        """Connect and subscribe or bind. Raises BrokerError."""

    def receive(self, max_messages: int, timeout_s: float) -> list[Message]:
        """What has come, at once when something has; empty after ``timeout_s``. Each message's ``token`` is its own.

        With ``max_messages`` 0 nothing is taken and the membership is kept alive: to be called while there is no room.

        Raises:
            BrokerError: nothing will ever come again (the queue is gone, say).
        """

    def accept(self, messages: Sequence[Message]) -> None:
        """These are done with, in any order. What the source has taken back meanwhile (rebalance) is passed over."""

    def fail(self, messages: Sequence[Message]) -> None:
        """These are to come again. Kafka: with all that came behind them in their partitions."""

    def backlog(self) -> int | None:
        """Stored and not accepted, as the broker says; None where it does not tell."""

    def events(self) -> list[ClientEvent]:
        """Connection events since the last call."""

    def effective_settings(self) -> dict[str, str]:
        """The client settings that were used, without passwords."""

    def close(self) -> None:
        """Settle what was accepted, disconnect, bounded; idempotent."""


@dataclass(frozen=True)
class SinkSpec:
    """Where messages go: a message's ``topic`` is the Kafka topic (or Solace topic) itself."""

    endpoint: Endpoint
    name: str
    settings: Json = field(default_factory=dict)
    reconnect_for_s: float = 3600.0
    topic_header: str | None = None  # Kafka: with ``topic``, the header that keeps a message's topic
    topic: str | None = None  # Kafka: every message goes to this Kafka topic
    key_property: str = KEY_PROPERTY  # Solace: the user property that holds the key
    topic_prefix: str = ""  # Solace: put before the topic of every message
    must_exist: tuple[str, ...] = ()  # Kafka: topics without which it does not open


class Sent(NamedTuple):
    """The outcome of one send: *acknowledged*, *rejected* or *unknown*, the latter two with the reason."""

    token: int
    outcome: Outcome
    reason: str | None = None


class Sink(Protocol):
    """Sends guaranteed messages; used by one thread. Order is kept for each key on the way."""

    def open(self) -> None:
        """Connect. Raises BrokerError."""

    def send(self, message: Message, token: int) -> bool:
        """Hand over; False when the window is full or the connection is down: offer it again after ``poll``."""

    def poll(self, timeout_s: float) -> list[Sent]:
        """Outcomes since the last call; waits at most ``timeout_s`` for the first."""

    def drain(self, timeout_s: float) -> list[Sent]:
        """Flush and wait for every outcome, at most so long; what has none then is reported nowhere."""

    @property
    def pending(self) -> int:
        """Handed over and without an outcome."""

    def events(self) -> list[ClientEvent]:
        """Connection events since the last call."""

    def effective_settings(self) -> dict[str, str]:
        """The client settings that were used, without passwords."""

    def close(self) -> None:
        """Disconnect, bounded; idempotent. What has no outcome stays unknown."""
