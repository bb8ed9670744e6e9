"""One message at a time over Kafka: every property in headers, each settlement committed at once.

A property travels as a header of its own name in text form; ``crep-types`` (JSON) keeps which were not text, so that
they come back as they went. ``ttl_ms`` and ``priority`` are carried for a next hop: Kafka itself obeys neither.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka import Message as KafkaMessage

from crep.harness.brokers.contract import (
    BrokerError,
    Endpoint,
    Message,
    NotSupported,
    Outcome,
    Provisioned,
    Published,
    ReaderSpec,
)
from crep.harness.brokers.kafka.client import ConnectionWatch, connection, given_up
from crep.harness.brokers.streams import message_of
from crep.harness.brokers.topics import topic_matches

_TYPES, _PREFIX = "crep-types", "crep-"
_FIELDS = ("message_id", "correlation_id", "reply_to", "content_type", "ttl_ms", "priority")
_HEADER_OF = {name: _PREFIX + name.replace("_", "-") for name in _FIELDS}
_FIELD_OF = {header: name for name, header in _HEADER_OF.items()}
_NUMBERS = frozenset({_HEADER_OF["ttl_ms"], _HEADER_OF["priority"]})
_DEAD_REASON = "crep-dead-letter-of"
Header = tuple[str, str | bytes]


def to_headers(message: Message, topic_header: str | None) -> list[Header]:
    """All that Kafka has no field for. Text goes as UTF-8, which the library sees to."""
    headers: list[Header] = [] if topic_header is None else [(topic_header, message.topic)]
    types: dict[str, str] = {}
    for name, value in message.properties.items():
        if type(value) is str:
            headers.append((name, value))
        else:
            types[name] = type(value).__name__
            headers.append((name, value if isinstance(value, bytes) else str(value)))
    if types:
        headers.append((_TYPES, json.dumps(types)))
    # One by one: a loop over the names takes twice as long, and nearly all are None.
    if message.message_id is not None:
        headers.append((_HEADER_OF["message_id"], message.message_id))
    if message.correlation_id is not None:
        headers.append((_HEADER_OF["correlation_id"], message.correlation_id))
    if message.reply_to is not None:
        headers.append((_HEADER_OF["reply_to"], message.reply_to))
    if message.content_type is not None:
        headers.append((_HEADER_OF["content_type"], message.content_type))
    if message.ttl_ms is not None:
        headers.append((_HEADER_OF["ttl_ms"], str(message.ttl_ms)))
    if message.priority is not None:
        headers.append((_HEADER_OF["priority"], str(message.priority)))
    return headers


def from_kafka(raw: KafkaMessage, topic_header: str | None, token: object = None) -> Message:
    """The neutral message. Of headers with one name the last counts.

    A header that crep does not know is a property, and so is one that has a name of crep's and not its form.
    """
    topic, key, value = raw.topic(), raw.key(), raw.value()
    kind, at_ms = raw.timestamp()
    properties: dict[str, Any] = {}
    fields: dict[str, Any] = {
        "topic": topic,
        "payload": value,
        "key": None if key is None else text_or_bytes(key),
        "properties": properties,
        "position": f"{topic}[{raw.partition()}]@{raw.offset()}",
        "stored_ms": None if kind == TIMESTAMP_NOT_AVAILABLE else at_ms,
        "token": token,
    }
    if value is None:
        fields["payload"], fields["null_payload"] = b"", True
    pairs = raw.headers()
    if pairs:
        types: Any = None
        for name, stored in pairs:
            header = stored or b""
            try:
                if name in _FIELD_OF:
                    fields[_FIELD_OF[name]] = int(header) if name in _NUMBERS else header.decode()
                elif name == topic_header:
                    fields["topic"] = header.decode()
                elif name == _TYPES:
                    types = json.loads(header)
                else:
                    properties[name] = header.decode()
            except ValueError:
                properties[name] = text_or_bytes(header)  # bytes, or somebody else's, whatever its name
        if isinstance(types, dict):
            for name, stored in pairs:
                if name in types and name in properties:
                    properties[name] = _typed(stored or b"", types[name])
    return message_of(fields)


def text_or_bytes(value: bytes) -> str | bytes:
    """Text where it is UTF-8 without a zero, which no text has and which another broker would cut it at. Either way the
    same bytes go out again."""
    if b"\0" in value:
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


def key_bytes(key: str | bytes | None) -> bytes | None:
    """A message's key as Kafka stores it."""
    return key.encode() if isinstance(key, str) else key


def _typed(value: bytes, kind: str) -> str | int | float | bool | bytes:
    if kind == "bytes":
        return value
    text = text_or_bytes(value)
    if kind == "bool":
        return text == "True"
    try:
        return int(text) if kind == "int" else float(text) if kind == "float" else text
    except ValueError:
        return text


@dataclass(frozen=True)
class _Token:
    reader: tuple[str, str]  # channel, reader
    raw: KafkaMessage


