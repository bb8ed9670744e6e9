"""Queues: what goes in, who gets it, who may."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from solace.messaging.config.missing_resources_creation_configuration import MissingResourcesCreationStrategy
from solace.messaging.errors.pubsubplus_client_error import PubSubPlusClientError
from solace.messaging.resources.queue import Queue
from solace.messaging.resources.topic import Topic
from solace.messaging.resources.topic_subscription import TopicSubscription

from tests.emulator.conformance.broker import Broker
from tests.emulator.conformance.features import SEMP, feature
from tests.emulator.conformance.refusals import ACCEPTED, refusal
from tests.emulator.messaging import (
    Receipts,
    direct_publisher,
    drain,
    end,
    persistent_publisher,
    receiver,
    send,
    text,
)

pytestmark = pytest.mark.emulator

Connect = Callable[..., Any]
Observe = Callable[..., None]


def send_all(publisher: Any, topic: str, *payloads: str) -> None:
    """Publish one after the other, each acknowledged."""
    for payload in payloads:
        send(publisher, topic, payload)


def texts(source: Any, count: int) -> list[str]:
    """Receive and acknowledge; return the payloads."""
    return [text(message) for message in drain(source, count)]


@feature("guaranteed: durable queues", "guaranteed: acknowledgement")
def test_a_message_waits_in_its_queue_until_it_is_acknowledged(broker: Broker, connect: Connect) -> None:
    queue = broker.queue("waits", "waits/>")
    service = connect("waiting")
    send_all(persistent_publisher(service), "waits/x", "0", "1", "2")
    assert broker.holds(queue, 3)
    source = receiver(service, queue)
    messages = drain(source, 3, acknowledge=False)
    assert [text(message) for message in messages] == ["0", "1", "2"]
    assert not any(message.is_redelivered() for message in messages)
    assert broker.depth(queue) == 3
    for message in messages:
        source.ack(message)
    assert broker.holds(queue, 0)
    end(source)


@feature("guaranteed: acknowledgement")
def test_messages_can_be_acknowledged_in_any_order(broker: Broker, connect: Connect) -> None:
    queue = broker.queue("picked", "picked/>")
    service = connect("picking")
    send_all(persistent_publisher(service), "picked/x", "0", "1", "2", "3")
    source = receiver(service, queue)
    messages = drain(source, 4, acknowledge=False)
    for number in (2, 0):
        source.ack(messages[number])
    assert broker.holds(queue, 2)
    end(source)
    again = receiver(service, queue)
    assert texts(again, 2) == ["1", "3"]
    end(again)


@feature("guaranteed: acknowledgement")
def test_every_message_of_a_burst_gets_its_receipt(broker: Broker, connect: Connect) -> None:
    queue = broker.queue("burst", "burst/>")
    publisher = persistent_publisher(connect("bursting"))
    receipts = Receipts()
    publisher.set_message_publish_receipt_listener(receipts)
    for number in range(1000):
        publisher.publish(bytearray(100), Topic.of("burst/x"), user_context=number)
    assert broker.becomes(lambda: receipts.count == 1000)
    assert receipts.acknowledged == set(range(1000))
    assert broker.holds(queue, 1000)


@feature("guaranteed: acknowledgement")
def test_what_a_lost_receiver_had_comes_again_in_order_and_flagged(broker: Broker, connect: Connect) -> None:
    queue = broker.queue("lost", "lost/>")
    service = connect("losing")
    publisher = persistent_publisher(service)
    send_all(publisher, "lost/x", "0", "1", "2")
    source = receiver(service, queue)
    assert len(drain(source, 3, acknowledge=False)) == 3
    end(source)
    send(publisher, "lost/x", "3")
    again = receiver(service, queue)
    came = [(text(message), message.is_redelivered()) for message in drain(again, 4)]
    assert came == [("0", True), ("1", True), ("2", True), ("3", False)]
    end(again)


@feature("guaranteed: durable queues")
def test_a_receiver_can_make_its_queue_and_subscribe_it(broker: Broker, connect: Connect) -> None:
    queue = broker.unique("made")
    service = connect("making")
    source = making(service, Queue.durable_exclusive_queue(queue), "made/>")
    send(persistent_publisher(service), "made/x", "there")
    assert texts(source, 1) == ["there"]
    end(source)
    settings = broker.read("config", f"/queues/{queue}")
    assert (settings["owner"], settings["ingressEnabled"], settings["egressEnabled"]) == (broker.username, True, True)
    assert (settings["accessType"], settings["permission"]) == ("exclusive", "no-access")


@feature("guaranteed: durable queues")
def test_a_direct_message_is_kept_for_a_queue_too(broker: Broker, connect: Connect) -> None:
    queue = broker.queue("promoted", "promoted/>")
    direct_publisher(connect("sending")).publish(bytearray(b"direct"), Topic.of("promoted/x"))
    source = receiver(connect("reading"), queue)
    assert texts(source, 1) == ["direct"]
    end(source)


def making(service: Any, endpoint: Any, *topics: str) -> Any:
    """A started receiver that makes its queue where it is missing."""
    builder = service.create_persistent_message_receiver_builder().with_message_client_acknowledgement()
    builder.with_missing_resources_creation_strategy(MissingResourcesCreationStrategy.CREATE_ON_START)
    source = builder.with_subscriptions([TopicSubscription.of(topic) for topic in topics]).build(endpoint)
    source.start()
    return source


def temporary(broker: Broker) -> list[str]:
    """The names of the message VPN's temporary queues."""
    queues = broker.read("monitor", "/queues", count="100")
    return [queue["queueName"] for queue in queues if not queue["durable"]]


