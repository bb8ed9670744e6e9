"""Partitioned queues, as clients meet them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from solace.messaging.config.solace_constants.message_user_property_constants import QUEUE_PARTITION_KEY
from solace.messaging.resources.queue import Queue
from solace.messaging.resources.topic import Topic

from tests.emulator.conformance.broker import Broker
from tests.emulator.conformance.features import feature
from tests.emulator.conformance.refusals import ACCEPTED, refusal
from tests.emulator.messaging import drain, end, persistent_publisher, receiver

pytestmark = pytest.mark.emulator

Connect = Callable[..., Any]
PARTITIONS = 4


class Keyed:
    """A publisher of messages with partition keys; the payload is ``key:number``."""

    def __init__(self, service: Any, topic: str) -> None:
        self._service = service
        self._topic = Topic.of(topic)
        self._publisher = persistent_publisher(service)
        self._sent = 0

    def send(self, keys: Iterable[str | None]) -> None:
        """Publish one message for each key, without a key for None, each acknowledged."""
        for key in keys:
            builder = self._service.message_builder()
            if key is not None:
                builder = builder.with_property(QUEUE_PARTITION_KEY, key)
            message = builder.build(f"{key}:{self._sent:03}")
            self._publisher.publish_await_acknowledgement(message, self._topic, 10_000)
            self._sent += 1


def partitioned(broker: Broker) -> str:
    """An open partitioned queue on topic ``parts/>`` that rebalances at once."""
    settings = {"accessType": "non-exclusive", "partitionCount": PARTITIONS, "partitionRebalanceDelay": 0}
    return broker.queue("parts", "parts/>", **settings)


def received(sources: Iterable[Any], count: int) -> list[list[str]]:
    """What each receiver gets and acknowledges, until it gets nothing for a while or ``count`` are there in all."""
    shares: list[list[str]] = []
    for source in sources:
        left = count - sum(map(len, shares))
        shares.append([message.get_payload_as_string() for message in drain(source, left, seconds=1.5)])
    return shares


@feature("guaranteed: partitioned queues", "order: partition")
def test_each_key_stays_with_one_receiver_in_order(broker: Broker, connect: Connect) -> None:
    queue = partitioned(broker)
    sources = [receiver(connect(f"member-{number}"), queue, exclusive=False) for number in range(2)]
    settle(broker)
    Keyed(connect("sending"), "parts/x").send(f"k{number % 8}" for number in range(40))
    shares = received(sources, 40)
    assert sum(map(len, shares)) == 40
    keys = [{payload[:2] for payload in share} for share in shares]
    assert keys[0]
    assert keys[1]
    assert not keys[0] & keys[1]
    for share in shares:
        for key in keys[0] | keys[1]:
            own = [payload for payload in share if payload.startswith(key)]
            assert own == sorted(own)
    for source in sources:
        end(source)


def settle(broker: Broker) -> None:
    """Let a rebalance happen that is due at once: what monitor shows of it is not kept by the emulator."""
    time.sleep(0.5 if broker.address.emulated else 8.0)


@feature("guaranteed: partitioned queues", "order: partition")
def test_when_a_receiver_goes_the_others_take_its_keys_in_order(broker: Broker, connect: Connect) -> None:
    queue = partitioned(broker)
    leaving_service = connect("leaving")
    leaving = receiver(leaving_service, queue, exclusive=False)
    publisher = Keyed(connect("sending"), "parts/x")
    keys = [f"k{number}" for number in range(8)]
    publisher.send(keys)
    [first] = received([leaving], 8)
    staying = receiver(connect("staying"), queue, exclusive=False)
    end(leaving)
    leaving_service.disconnect()
    publisher.send(keys * 2)
    [then] = received([staying], 16)
    for key in keys:
        own = [payload for payload in [*first, *then] if payload.startswith(key)]
        assert len(own) == 3
        assert own == sorted(own)
    end(staying)


@feature("guaranteed: partitioned queues")
def test_a_receiver_beyond_the_partitions_waits_and_takes_over(broker: Broker, connect: Connect) -> None:
    queue = broker.queue("single", "parts/>", accessType="non-exclusive", partitionCount=1, partitionRebalanceDelay=0)
    first = receiver(connect("first"), queue, exclusive=False)
    settle(broker)
    surplus = receiver(connect("surplus"), queue, exclusive=False)
    publisher = Keyed(connect("sending"), "parts/x")
    publisher.send(["a", "b"])
    assert [len(share) for share in received([first, surplus], 2)] == [2, 0]
    end(first)
    publisher.send(["a", "b"])
    assert [len(share) for share in received([surplus], 2)] == [2]
    end(surplus)


@feature("guaranteed: partitioned queues", "guaranteed: browser")
def test_a_partitioned_queue_cannot_be_browsed(broker: Broker, connect: Connect) -> None:
    queue = partitioned(broker)
    browser = connect("looking").create_message_queue_browser_builder()
    assert refusal(browser.build(Queue.durable_non_exclusive_queue(queue)).start) != ACCEPTED


@feature("guaranteed: partitioned queues")
def test_a_receiver_when_the_number_of_partitions_changes(
    broker: Broker, connect: Connect, observe: Callable[..., None]
) -> None:
    queue = partitioned(broker)
    source = receiver(connect("bound"), queue, exclusive=False)
    broker.change(f"queues/{queue}", partitionCount=PARTITIONS + 1)
    settle(broker)
    observe("a receiver when partitionCount changes", "is unbound", "stays" if source.is_running() else "is unbound")


@feature("order: exception: message without a key")
def test_messages_without_a_key_go_to_any_partition(broker: Broker, connect: Connect) -> None:
    """Their order is lost: two receivers each have some of them, and neither has them all."""
    queue = partitioned(broker)
    sources = [receiver(connect(f"member-{number}"), queue, exclusive=False) for number in range(2)]
    settle(broker)
    Keyed(connect("sending"), "parts/x").send([None] * 40)
    shares = received(sources, 40)
    assert sum(map(len, shares)) == 40
    assert all(shares)
    for source in sources:
        end(source)