class KafkaMessages:
    """A producer and, on first use, one consumer per reader."""

    def __init__(self, endpoint: Endpoint, provisioned: Provisioned, readers: Sequence[ReaderSpec]) -> None:
        self._endpoint, self._provisioned = endpoint, provisioned
        self._readers = {reader.name: reader for reader in readers}
        self._watch = ConnectionWatch()
        self._producer: Producer | None = None
        self._consumers: dict[tuple[str, str], Consumer] = {}

    def publish(self, channel: str, message: Message, timeout_s: float = 10.0) -> Published:
        """Send with ``acks=all`` and wait; UNKNOWN when no outcome came in time."""
        layout = self._provisioned.objects[channel]
        return self._send(layout["topic"], message, layout["topic_header"], timeout_s)

    def _send(
        self, topic: str, message: Message, topic_header: str, timeout_s: float, more: Sequence[Header] = ()
    ) -> Published:
        if self._producer is None:
            properties = connection(self._endpoint, "crep-messages") | {
                "acks": "all",
                "enable.idempotence": True,
                "partitioner": "murmur2_random",
                "linger.ms": 0,
            }
            self._producer = Producer(properties | self._watch.options())
        reports: list[KafkaError | None] = []
        key, value = key_bytes(message.key), None if message.null_payload else message.payload
        headers = [*to_headers(message, topic_header), *more]

        def report(error: KafkaError | None, _: KafkaMessage) -> None:
            reports.append(error)

        try:
            self._producer.produce(topic, value, key, headers=headers, on_delivery=report)
        except KafkaException as error:
            return Published(Outcome.REJECTED, error.args[0].str())
        self._producer.flush(timeout_s)
        if not reports:
            return Published(Outcome.UNKNOWN, f"no outcome within {timeout_s:g} s")
        failure = reports[0]
        return Published(Outcome.ACKNOWLEDGED) if failure is None else Published(given_up(failure), failure.str())

    def receive(self, channel: str, reader: str, timeout_s: float) -> Message | None:
        """The next message of the reader; those that its filter leaves out are committed on the way."""
        consumer, deadline = self._consumer(channel, reader), time.monotonic() + timeout_s
        header, wanted = self._provisioned.objects[channel]["topic_header"], self._readers[reader].topic_filter
        while (left := deadline - time.monotonic()) > 0:
            raw = consumer.poll(left)
            if raw is None or raw.error() is not None:
                continue
            message = from_kafka(raw, header, _Token((channel, reader), raw))
            if topic_matches(wanted, message.topic):
                return message
            self._commit(consumer, raw)
        return None

    def _consumer(self, channel: str, reader: str) -> Consumer:
        known = self._consumers.get((channel, reader))
        if known is not None:
            return known
        layout = self._provisioned.objects[channel]
        group = layout["groups"].get(reader)
        if group is None:
            raise NotSupported(f"reader {channel}.{reader} is at-most-once and keeps no place to go on from")
        properties = connection(self._endpoint, f"crep-messages-{reader}") | {
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.queue.backoff.ms": 1,
        }
        consumer = Consumer(properties | self._watch.options())
        consumer.subscribe([layout["topic"]])
        self._consumers[channel, reader] = consumer
        return consumer

    def settle(self, message: Message, how: Literal["accept", "fail", "reject"]) -> None:
        """*accept* commits the offset; *fail* seeks back to it; *reject* copies to the dead letter topic, then commits.

        Raises:
            NotSupported: *reject* where the reader has no dead letter topic.
        """
        token = message.token
        if not isinstance(token, _Token):
            raise BrokerError("only a message that was received here can be settled")
        channel, reader = token.reader
        consumer = self._consumers[token.reader]
        if how == "fail":
            consumer.seek(TopicPartition(token.raw.topic(), token.raw.partition(), token.raw.offset()))
            return
        if how == "reject":
            layout = self._provisioned.objects[channel]
            dead = layout["dead_letter_topics"].get(reader)
            if dead is None:
                raise NotSupported(
                    f"reader {channel}.{reader} has no dead letter topic and Kafka has no reject of its own: "
                    "declare dead_letters on the channel, or accept the message"
                )
            origin = f"{token.raw.topic()}[{token.raw.partition()}]@{token.raw.offset()}"
            sent = self._send(dead, message, layout["topic_header"], 10.0, [(_DEAD_REASON, origin.encode())])
            if sent.outcome is not Outcome.ACKNOWLEDGED:
                raise BrokerError(f"the dead letter topic {dead!r} did not acknowledge: {sent.reason}")
        self._commit(consumer, token.raw)

    def _commit(self, consumer: Consumer, raw: KafkaMessage) -> None:
        try:
            consumer.commit(message=raw, asynchronous=False)
        except KafkaException as error:
            raise BrokerError(f"the offset was not committed: {error.args[0].str()}") from error

    def close(self) -> None:
        """Leave the groups; unsettled messages stay uncommitted."""
        for consumer in self._consumers.values():
            consumer.close()
        self._consumers.clear()
        self._producer = None
