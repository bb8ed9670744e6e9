"""Order for each publisher on an exclusive queue, and every documented exception to it (partitions: there)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from solace.messaging.config.message_acknowledgement_configuration import Outcome
from solace.messaging.resources.topic import Topic

from tests.emulator.conformance.broker import Broker
from tests.emulator.conformance.features import feature
from tests.emulator.conformance.relay import Relay
from tests.emulator.messaging import Collector, drain, end, persistent_publisher, receiver, send, text

pytestmark = pytest.mark.emulator

Connect = Callable[..., Any]
Observe = Callable[..., None]


@feature("order: exclusive queue")
def test_each_publishers_messages_keep_their_order(broker: Broker, connect: Connect) -> None:
    queue = broker.queue("row", "row/>")
    publishers = [persistent_publisher(connect(f"sending-{name}")) for name in "ab"]
    for number in range(200):
        for name, publisher in zip("ab", publishers, strict=True):
            publisher.publish(bytearray(f"{name}{number:03}".encode()), Topic.of("row/x"))
    source = receiver(connect("reading"), queue)
    came = [text(message) for message in drain(source, 400)]
    for name in "ab":
        assert [one for one in came if one[0] == name] == [f"{name}{number:03}" for number in range(200)]
    end(source)


@feature("order: exclusive queue", "connection: reconnect and re-bind")
def test_order_outlives_lost_connections_of_publisher_and_receiver(
    broker: Broker, connect: Connect, relay: Relay
) -> None:
    queue = broker.queue("row", "row/>")
    source = receiver(connect("reading", host=relay.host), queue)
    collector = Collector(source)
    source.receive_async(collector)
    publisher = persistent_publisher(connect("sending", host=relay.host))
    expected = [str(number) for number in range(300)]
    for number in range(300):
        publisher.publish(bytearray(str(number).encode()), Topic.of("row/x"))
        if number in (100, 200):
            relay.cut()
    assert broker.becomes(lambda: set(collector.payloads) == set(expected))
    assert list(dict.fromkeys(collector.payloads)) == expected
    end(source)


@feature("order: exclusive queue")
def test_order_outlives_a_change_of_the_active_receiver(broker: Broker, connect: Connect) -> None:
    queue = broker.queue("row", "row/>")
    publisher = persistent_publisher(connect("sending"))
    for number in range(6):
        send(publisher, "row/x", str(number))
    first, second = receiver(connect("first"), queue), receiver(connect("second"), queue)
    held = drain(first, 4, acknowledge=False)
    first.ack(held[0])
    assert broker.holds(queue, 5)
    end(first)
    assert [text(message) for message in drain(second, 5)] == ["1", "2", "3", "4", "5"]
    end(second)


@feature("order: exception: failed settlement")
def test_a_failed_message_comes_after_those_that_were_sent_with_it(broker: Broker, connect: Connect) -> None:
    queue = broker.queue("row", "row/>")
    publisher = persistent_publisher(connect("sending"))
    for number in range(3):
        send(publisher, "row/x", str(number))
    source = receiver(connect("reading"), queue, outcomes=(Outcome.FAILED,))
    held = drain(source, 3, acknowledge=False)
    source.settle(held[0], Outcome.FAILED)
    again = source.receive_message(10_000)
    assert (text(again), again.is_redelivered()) == ("0", True)
    assert [text(message) for message in held] == ["0", "1", "2"]
    end(source)


@feature("order: exception: non-exclusive queue")
def test_what_comes_back_to_a_non_exclusive_queue_overtakes_and_is_overtaken(broker: Broker, connect: Connect) -> None:
    """The other receiver has later messages already when it gets the earlier ones of the one that is gone."""
    queue = broker.queue("row", "row/>", accessType="non-exclusive")
    leaving = receiver(connect("leaving"), queue, exclusive=False)
    staying = receiver(connect("staying"), queue, exclusive=False)
    publisher = persistent_publisher(connect("sending"))
    for number in range(6):
        send(publisher, "row/x", str(number))
    missed = [text(message) for message in drain(leaving, 3, acknowledge=False)]
    end(leaving)
    came = [text(message) for message in drain(staying, 6)]
    assert sorted(came) == ["0", "1", "2", "3", "4", "5"]
    assert came != sorted(came)
    assert came[3:] == missed
    end(staying)


@feature("order: exception: priority")
def test_a_message_of_higher_priority_overtakes_where_the_queue_respects_it(broker: Broker, connect: Connect) -> None:
    queue = broker.queue("row", "row/>")
    respected = broker.semp("PATCH", "config", f"/queues/{queue}", {"respectMsgPriorityEnabled": True}).json()
    if respected["meta"].get("error", {}).get("status") == "NOT_SUPPORTED":
        pytest.skip("priority is not supported here")
    service = connect("sending")
    publisher = persistent_publisher(service)
    for priority in (1, 9, 5):
        message = service.message_builder().with_priority(priority).build(bytearray(str(priority).encode()))
        publisher.publish_await_acknowledgement(message, Topic.of("row/x"), 10_000)
    source = receiver(connect("reading"), queue)
    assert [text(message) for message in drain(source, 3)] == ["9", "5", "1"]
    end(source)
