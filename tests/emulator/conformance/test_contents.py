"""What a message carries: the broker passes every payload and property on as it came, by both ways."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest
from solace.messaging.resources.topic import Topic

from tests.emulator.conformance.broker import Broker
from tests.emulator.conformance.features import feature
from tests.emulator.messaging import direct_publisher, direct_receiver, drain, end, persistent_publisher, receiver

pytestmark = pytest.mark.emulator

Connect = Callable[..., Any]

PROPERTIES: Final = {
    "text": "tè",
    "integer": -7,
    "long": 2**50,
    "number": 2.5,
    "truth": True,
    "nothing": None,
    "bytes": bytearray(b"\1\xff"),  # the client cuts them at a zero byte
    "map": {"inner": 1},
    "stream": ["a", 1],
}
PAYLOADS: Final[dict[str, Any]] = {
    "bytes": bytearray(range(256)),
    "text": "ü" * 300,
    "map": {"a": 1, "b": -5, "c": 2**40, "d": "tè", "e": True, "f": None, "g": bytearray(b"g"), "h": {"i": [1, "2"]}},
    "stream": ["a", 1, None, 2.25, False, bytearray(b"x" * 1000), {"k": "v"}, [1, [2]]],
    "empty map": {},
    "empty stream": [],
    "map beyond 64 KiB": {"large": "y" * 70_000},
}


def carried(message: Any) -> dict[str, Any]:
    """What a received message says of itself, apart from how it came."""
    readers = {
        "bytes": message.get_payload_as_bytes,
        "text": message.get_payload_as_string,
        "map": message.get_payload_as_dictionary,
        "stream": message.get_payload_as_list,
        "properties": message.get_properties,
        "message id": message.get_application_message_id,
        "message type": message.get_application_message_type,
        "sequence number": message.get_sequence_number,
        "correlation id": message.get_correlation_id,
        "sender id": message.get_sender_id,
        "priority": message.get_priority,
        "content type": message.get_rest_interoperability_support().get_http_content_type,
        "content encoding": message.get_rest_interoperability_support().get_http_content_encoding,
        "class of service": message.get_class_of_service,
    }
    return {name: read() for name, read in readers.items()}


@feature("direct: contents", "guaranteed: contents")
@pytest.mark.parametrize("kind", PAYLOADS)
def test_payload_and_properties_arrive_as_they_were_sent_from_a_queue_as_directly(
    broker: Broker, connect: Connect, kind: str
) -> None:
    queue = broker.queue("contents", "contents/>")
    service = connect("contents")
    directly, publisher = direct_receiver(service, "contents/>"), persistent_publisher(service)
    builder = service.message_builder()
    for name, value in PROPERTIES.items():
        builder = builder.with_property(name, value)
    builder = builder.with_application_message_id("id").with_application_message_type("type").with_sequence_number(99)
    builder = builder.with_priority(7).with_http_content_header("text/plain", "utf-8")
    message = builder.build(PAYLOADS[kind])
    direct_publisher(service).publish(message, Topic.of("contents/direct"))
    (first,) = drain(directly, 1, acknowledge=False)
    publisher.publish_await_acknowledgement(message, Topic.of("contents/guaranteed"), 10_000)
    (second,) = drain(directly, 1, acknowledge=False)
    source = receiver(service, queue)
    found = [carried(one) for one in (first, second, *drain(source, 2))]
    end(source)
    sent = carried(first)
    assert found == [sent] * 4
    assert sent["properties"] == PROPERTIES
    assert (sent["message id"], sent["message type"], sent["sequence number"]) == ("id", "type", 99)
    assert (sent["priority"], sent["content type"], sent["content encoding"]) == (7, "text/plain", "utf-8")
    if kind in sent:
        assert sent[kind] == PAYLOADS[kind]
