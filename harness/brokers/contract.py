"""What a broker adapter offers: four protocols on one page, and a fifth beside it (``operator``: acts on what runs).

==========  ==========================================================================================
Admin       provision, observe and remove native objects; facts and capabilities (control plane)
Bulk        publishers and subscribers of the load engines: batches, arrays, outcomes (hot path)
Messages    one message at a time, with every property (bridge, replay, functional checks)
Inspect     look into the broker: find a stored message by its identity
==========  ==========================================================================================

The contract knows no adapter, adapters never import each other; ``registry`` finds them by system name. Times are
CLOCK_MONOTONIC nanoseconds (``time.monotonic_ns``). Every wait is bounded. Failures raise ``BrokerError`` with the
address and what to check; *refusals of one message* are outcomes, never exceptions. It is one page, and so somewhat
longer than files here are: whoever writes an adapter reads this and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from crep.harness.brokers.locating import Location, Sought
from crep.harness.brokers.operator import Operator
from crep.harness.config.errors import EnvironmentFailure

if TYPE_CHECKING:  # every engine imports this page, and the targets' language takes as long as all the rest
    from crep.harness.brokers.dead_letters import DeadLetters
    from crep.harness.brokers.directions import Directions
    from crep.harness.brokers.streams import Sink, SinkSpec, Source, SourceSpec
    from crep.harness.config.targets import Tls

Json = dict[str, Any]
Share = Literal["all", "group", "exclusive"]
Guarantee = Literal["at-least-once", "at-most-once"]
Sync = Literal["none", "memory", "disk"]
Order = Literal["none", "per-key"]
Acknowledge = Literal["after-processing", "on-receipt"]
Genuineness = Literal["genuine", "emulated", "mock"]


class BrokerError(EnvironmentFailure):
    """The broker could not be reached, refused an administrative request or lost a connection for good."""


class NotSupported(BrokerError):
    """The broker (or the adapter) has no such capability; the report shows *not supported* with this reason."""


@dataclass(frozen=True)
class Endpoint:
    """Where clients connect. Passwords are plain here, hidden from ``repr``, and never written to a run folder."""

    system: str
    target: str
    bootstrap: str | None = None  # Kafka: host:port[,host:port]
    smf: str | None = None  # Solace: tcp://host:port or tcps://…, comma separated
    semp: str | None = None  # Solace: http(s)://host:port
    vpn: str = "default"
    username: str | None = None
    password: str = field(default="", repr=False)
    admin_username: str | None = None
    admin_password: str = field(default="", repr=False)
    sasl_mechanism: str | None = None
    tls: Tls | None = None


@dataclass(frozen=True)
class Durability:
    """METHOD rule 6: acknowledged by ``copies`` nodes, each at level ``sync``."""

    copies: int
    sync: Sync


@dataclass(frozen=True)
class ReaderSpec:
    """One logical reader of a channel. ``share: all`` is expanded before: each member is a reader of its own."""

    name: str
    share: Share
    members: int
    delivery: Guarantee
    topic_filter: str | None = None  # neutral pattern: levels by "/", "*" one level, ">" one or more at the end
    dead_letters_after: int | None = None  # deliveries
    order: Order = "none"  # what the scenario asks for: per publisher and key, or nothing
    at_first: int | None = None  # of ``members``, the most that it has at a time, those that are there from the start
    acknowledge: Acknowledge = "after-processing"  # on-receipt: what a member had not processed when it died is lost
    processing_s: float = 0.0  # that a member takes for each message, one after the other


@dataclass(frozen=True)
class ChannelSpec:
    """The neutral channel: every concrete topic name, the number of keys, the readers and the class asked for."""

    name: str
    topics: tuple[str, ...]
    keys: int
    readers: tuple[ReaderSpec, ...]
    durability: Durability
    max_bytes: int | None = None  # of a payload: the broker is to refuse a message that is much larger
    expires: bool = False  # its messages have a time to live


@dataclass(frozen=True)
class MappingFile:
    """One named, versioned mapping (METHOD rule 18): how channels become native objects. Values are plain data."""

    name: str  # e.g. "kafka/topic-per-channel"
    version: int
    system: str
    summary: str
    channel: Json  # rules for topics, partitions, queues
    publisher: Json  # client settings
    subscriber: Json  # client settings


@dataclass(frozen=True)
class Provisioned:
    """What stands on the broker for one run. Plain data: it travels to the engines as JSON and into ``run.json``."""

    run_id: str
    mapping: str
    objects: dict[str, Json]  # channel → native objects, e.g. {"topic": "crep-7f3a-orders", "partitions": 4}
    durability: dict[str, Json]  # channel → {"copies": 1, "sync": "disk", "known": "configured|documented|verified"}


@dataclass(frozen=True)
class Facts:
    """What the broker says of itself. ``genuineness`` is *genuine* only on a positively recognised product."""

    product: str
    version: str
    edition: str | None
    genuineness: Genuineness
    recognised_by: str  # the evidence, for the report
    configuration: dict[str, str]  # effective settings that decide an outcome
    caps: dict[str, str]  # limits that could bound a number (METHOD rule 12)
    client: str  # client library and version


@dataclass(frozen=True)
class Capability:
    """One entry of the closed set ``CAPABILITIES``."""

    support: Literal["native", "workaround", "none"]
    how: str


CAPABILITIES: tuple[str, ...] = (
    "wildcard-topics",
    "exclusive-consumer",
    "consumer-group",
    "partitions",
    "ordered-group",
    "per-message-acknowledge",
    "negative-acknowledge",
    "redelivered-flag",
    "dead-letter-queue",
    "time-to-live",
    "priority",
    "selectors",
    "native-replay",
    "transactions",
    "at-most-once-delivery",
)


@dataclass(frozen=True)
class ReaderState:
    """What the broker itself says of one reader; ``backlog`` = stored and not yet settled (depth, or lag)."""

    backlog: int
    redelivered: int | None
    dead_lettered: int | None
    connections: int | None


@dataclass(frozen=True)
class Observation:
    """One look at the broker, keyed ``channel.reader``; at-most-once readers without state are absent."""

    at_ns: int
    readers: dict[str, ReaderState]
    detail: Json


class Admin(Protocol):
    """The control plane of one site."""

    def provision(self, run_id: str, channels: Sequence[ChannelSpec], mapping: MappingFile) -> Provisioned:
        """Create every native object; idempotent; names carry ``run_id``.

        Whatever it raises, what it had created before is removed again.

        Raises:
            NotSupported: the broker cannot reach the durability class or the sharing asked for, with the reason.
        """

    def remove(self, provisioned: Provisioned) -> None:
        """Delete what ``provision`` created; what is gone already is no error."""

    def observe(self, provisioned: Provisioned) -> Observation:
        """Backlog and connections as the broker itself counts them."""

    def in_step(self, provisioned: Provisioned) -> bool:
        """Whether, as the broker itself says, every copy of what was provisioned is there and has caught up.

        A broker that is restarted alone may answer long before that. True where there is one copy of everything.
        """

    def leader(self, provisioned: Provisioned, channel: str) -> str:
        """The node that leads the channel now, by the broker's own name for it (Kafka: the node id).

        Raises:
            NotSupported: the broker has no such role, with the reason.
            BrokerError: nobody leads it now, or the broker does not answer.
        """

    def followers(self, provisioned: Provisioned, channel: str) -> tuple[str, ...]:
        """The nodes that would take over from `leader`, those that have caught up first. Raises the same."""

    def controller(self) -> str | None:
        """The node that decides who leads, by the broker's own name for it; None while there is none.

        Raises:
            NotSupported: the broker has no such role, or does not say who has it, with the reason.
        """

    def facts(self) -> Facts:
        """Product, version, genuineness, effective configuration."""

    def capabilities(self) -> Mapping[str, Capability]:
        """One entry for each of ``CAPABILITIES``."""

    def operator(self, provisioned: Provisioned) -> Operator:
        """The acts of an administrator on what was provisioned. Connects on first use."""

    def close(self) -> None:
        """Release connections."""


class Outcome(IntEnum):
    """METHOD rule 5, per send. ``UNKNOWN`` until the client library says otherwise."""

    UNKNOWN = 0
    ACKNOWLEDGED = 1
    REJECTED = 2
    SENT = 3  # the class offers no acknowledgement


@dataclass(frozen=True)
class Outcomes:
    """Results of sends since the last poll; arrays of equal length. ``reasons`` names rejections by sequence."""

    sequence: NDArray[np.uint64]
    outcome: NDArray[np.uint8]
    at_ns: NDArray[np.int64]
    reasons: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Batch:
    """Messages ready to send, in sequence order. ``topic[i]`` indexes the publisher's topics, ``key[i]`` is the key.

    ``bodies[i]`` is the whole payload (with the stamp in front for carrier ``payload``), usually of a ``Packed``;
    ``stamps`` holds the stamps for carrier ``property`` and is None otherwise.
    """

    sequence: NDArray[np.uint64]
    bodies: Sequence[bytes]
    topic: NDArray[np.uint32]
    key: NDArray[np.uint32]
    stamps: Sequence[bytes] | None = None


@dataclass(frozen=True)
class ClientEvent:
    """A connection event that the client library reported: ``down``, ``reconnecting``, ``reconnected``, ``error``.

    ``disconnected``: the connection to one of several brokers ended; the client goes on with the others.
    """

    at_ns: int
    kind: str
    text: str


@dataclass(frozen=True)
class PublisherSpec:
    """All that one publishing client needs; plain data, sent to the engine over its standard input."""

    endpoint: Endpoint
    name: str  # unique client name, carries the run id
    channel: str
    objects: Json  # Provisioned.objects[channel]
    topics: tuple[str, ...]
    guaranteed: bool
    settings: Json  # client settings: mapping's, then the target's
    reconnect_for_s: float
    stamp_property: str | None = None  # carrier ``property``: the name of the header / user property
    ttl_ms: int | None = None  # time to live of every message, where the channel ``expires``
    properties: dict[str, str | int | float | bool] = field(default_factory=dict)  # of every message


class BulkPublisher(Protocol):
    """One publishing client. Used by one thread."""

    def open(self) -> None:
        """Connect. Raises BrokerError when the broker cannot be reached within 15 s."""

    def send_batch(self, batch: Batch, start: int) -> int:
        """Hand messages ``start…`` to the client library; returns how many it took (0 when its window is full).

        Never waits longer than a few milliseconds and never resends: the rest is offered again by the engine.
        """

    def poll(self, timeout_s: float) -> Outcomes:
        """Outcomes since the last call, stamped when the library reported them; waits at most ``timeout_s``."""

    def drain(self, timeout_s: float) -> Outcomes:
        """Flush; wait until every send has an outcome or the time is over. What is left stays *unknown*."""

    def events(self) -> list[ClientEvent]:
        """Connection events since the last call."""

    def effective_settings(self) -> dict[str, str]:
        """The client settings that were used, for the provenance."""

    def close(self) -> None:
        """Disconnect, bounded; idempotent."""


@dataclass(frozen=True)
class SubscriberSpec:
    """All that one receiving client (one member of one reader) needs; plain data."""

    endpoint: Endpoint
    name: str
    channel: str
    reader: ReaderSpec
    member: int
    objects: Json
    settings: Json
    reconnect_for_s: float
    stamp_property: str | None = None  # carrier ``property``: the name of the header / user property


REDELIVERED_NO, REDELIVERED_YES, REDELIVERED_NOT_OFFERED = 0, 1, 2


@dataclass(frozen=True)
class Deliveries:
    """Messages received together. ``redelivered`` uses the three codes above; ``token`` belongs to the adapter.

    ``bodies`` may be ``Packed`` and lie in the client library's own memory: they are valid until the subscriber's next
    ``receive`` or ``close``. ``bytes`` that were taken out of them are the caller's.
    """

    bodies: Sequence[bytes]
    stamps: list[bytes] | None
    received_ns: NDArray[np.int64]
    redelivered: NDArray[np.uint8]
    token: object

    def __len__(self) -> int:
        return len(self.bodies)


class BulkSubscriber(Protocol):
    """One receiving client. Used by one thread."""

    def open(self) -> None:
        """Connect and subscribe or bind. Raises BrokerError."""

    def ready(self, timeout_s: float) -> None:
        """Return only when every message published from now on will be received (assignment done, offsets resolved)."""

    def receive(self, max_messages: int, timeout_s: float) -> Deliveries:
        """What has come, at once when something has; empty after ``timeout_s``."""

    def tend(self) -> None:
        """Let the library do what it does beside: keep-alives, and acknowledgements on their way. Never waits.

        Called several times a second while its owner is busy or stands still: only ``receive`` is a sign of progress.
        """

    def acknowledge(self, deliveries: Deliveries) -> None:
        """Settle as accepted (commits by time where the broker has offsets). No-op for at-most-once."""

    def settle(self, deliveries: Deliveries, failed: NDArray[np.intp]) -> None:
        """Settle as accepted, but those at the places ``failed`` as failed: they are delivered again.

        For a reader with ``dead_letters_after`` only. At that many failed deliveries a message is not delivered any
        more and lies in the reader's dead letter place (``Inspect.dead_letters``).
        """

    def events(self) -> list[ClientEvent]:
        """Connection events since the last call."""

    def effective_settings(self) -> dict[str, str]:
        """The client settings that were used, for the provenance."""

    def close(self) -> None:
        """Settle what was acknowledged, disconnect, bounded; idempotent."""


@dataclass(frozen=True)
class Message:
    """One message with all that bridge and replay must keep. ``ttl_ms`` None: no limit.

    A key is text; one that is not UTF-8 is bytes. ``position`` (where the broker stores it) and ``stored_ms`` (its
    own time of that, Unix milliseconds) are of received messages, where the broker tells them.
    """

    topic: str
    payload: bytes
    key: str | bytes | None = None
    properties: Mapping[str, str | int | float | bool | bytes] = field(default_factory=dict)
    message_id: str | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    content_type: str | None = None
    ttl_ms: int | None = None
    priority: int | None = None
    redelivered: bool | None = None  # None: the broker offers no flag
    delivery_count: int | None = None
    null_payload: bool = False  # Kafka: no value at all (a tombstone), which an empty one is not
    position: str | None = field(default=None, compare=False)
    stored_ms: int | None = field(default=None, compare=False)
    token: object = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Published:
    """The outcome of one ``Messages.publish``."""

    outcome: Outcome
    reason: str | None = None


class Messages(Protocol):
    """One message at a time over one channel's native objects; not for load."""

    def publish(self, channel: str, message: Message, timeout_s: float = 10.0) -> Published:
        """Send as guaranteed and wait for the outcome."""

    def receive(self, channel: str, reader: str, timeout_s: float) -> Message | None:
        """The next message of that reader, or None after ``timeout_s``."""

    def settle(self, message: Message, how: Literal["accept", "fail", "reject"]) -> None:
        """*accept* removes it; *fail* asks for redelivery; *reject* sends it to the dead letter place.

        Raises:
            NotSupported: the broker has no such outcome; the text says what there is instead.
        """

    def close(self) -> None:
        """Disconnect; unsettled messages are left to the broker's redelivery."""