@feature("guaranteed: temporary queues")
def test_a_temporary_queue_goes_with_its_receiver(broker: Broker, connect: Connect) -> None:
    service = connect("passing")
    source = making(service, Queue.non_durable_exclusive_queue(), "temp/>")
    send(persistent_publisher(service), "temp/x", "soon gone")
    assert texts(source, 1) == ["soon gone"]
    assert broker.becomes(lambda: len(temporary(broker)) == 1)
    end(source)
    assert broker.becomes(lambda: temporary(broker) == [])


@feature("guaranteed: temporary queues")
def test_a_temporary_queue_and_an_orderly_disconnection(broker: Broker, connect: Connect, observe: Observe) -> None:
    service = connect("leaving")
    making(service, Queue.non_durable_exclusive_queue(), "temp/>")
    assert broker.becomes(lambda: len(temporary(broker)) == 1)
    service.disconnect()
    assert broker.becomes(lambda: broker.semp("GET", "monitor", "/clients/leaving").is_error)
    observe("a temporary queue right after its client has disconnected", 1, len(temporary(broker)))


@feature("guaranteed: exclusive queues")
def test_the_standby_receiver_takes_over_an_exclusive_queue_in_order(broker: Broker, connect: Connect) -> None:
    queue = broker.queue("standby", "standby/>")
    first_service, second_service = connect("active"), connect("passive")
    publisher = persistent_publisher(second_service)
    first, second = receiver(first_service, queue), receiver(second_service, queue)
    send(publisher, "standby/x", "0")
    assert texts(first, 1) == ["0"]
    assert second.receive_message(broker.moment_ms) is None
    assert broker.becomes(lambda: activity(broker, queue) == {"active": "active-consumer", "passive": "inactive"})
    end(first)
    send_all(publisher, "standby/x", "1", "2")
    assert texts(second, 2) == ["1", "2"]
    assert broker.becomes(lambda: activity(broker, queue) == {"passive": "active-consumer"})
    end(second)


def activity(broker: Broker, queue: str) -> dict[str, str]:
    """The state of each flow of a queue by client."""
    flows = broker.read("monitor", f"/queues/{queue}/txFlows")
    return {flow["clientName"]: flow["activityState"] for flow in flows}


@feature("guaranteed: non-exclusive queues")
def test_receivers_of_a_non_exclusive_queue_share_evenly(broker: Broker, connect: Connect) -> None:
    queue = broker.queue("shared", "shared/>", accessType="non-exclusive")
    sources = [receiver(connect(f"member-{number}"), queue, exclusive=False) for number in range(2)]
    numbers = [str(number) for number in range(20)]
    send_all(persistent_publisher(connect("sending")), "shared/x", *numbers)
    shares = [texts(source, 10) for source in sources]
    assert [len(share) for share in shares] == [10, 10]
    assert sorted(shares[0] + shares[1], key=int) == numbers
    for source in sources:
        end(source)


@feature("guaranteed: non-exclusive queues")
def test_what_a_lost_member_had_goes_to_another_flagged(broker: Broker, connect: Connect) -> None:
    queue = broker.queue("shared", "shared/>", accessType="non-exclusive")
    leaving = receiver(connect("leaving"), queue, exclusive=False)
    numbers = {str(number) for number in range(6)}
    send_all(persistent_publisher(connect("sending")), "shared/x", *sorted(numbers))
    assert len(drain(leaving, 6, acknowledge=False)) == 6
    staying = receiver(connect("staying"), queue, exclusive=False)
    end(leaving)
    again = drain(staying, 6)
    assert {text(message) for message in again} == numbers
    assert all(message.is_redelivered() for message in again)
    end(staying)


