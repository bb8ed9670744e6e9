"""What becomes of a message that is not simply accepted: failed, rejected, delivered too often, expired."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from solace.messaging.config.message_acknowledgement_configuration import Outcome
from solace.messaging.config.solace_properties import message_properties
from solace.messaging.resources.topic import Topic

from tests.emulator.conformance.broker import Broker
from tests.emulator.conformance.features import SEMP, feature
from tests.emulator.messaging import drain, end, persistent_publisher, receiver, send, text

pytestmark = pytest.mark.emulator

Connect = Callable[..., Any]
Observe = Callable[..., None]
OUTCOMES = (Outcome.FAILED, Outcome.REJECTED)
RETRIES = 2


def publish(service: Any, topic: str, payload: str, **properties: Any) -> None:
    """Publish a message with properties and wait for its acknowledge."""
    builder = service.message_builder()
    for name, value in properties.items():
        builder = builder.with_property(getattr(message_properties, name), value)
    persistent_publisher(service).publish_await_acknowledgement(builder.build(payload), Topic.of(topic), 10_000)


def next_one(source: Any) -> Any:
    """The next message, which has to come."""
    message = source.receive_message(10_000)
    assert message is not None
    return message


@feature("guaranteed: settlement")
def test_an_accepted_message_is_gone(broker: Broker, connect: Connect) -> None:
    queue = broker.queue("settled", "settled/>")
    service = connect("settling")
    send(persistent_publisher(service), "settled/x", "good")
    source = receiver(service, queue, outcomes=OUTCOMES)
    source.settle(next_one(source), Outcome.ACCEPTED)
    assert broker.holds(queue, 0)
    end(source)


@feature("guaranteed: settlement")
def test_a_failed_message_comes_again_flagged(broker: Broker, connect: Connect) -> None:
    queue = broker.queue("settled", "settled/>")
    service = connect("settling")
    send(persistent_publisher(service), "settled/x", "try again")
    source = receiver(service, queue, outcomes=OUTCOMES)
    first = next_one(source)
    assert not first.is_redelivered()
    source.settle(first, Outcome.FAILED)
    second = next_one(source)
    assert (text(second), second.is_redelivered()) == ("try again", True)
    source.ack(second)
    assert broker.holds(queue, 0)
    end(source)


@feature("guaranteed: settlement", "guaranteed: dead message queue")
def test_a_rejected_message_is_buried_at_once(broker: Broker, connect: Connect) -> None:
    grave = broker.queue("grave")
    queue = broker.queue("rejecting", "rejecting/>", deadMsgQueue=grave)
    service = connect("rejecting")
    send(persistent_publisher(service), "rejecting/x", "bad")
    source = receiver(service, queue, outcomes=OUTCOMES)
    source.settle(next_one(source), Outcome.REJECTED)
    assert broker.holds(grave, 1)
    assert broker.holds(queue, 0)
    end(source)


@feature("guaranteed: settlement")
def test_a_rejected_message_without_a_grave_is_gone(broker: Broker, connect: Connect) -> None:
    queue = broker.queue("rejecting", "rejecting/>")
    service = connect("rejecting")
    send(persistent_publisher(service), "rejecting/x", "bad")
    source = receiver(service, queue, outcomes=OUTCOMES)
    source.settle(next_one(source), Outcome.REJECTED)
    assert broker.holds(queue, 0)
    assert source.receive_message(broker.moment_ms) is None
    end(source)


@feature("guaranteed: maximum redelivery", "guaranteed: dead message queue")
def test_deliveries_of_a_message_that_fails_each_time(broker: Broker, connect: Connect, observe: Observe) -> None:
    grave = broker.queue("grave")
    queue = broker.queue("failing", "failing/>", maxRedeliveryCount=RETRIES, deadMsgQueue=grave)
    service = connect("failing")
    send(persistent_publisher(service), "failing/x", "poison")
    source = receiver(service, queue, outcomes=OUTCOMES)
    deliveries = 0
    while deliveries < 10 and (message := source.receive_message(2000 if deliveries == 0 else broker.moment_ms)):
        assert message.is_redelivered() == (deliveries > 0)
        deliveries += 1
        source.settle(message, Outcome.FAILED)
    observe(f"deliveries of a message that fails, maxRedeliveryCount {RETRIES}", RETRIES + 1, deliveries)
    assert broker.holds(grave, 1)
    assert broker.counts(queue, maxRedeliveryExceededToDmqMsgCount=1)
    assert broker.holds(queue, 0)
    end(source)


@feature("guaranteed: maximum redelivery")
def test_deliveries_of_a_message_whose_receiver_is_lost_each_time(
    broker: Broker, connect: Connect, observe: Observe
) -> None:
    queue = broker.queue("losing", "losing/>", maxRedeliveryCount=1)
    send(persistent_publisher(connect("sending")), "losing/x", "poison")
    deliveries = 0
    for attempt in range(4):
        service = connect(f"losing-{attempt}")
        deliveries += len(drain(receiver(service, queue), 1, acknowledge=False, seconds=broker.moment_ms / 500))
        service.disconnect()
    observe("deliveries of a message whose receiver is lost, maxRedeliveryCount 1", 2, deliveries)


@feature("guaranteed: maximum redelivery")
def test_without_a_limit_a_message_comes_for_ever(broker: Broker, connect: Connect) -> None:
    queue = broker.queue("patient", "patient/>")
    service = connect("patient")
    send(persistent_publisher(service), "patient/x", "again")
    source = receiver(service, queue, outcomes=OUTCOMES)
    for _ in range(10):
        source.settle(next_one(source), Outcome.FAILED)
    assert broker.depth(queue) == 1
    end(source)


@feature("guaranteed: time to live")
def test_a_queue_that_respects_it_loses_expired_messages_and_another_keeps_them(
    broker: Broker, connect: Connect
) -> None:
    queue, other = broker.queue("ttl", "ttl/>", respectTtlEnabled=True), broker.queue("no-ttl", "ttl/>")
    publish(connect("sending"), "ttl/x", "short-lived", PERSISTENT_TIME_TO_LIVE=300)
    assert broker.holds(queue, 0)
    assert broker.depth(other) == 1
    fates = ("DiscardedMsgCount", "ToDmqMsgCount", "ToDmqFailedMsgCount")
    assert broker.becomes(lambda: sum(broker.monitor(queue)[f"maxTtlExpired{fate}"] for fate in fates) == 1)


@feature("guaranteed: time to live")
def test_a_queues_own_limit_counts_where_it_is_the_smaller(broker: Broker, connect: Connect) -> None:
    queue = broker.queue("ttl", "ttl/>", respectTtlEnabled=True, maxTtl=1)
    service = connect("sending")
    publish(service, "ttl/x", "the queue's", PERSISTENT_TIME_TO_LIVE=60_000)
    publish(service, "ttl/x", "no other")
    assert broker.depth(queue) == 2
    assert broker.holds(queue, 0)


@feature("guaranteed: time to live", "guaranteed: dead message queue")
def test_an_expired_message_is_buried_with_what_it_carries_and_does_not_expire_again(
    broker: Broker, connect: Connect
) -> None:
    grave = broker.queue("grave", respectTtlEnabled=True)
    queue = broker.queue("ttl", "ttl/>", respectTtlEnabled=True, deadMsgQueue=grave)
    service = connect("sending")
    publish(service, "ttl/x", "old", PERSISTENT_TIME_TO_LIVE=200, CORRELATION_ID="c-1")
    assert broker.holds(grave, 1)
    assert broker.counts(queue, maxTtlExpiredToDmqMsgCount=1)
    source = receiver(service, grave)
    message = next_one(source)
    assert (message.get_payload_as_string(), message.get_correlation_id()) == ("old", "c-1")
    assert message.get_destination_name() == "ttl/x"
    source.ack(message)
    end(source)


@feature("guaranteed: dead message queue")
@pytest.mark.parametrize("eligible", [True, False])
@pytest.mark.parametrize("respected", [True, False])
def test_the_flag_of_a_message_counts_where_its_queue_respects_it(
    broker: Broker, connect: Connect, eligible: bool, respected: bool
) -> None:
    """Since 10.25.10 a new message VPN lets queues ignore the flag, and they do unless told otherwise."""
    grave = broker.queue("grave")
    settings = {"deadMsgQueue": grave, "respectDmqEligibleEnabled": respected}
    queue = broker.queue("rejecting", "rejecting/>", **settings)
    service = connect("rejecting")
    publish(service, "rejecting/x", "bad", PERSISTENT_DMQ_ELIGIBLE=eligible)
    source = receiver(service, queue, outcomes=OUTCOMES)
    source.settle(next_one(source), Outcome.REJECTED)
    assert broker.holds(queue, 0)
    assert broker.holds(grave, int(eligible or not respected))
    end(source)


@feature("guaranteed: dead message queue", client=SEMP)
def test_a_message_that_cannot_be_buried_is_gone_and_counted(broker: Broker, connect: Connect) -> None:
    queue = broker.queue("ttl", "ttl/>", respectTtlEnabled=True, deadMsgQueue="no-such-queue")
    publish(connect("sending"), "ttl/x", "old", PERSISTENT_TIME_TO_LIVE=100, PERSISTENT_DMQ_ELIGIBLE=True)
    assert broker.counts(queue, maxTtlExpiredToDmqFailedMsgCount=1)
    assert broker.holds(queue, 0)
