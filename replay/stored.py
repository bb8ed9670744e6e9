"""A message as an archive holds it: all that a broker can be given again, byte for byte, and when and where it came."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from crep.harness.brokers.contract import Message
from crep.harness.brokers.streams import message_of

Property = str | int | float | bool | bytes
_BYTES, _INT, _FLOAT = "base64", "int", "float"
_LARGEST = 2**63


@dataclass(frozen=True)
class Stored:
    """One message of an archive.

    ``sequence`` counts from 0 in the order of capture and is the message's identity in the archive. ``captured_us`` is
    Unix time in microseconds by the capturing machine's clock: times of different brokers are not comparable, so the
    order and the gaps of a replay come from here. ``message.stored_ms`` and ``message.position`` are the broker's own.
    """

    sequence: int
    captured_us: int
    message: Message


COLUMNS = (
    "sequence",
    "captured_us",
    "topic",
    "key",
    "key_is_text",
    "payload",
    "properties",
    "message_id",
    "correlation_id",
    "reply_to",
    "content_type",
    "ttl_ms",
    "priority",
    "stored_ms",
    "position",
)
"""Of a segment, in order. ``key`` and ``payload`` are bytes (NULL: none), ``properties`` a JSON object."""

Row = tuple[Any, ...]


def to_row(stored: Stored) -> Row:
    """The columns' values."""
    message = stored.message
    key = message.key.encode() if isinstance(message.key, str) else message.key
    return (
        stored.sequence,
        stored.captured_us,
        message.topic,
        key,
        isinstance(message.key, str),
        None if message.null_payload else message.payload,
        properties_text(message.properties),
        message.message_id,
        message.correlation_id,
        message.reply_to,
        message.content_type,
        message.ttl_ms,
        message.priority,
        message.stored_ms,
        message.position,
    )


def from_row(row: Row) -> Stored:
    """The message of a row; the inverse of ``to_row``."""
    (
        sequence,
        captured_us,
        topic,
        key,
        key_is_text,
        payload,
        properties,
        message_id,
        correlation_id,
        reply_to,
        content_type,
        ttl_ms,
        priority,
        stored_ms,
        position,
    ) = row
    message = message_of(
        {
            "topic": topic,
            "payload": b"" if payload is None else payload,
            "key": key.decode() if key is not None and key_is_text else key,
            "properties": properties_of(properties),
            "message_id": message_id,
            "correlation_id": correlation_id,
            "reply_to": reply_to,
            "content_type": content_type,
            "ttl_ms": ttl_ms,
            "priority": priority,
            "null_payload": payload is None,
            "position": position,
            "stored_ms": stored_ms,
        }
    )
    return Stored(sequence, captured_us, message)


def properties_text(properties: Mapping[str, Property]) -> str:
    """JSON, so that every type comes back as it went.

    What JSON cannot say is an object: ``{"base64": …}`` bytes, ``{"int": "…"}`` one of more than 64 bits, ``{"float":
    "nan"}`` one that is not finite.
    """
    return orjson.dumps({name: _plain(value) for name, value in properties.items()}).decode()


def _plain(value: Property) -> Any:
    if isinstance(value, bytes):
        return {_BYTES: base64.b64encode(value).decode()}
    if isinstance(value, int) and not -_LARGEST <= value < _LARGEST:
        return {_INT: str(value)}
    if isinstance(value, float) and not math.isfinite(value):
        return {_FLOAT: repr(value)}
    return value


def properties_of(text: str) -> dict[str, Property]:
    """The inverse of ``properties_text``."""
    if text == "{}":
        return {}
    found: dict[str, Any] = orjson.loads(text)
    return {name: _special(value) if isinstance(value, dict) else value for name, value in found.items()}


def _special(value: dict[str, str]) -> Property:
    [(kind, text)] = value.items()
    if kind == _BYTES:
        return base64.b64decode(text)
    return int(text) if kind == _INT else float(text)