@feature("guaranteed: subscriptions")
def test_a_message_that_matches_twice_is_kept_once_and_each_queue_has_its_own(broker: Broker, connect: Connect) -> None:
    twice, other = broker.queue("twice", "s/*", "s/>"), broker.queue("other", "s/x")
    send(persistent_publisher(connect("sending")), "s/x", "x")
    assert broker.holds(twice, 1)
    assert broker.holds(other, 1)


@feature("guaranteed: subscriptions")
def test_an_exception_keeps_away_what_a_subscription_would_bring(broker: Broker, connect: Connect) -> None:
    queue = broker.queue("choosy", "s/>", "!s/secret/*")
    publisher = persistent_publisher(connect("sending"))
    for topic in ("s/open", "s/secret/x", "s/secret"):
        send(publisher, topic, topic)
    source = receiver(connect("reading"), queue)
    assert texts(source, 2) == ["s/open", "s/secret"]
    assert source.receive_message(broker.moment_ms) is None
    end(source)


@feature("guaranteed: subscriptions")
def test_a_receiver_adds_and_removes_subscriptions_of_its_queue(broker: Broker, connect: Connect) -> None:
    queue = broker.queue("adding")
    source = receiver(connect("adding"), queue)
    publisher = persistent_publisher(connect("sending"))
    for topic in ("first/>", "second/>"):
        source.add_subscription(TopicSubscription.of(topic))
    source.remove_subscription(TopicSubscription.of("first/>"))
    for topic in ("first/x", "second/x"):
        send(publisher, topic, topic)
    assert texts(source, 1) == ["second/x"]
    assert source.receive_message(broker.moment_ms) is None
    end(source)


@feature("guaranteed: subscriptions")
def test_a_queue_is_a_destination_of_its_own(broker: Broker, connect: Connect) -> None:
    queue = broker.queue("addressed")
    send(persistent_publisher(connect("sending")), f"#P2P/QUE/{queue}", "to the queue")
    source = receiver(connect("reading"), queue)
    assert texts(source, 1) == ["to the queue"]
    end(source)


@feature("guaranteed: windows")
def test_no_more_than_the_allowed_messages_are_out_unacknowledged(broker: Broker, connect: Connect) -> None:
    queue = broker.queue("limited", "limited/>", maxDeliveredUnackedMsgsPerFlow=3)
    service = connect("limited")
    send_all(persistent_publisher(service), "limited/x", *"01234567")
    source = receiver(service, queue)
    held = drain(source, 3, acknowledge=False)
    assert [text(message) for message in held] == ["0", "1", "2"]
    assert source.receive_message(broker.moment_ms) is None
    assert broker.becomes(lambda: broker.monitor(queue)["txUnackedMsgCount"] == 3)
    for message in held:
        source.ack(message)
    assert texts(source, 5) == ["3", "4", "5", "6", "7"]
    end(source)


@feature("guaranteed: windows")
def test_a_receiver_that_takes_nothing_has_at_most_its_window_on_the_way(broker: Broker, connect: Connect) -> None:
    queue = broker.queue("window", "window/>")
    service = connect("window")
    publisher = persistent_publisher(service)
    for number in range(2000):
        publisher.publish(bytearray(str(number).encode()), Topic.of("window/x"))
    assert broker.holds(queue, 2000)
    source = receiver(service, queue)
    assert broker.becomes(lambda: broker.monitor(queue)["txUnackedMsgCount"] > 0)
    time.sleep(broker.moment_ms / 1000)
    assert broker.monitor(queue)["txUnackedMsgCount"] <= 255
    assert texts(source, 2000) == [str(number) for number in range(2000)]
    end(source)


@feature("guaranteed: bind count")
def test_no_more_receivers_bind_than_are_allowed(broker: Broker, connect: Connect) -> None:
    queue = broker.queue("narrow", maxBindCount=1)
    source = receiver(connect("first"), queue)
    second = connect("second")
    assert refusal(lambda: receiver(second, queue)) == "MAX_CLIENTS_FOR_QUEUE"
    assert broker.counts(queue, maxBindCountExceededBindFailureCount=1)
    end(source)
    assert broker.becomes(lambda: broker.read("monitor", f"/queues/{queue}/txFlows") == [])
    end(receiver(second, queue))


