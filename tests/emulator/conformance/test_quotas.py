"""Limits of queues and message VPNs, and whether a publisher hears of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from solace.messaging.config.missing_resources_creation_configuration import MissingResourcesCreationStrategy
from solace.messaging.errors.pubsubplus_client_error import MessageDestinationDoesNotExistError
from solace.messaging.resources.queue import Queue
from solace.messaging.resources.topic import Topic

from tests.emulator.conformance.broker import Broker
from tests.emulator.conformance.features import SEMP, feature
from tests.emulator.conformance.refusals import ACCEPTED, refusal
from tests.emulator.messaging import Receipts, drain, end, persistent_publisher, receiver, send, text

pytestmark = pytest.mark.emulator

Connect = Callable[..., Any]
Observe = Callable[..., None]
HALF_A_MEGABYTE = "x" * 500_000


@feature("guaranteed: quotas")
def test_a_queue_without_quota_keeps_the_last_message_only(broker: Broker, connect: Connect) -> None:
    queue = broker.queue("last", "last/>", maxMsgSpoolUsage=0)
    service = connect("last-value")
    publisher = persistent_publisher(service)
    for number in range(3):
        send(publisher, "last/x", str(number))
    assert broker.holds(queue, 1)
    source = receiver(service, queue)
    assert [text(message) for message in drain(source, 1)] == ["2"]
    end(source)


@feature("guaranteed: quotas")
def test_a_message_vpn_has_no_more_queues_than_its_limit(broker: Broker, connect: Connect) -> None:
    if broker.address.vpn is not None:
        pytest.skip("it would change a message VPN that is given")
    broker.queue("only")
    broker.change("", maxEndpointCount=1)
    builder = connect("making").create_persistent_message_receiver_builder()
    builder.with_missing_resources_creation_strategy(MissingResourcesCreationStrategy.CREATE_ON_START)
    for endpoint in (Queue.durable_exclusive_queue("second"), Queue.non_durable_exclusive_queue()):
        assert refusal(builder.build(endpoint).start) != ACCEPTED
    assert broker.semp("POST", "/queues", {"queueName": "second"}).status_code == 400
    broker.change("", maxEndpointCount=2)
    broker.queue("second")


@feature("guaranteed: quotas")
def test_a_queue_takes_no_more_than_its_quota_and_again_when_there_is_room(broker: Broker, connect: Connect) -> None:
    queue = broker.queue("full", "full/>", maxMsgSpoolUsage=1)
    service = connect("filling")
    publisher = persistent_publisher(service)
    for _ in range(2):
        send(publisher, "full/x", HALF_A_MEGABYTE[:-30_000])
    assert refusal(lambda: send(publisher, "full/x", HALF_A_MEGABYTE)) == "SPOOL_OVER_QUOTA"
    assert broker.counts(queue, maxMsgSpoolUsageExceededDiscardedMsgCount=1)
    source = receiver(service, queue)
    assert len(drain(source, 2)) == 2
    assert broker.holds(queue, 0)
    assert refusal(lambda: send(publisher, "full/x", HALF_A_MEGABYTE)) == ACCEPTED
    end(source)


@feature("guaranteed: quotas")
def test_a_message_vpn_takes_no_more_than_its_quota(broker: Broker, connect: Connect) -> None:
    if broker.address.vpn is not None:
        pytest.skip("changes the quota of a message VPN, and --vpn is given")
    broker.change("", maxMsgSpoolUsage=1)
    broker.queue("one", "one/>")
    broker.queue("two", "two/>")
    publisher = persistent_publisher(connect("filling"))
    for topic in ("one/x", "two/x"):
        send(publisher, topic, HALF_A_MEGABYTE[:-30_000])
    assert refusal(lambda: send(publisher, "one/x", HALF_A_MEGABYTE)) == "SPOOL_OVER_QUOTA"


@feature("guaranteed: quotas", "guaranteed: reject to sender")
def test_a_refused_message_between_accepted_ones_is_the_only_one_refused(
    broker: Broker, connect: Connect, observe: Observe
) -> None:
    queue = broker.queue("small", "small/>", maxMsgSize=200)
    publisher = persistent_publisher(connect("sending"))
    receipts = Receipts()
    publisher.set_message_publish_receipt_listener(receipts)
    for number in range(50):
        publisher.publish(bytearray(1000 if number % 10 == 5 else 10), Topic.of("small/x"), user_context=number)
    assert broker.becomes(lambda: receipts.count == 50)
    assert set(receipts.refused) == {5, 15, 25, 35, 45}
    assert broker.holds(queue, 45)
    assert broker.counts(queue, maxMsgSizeExceededDiscardedMsgCount=5)

    def raise_it() -> None:
        raise receipts.refused[5]

    observe("refusal of a message over maxMsgSize", "MESSAGE_TOO_LARGE", refusal(raise_it))


@feature("guaranteed: reject to sender", "guaranteed: ingress and egress")
@pytest.mark.parametrize(
    ("behaviour", "shut", "too_large"),
    [
        ("never", ACCEPTED, ACCEPTED),
        ("when-queue-enabled", ACCEPTED, "refused"),
        ("always", "QUEUE_SHUTDOWN", "refused"),
    ],
)
def test_a_publisher_hears_of_a_discard_when_the_queue_is_told_so(
    broker: Broker, connect: Connect, behaviour: str, shut: str, too_large: str
) -> None:
    queue = broker.queue("telling", "telling/>", maxMsgSize=200, rejectMsgToSenderOnDiscardBehavior=behaviour)
    publisher = persistent_publisher(connect("sending"))
    seen = refusal(lambda: send(publisher, "telling/x", "x" * 1000))
    assert (seen == ACCEPTED) is (too_large == ACCEPTED)
    broker.change(f"queues/{queue}", ingressEnabled=False)
    assert refusal(lambda: send(publisher, "telling/x", "x")) == shut
    assert broker.counts(queue, maxMsgSizeExceededDiscardedMsgCount=1, disabledDiscardedMsgCount=1)
    assert broker.depth(queue) == 0


@feature("guaranteed: reject to sender")
def test_a_message_that_one_queue_refuses_aloud_goes_to_none(broker: Broker, connect: Connect) -> None:
    broker.queue("loud", "both/>", maxMsgSize=200)
    other = broker.queue("other", "both/>")
    assert refusal(lambda: send(persistent_publisher(connect("sending")), "both/x", "x" * 1000)) != ACCEPTED
    assert broker.depth(other) == 0


@feature("guaranteed: reject to sender")
def test_a_message_that_one_queue_discards_in_silence_goes_to_the_others(broker: Broker, connect: Connect) -> None:
    silent = broker.queue("silent", "both/>", maxMsgSize=200, rejectMsgToSenderOnDiscardBehavior="never")
    other = broker.queue("other", "both/>")
    send(persistent_publisher(connect("sending")), "both/x", "x" * 1000)
    assert broker.holds(other, 1)
    assert broker.depth(silent) == 0


@feature("guaranteed: reject to sender", "access: client profile")
def test_no_match_is_an_error_only_for_a_profile_that_wants_it(broker: Broker, connect: Connect) -> None:
    send(persistent_publisher(connect("calm")), "nobody/listens", "acknowledged")
    strict = broker.user("strict", profile={"rejectMsgToSenderOnNoSubscriptionMatchEnabled": True})
    with pytest.raises(MessageDestinationDoesNotExistError):
        send(persistent_publisher(connect("strict", username=strict)), "nobody/listens", "refused")


@feature("guaranteed: quotas", "SEMP: counters", client=SEMP)
def test_the_spool_is_accounted_for(broker: Broker, connect: Connect) -> None:
    queue = broker.queue("counted", "counted/>")
    service = connect("counting")
    publisher = persistent_publisher(service)
    for _ in range(3):
        send(publisher, "counted/x", "x" * 1000)
    assert broker.counts(queue, spooledMsgCount=3)
    assert broker.monitor(queue)["msgSpoolUsage"] >= 3000
    source = receiver(service, queue)
    assert len(drain(source, 3)) == 3
    assert broker.counts(queue, msgSpoolUsage=0, spooledMsgCount=3)
    end(source)