class Inspect(Protocol):
    """Look into the broker without consuming."""

    def dead_letters(self, channel: str, reader: str, limit: int, stamp_property: str | None) -> DeadLetters:
        """Read the dead letter place of a reader, at most ``limit`` messages of it; nothing is taken out.

        Raises:
            BrokerError: the broker does not answer, or refuses.
        """

    def find(self, channel: str, reader: str, identity: bytes, limit: int = 100_000) -> Message | None:
        """The reader's stored, unsettled message whose stamp contains ``identity``; looks at ``limit`` at most."""

    def locate(self, channel: str, reader: str, sought: Sequence[Sought], within_s: float) -> dict[bytes, Location]:
        """Where each of the reader's lost messages is in the broker's own storage, by identity; nothing is taken out.

        Raises:
            NotSupported: nothing is stored for such a reader.
            BrokerError: the broker does not answer, refuses, or did not do it in time.
        """


class Adapter(Protocol):
    """One package per system; ``registry.adapter(system)`` returns it. Its constructor connects to nothing."""

    system: str

    def admin(self, endpoint: Endpoint) -> Admin:
        """The control plane."""

    def publisher(self, spec: PublisherSpec) -> BulkPublisher:
        """One client for the load engine."""

    def subscriber(self, spec: SubscriberSpec) -> BulkSubscriber:
        """One client for the load engine."""

    def messages(self, endpoint: Endpoint, provisioned: Provisioned, readers: Sequence[ReaderSpec]) -> Messages:
        """One message at a time."""

    def inspect(self, endpoint: Endpoint, provisioned: Provisioned) -> Inspect:
        """Look into the broker."""

    def directions(self, endpoint: Endpoint, objects: Json, reader: str | None = None) -> Directions:
        """How a program that is not crep's finds a channel: ``objects`` of ``Provisioned``, to read it as ``reader``
        (at-least-once) or, without one, to write it."""

    def source(self, spec: SourceSpec) -> Source:
        """A stream of whole messages from a native object that exists."""

    def sink(self, spec: SinkSpec) -> Sink:
        """A stream of whole messages to native topics."""