@feature("guaranteed: permissions and owner")
@pytest.mark.parametrize(
    ("permission", "browse", "consume", "subscribe"),
    [
        ("no-access", False, False, False),
        ("read-only", True, False, False),
        ("consume", True, True, False),
        ("modify-topic", True, True, True),
        ("delete", True, True, True),
    ],
)
def test_a_queues_permission_says_what_others_may(
    broker: Broker, connect: Connect, permission: str, browse: bool, consume: bool, subscribe: bool
) -> None:
    queue = broker.queue("guarded", permission=permission)
    service = connect("trying")
    assert (refusal(lambda: browser(service, queue).terminate()) == ACCEPTED) is browse
    seen = refusal(lambda: end(receiver(service, queue)))
    assert seen == (ACCEPTED if consume else "PERMISSION_NOT_ALLOWED")
    if consume:
        source = receiver(service, queue)
        added = refusal(lambda: source.add_subscription(TopicSubscription.of("guarded/>")))
        assert (added == ACCEPTED) is subscribe
        end(source)


@feature("guaranteed: permissions and owner")
def test_the_owner_may_everything_and_others_what_the_permission_says(broker: Broker, connect: Connect) -> None:
    queue = broker.queue("owned", permission="no-access", owner=broker.username)
    end(receiver(connect("owner"), queue))
    other = broker.user("other")
    with pytest.raises(PubSubPlusClientError, match="PERMISSION_NOT_ALLOWED"):
        receiver(connect("other", username=other), queue)


@feature("guaranteed: permissions and owner")
def test_a_missing_queue_and_a_missing_permission_are_told_apart(broker: Broker, connect: Connect) -> None:
    queue = broker.queue("private", permission="no-access")
    service = connect("binding")
    assert refusal(lambda: receiver(service, "nowhere")) == "UNKNOWN_QUEUE_NAME"
    assert refusal(lambda: receiver(service, queue)) == "PERMISSION_NOT_ALLOWED"


@feature("guaranteed: ingress and egress")
def test_a_queue_that_is_shut_to_receivers_refuses_and_unbinds_them(broker: Broker, connect: Connect) -> None:
    queue = broker.queue("closing", "closing/>")
    service = connect("closing")
    source = receiver(service, queue)
    broker.change(f"queues/{queue}", egressEnabled=False)
    assert broker.becomes(lambda: not source.is_running())
    send(persistent_publisher(service), "closing/x", "kept")
    assert refusal(lambda: receiver(service, queue)) == "QUEUE_SHUTDOWN"
    broker.change(f"queues/{queue}", egressEnabled=True)
    again = receiver(service, queue)
    assert texts(again, 1) == ["kept"]
    end(again)


@feature("guaranteed: ingress and egress", client=SEMP)
def test_a_new_queue_is_shut_on_both_sides(broker: Broker) -> None:
    queue = broker.make("queues", "queueName", "fresh")
    found = broker.read("config", f"/queues/{queue}")
    assert (found["ingressEnabled"], found["egressEnabled"], found["permission"]) == (False, False, "no-access")


@feature("guaranteed: browser")
def test_a_browser_sees_messages_without_consuming_them(broker: Broker, connect: Connect) -> None:
    queue = broker.queue("browsed", "browsed/>")
    service = connect("browsing")
    send_all(persistent_publisher(service), "browsed/x", "0", "1", "2")
    looking = browser(service, queue)
    assert [text(looking.receive_message(5000)) for _ in range(3)] == ["0", "1", "2"]
    looking.terminate()
    assert broker.depth(queue) == 3


@feature("guaranteed: browser")
def test_a_browser_can_remove_a_message(broker: Broker, connect: Connect) -> None:
    queue = broker.queue("browsed", "browsed/>")
    service = connect("browsing")
    send_all(persistent_publisher(service), "browsed/x", "0", "1", "2")
    looking = browser(service, queue)
    seen = [looking.receive_message(5000) for _ in range(3)]
    looking.remove(seen[1])
    assert broker.holds(queue, 2)
    looking.terminate()
    source = receiver(service, queue)
    assert texts(source, 2) == ["0", "2"]
    end(source)


def browser(service: Any, queue: str) -> Any:
    """A started browser."""
    looking = service.create_message_queue_browser_builder().build(Queue.durable_exclusive_queue(queue))
    looking.start()
    return looking
