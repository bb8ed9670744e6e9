"""One message at a time over Solace. ``reply_to`` and ``content_type`` travel as user properties, since the library's
received message shows no such field; everything else has its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from solace.messaging.config.message_acknowledgement_configuration import Outcome as Settlement
from solace.messaging.config.solace_properties import message_properties
from solace.messaging.errors.pubsubplus_client_error import PubSubPlusClientError, PubSubTimeoutError
from solace.messaging.messaging_service import MessagingService
from solace.messaging.publisher.persistent_message_publisher import PersistentMessagePublisher
from solace.messaging.receiver.inbound_message import InboundMessage
from solace.messaging.receiver.persistent_message_receiver import PersistentMessageReceiver
from solace.messaging.resources.queue import Queue
from solace.messaging.resources.topic import Topic

from crep.harness.brokers.contract import (
    BrokerError,
    Endpoint,
    Json,
    Message,
    NotSupported,
    Outcome,
    Provisioned,
    Published,
)
from crep.harness.brokers.solace.client import end
from crep.harness.brokers.solace.errors import given_up, reason_of
from crep.harness.brokers.solace.events import EventLog
from crep.harness.brokers.solace.native.byte_property import user_properties
from crep.harness.brokers.solace.service import bounded, connect, properties_of

_MS = 1000
_RECONNECT_S = 30.0
_REPLY_TO, _CONTENT_TYPE, _KEY = "crep-reply-to", "crep-content-type", "crep-key"
_OWN = frozenset({_REPLY_TO, _CONTENT_TYPE, _KEY})
_SETTLEMENTS = {"accept": Settlement.ACCEPTED, "fail": Settlement.FAILED, "reject": Settlement.REJECTED}


def to_properties(message: Message, key_property: str | None) -> dict[str, Any]:
    """User properties and message fields, as the library takes them in one dictionary."""
    properties: dict[str, Any] = {
        name: bytearray(value) if isinstance(value, bytes) else value for name, value in message.properties.items()
    }
    fields = {
        key_property or _KEY: bytearray(message.key) if isinstance(message.key, bytes) else message.key,
        _REPLY_TO: message.reply_to,
        _CONTENT_TYPE: message.content_type,
        message_properties.APPLICATION_MESSAGE_ID: message.message_id,
        message_properties.CORRELATION_ID: message.correlation_id,
        message_properties.PERSISTENT_TIME_TO_LIVE: message.ttl_ms,
        message_properties.PRIORITY: message.priority,
    }
    return properties | {name: value for name, value in fields.items() if value is not None}


def from_inbound(raw: InboundMessage, layout: Json, token: object = None) -> Message:
    """The neutral message. What is left of its time to live is not shown by the library; ``ttl_ms`` stays None."""
    properties = user_properties(raw)
    key_property = layout["key_property"] or _KEY
    topic, key = str(raw.get_destination_name()), properties.get(key_property)
    stored = raw.get_replication_group_message_id()  # where a replay can begin
    return Message(
        topic=topic.removeprefix(f"{layout['topic_prefix']}/") if layout["topic_prefix"] else topic,
        payload=bytes(raw.get_payload_as_bytes() or b""),
        key=key,
        properties={name: value for name, value in properties.items() if name not in _OWN and name != key_property},
        message_id=raw.get_application_message_id(),
        correlation_id=raw.get_correlation_id(),
        reply_to=properties.get(_REPLY_TO),
        content_type=properties.get(_CONTENT_TYPE),
        priority=raw.get_priority(),
        redelivered=bool(raw.is_redelivered()),
        position=None if stored is None else str(stored),
        token=token,
    )


@dataclass(frozen=True)
class _Token:
    channel: str
    reader: str
    raw: InboundMessage


class SolaceMessages:
    """One connection; a publisher and one receiver per reader, made on first use."""

    def __init__(self, endpoint: Endpoint, provisioned: Provisioned) -> None:
        self._endpoint, self._provisioned = endpoint, provisioned
        self._service: MessagingService | None = None
        self._publisher: PersistentMessagePublisher | None = None
        self._receivers: dict[tuple[str, str], PersistentMessageReceiver] = {}

    def _connected(self) -> MessagingService:
        if self._service is None:
            name = f"crep-{self._provisioned.run_id}-messages"
            properties = properties_of(self._endpoint, {}, _RECONNECT_S)
            self._service = connect(self._endpoint, name, properties, EventLog())
        return self._service

    def publish(self, channel: str, message: Message, timeout_s: float = 10.0) -> Published:
        """Send as persistent and wait; UNKNOWN when no outcome came in time."""
        layout = self._provisioned.objects[channel]
        if self._publisher is None:
            self._publisher = self._connected().create_persistent_message_publisher_builder().build()
            self._publisher.start()
        try:
            self._publisher.publish_await_acknowledgement(
                bytearray(message.payload),
                Topic.of(f"{layout['topic_prefix']}/{message.topic}"),
                int(timeout_s * _MS),
                to_properties(message, layout["key_property"]),
            )
        except PubSubTimeoutError:
            return Published(Outcome.UNKNOWN, f"no outcome within {timeout_s:g} s")
        except PubSubPlusClientError as error:
            return Published(given_up(error), reason_of(error))
        return Published(Outcome.ACKNOWLEDGED)

    def receive(self, channel: str, reader: str, timeout_s: float) -> Message | None:
        """The next message of the reader's queue."""
        raw = self._receiver(channel, reader).receive_message(int(timeout_s * _MS))
        layout = self._provisioned.objects[channel]
        return None if raw is None else from_inbound(raw, layout, _Token(channel, reader, raw))

    def _receiver(self, channel: str, reader: str) -> PersistentMessageReceiver:
        known = self._receivers.get((channel, reader))
        if known is not None:
            return known
        queue = self._provisioned.objects[channel]["queues"].get(reader)
        if queue is None:
            raise NotSupported(f"reader {channel}.{reader} is at-most-once: it has no queue to receive from one by one")
        builder = self._connected().create_persistent_message_receiver_builder()
        builder = builder.with_required_message_outcome_support(Settlement.FAILED, Settlement.REJECTED)
        receiver = builder.build(queue_of(queue))
        try:
            receiver.start()
        except PubSubPlusClientError as error:
            raise BrokerError(f"the broker refuses queue {queue['name']!r}: {reason_of(error)}") from error
        self._receivers[channel, reader] = receiver
        return receiver

    def settle(self, message: Message, how: Literal["accept", "fail", "reject"]) -> None:
        """The broker's own settlement outcomes.

        Raises:
            NotSupported: *reject* where the reader has no dead letter queue (the broker would discard the message).
        """
        token = message.token
        if not isinstance(token, _Token):
            raise BrokerError("only a message that was received here can be settled")
        queue = self._provisioned.objects[token.channel]["queues"][token.reader]
        if how == "reject" and queue["dead_letter_queue"] is None:
            raise NotSupported(
                f"reader {token.channel}.{token.reader} has no dead letter queue, so a rejected message would be "
                "discarded: declare dead_letters on the channel, or accept the message"
            )
        try:
            self._receivers[token.channel, token.reader].settle(token.raw, _SETTLEMENTS[how])
        except PubSubPlusClientError as error:
            raise BrokerError(f"the message was not settled: {reason_of(error)}") from error

    def close(self) -> None:
        """Unbind and disconnect. What the library had drawn and nobody took stays in the queue, and comes again."""
        for worker in (*self._receivers.values(), *([] if self._publisher is None else [self._publisher])):
            end(worker)
        self._receivers.clear()
        self._publisher = None
        if self._service is not None:
            bounded(self._service.disconnect)
            self._service = None


def queue_of(queue: Json) -> Queue:
    """The library's name for a provisioned queue."""
    if queue["access"] == "exclusive":
        return Queue.durable_exclusive_queue(queue["name"])
    return Queue.durable_non_exclusive_queue(queue["name"])
