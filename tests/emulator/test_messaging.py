"""The official client against the emulator, over TCP."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from solace.messaging.config.message_acknowledgement_configuration import Outcome
from solace.messaging.config.missing_resources_creation_configuration import MissingResourcesCreationStrategy
from solace.messaging.config.solace_constants.message_user_property_constants import QUEUE_PARTITION_KEY
from solace.messaging.errors.pubsubplus_client_error import (
    AuthenticationError,
    MessageDestinationDoesNotExistError,
    PubSubPlusClientError,
)
from solace.messaging.resources.queue import Queue
from solace.messaging.resources.share_name import ShareName
from solace.messaging.resources.topic import Topic
from solace.messaging.resources.topic_subscription import TopicSubscription

from tests.emulator.messaging import (
    GRACE_MS,
    Receipts,
    direct_publisher,
    direct_receiver,
    drain,
    end,
    eventually,
    persistent_publisher,
    receiver,
    send,
    text,
)
from tests.emulator.process import Emulator

pytestmark = pytest.mark.emulator

Connect = Callable[..., Any]


def test_a_direct_message_reaches_each_matching_subscriber_once(emulator: Emulator, connect: Connect) -> None:
    service, other = connect(emulator, "direct-1"), connect(emulator, "direct-2")
    both = direct_receiver(service, "d/*", "d/>")
    prefix = direct_receiver(other, "d/on*")
    publisher = direct_publisher(service)
    for topic in ("d/one", "d/two", "e/one"):
        publisher.publish(bytearray(topic.encode()), Topic.of(topic))
    assert [text(message) for message in drain(both, 2, acknowledge=False)] == ["d/one", "d/two"]
    assert [text(message) for message in drain(prefix, 1, acknowledge=False)] == ["d/one"]
    assert both.receive_message(100) is None
    assert prefix.receive_message(100) is None


def test_members_of_a_shared_subscription_take_turns(emulator: Emulator, connect: Connect) -> None:
    members = []
    for name in ("share-1", "share-2"):
        builder = connect(emulator, name).create_direct_message_receiver_builder()
        built = builder.with_subscriptions([TopicSubscription.of("sh/>")]).build(ShareName.of("group"))
        built.start()
        members.append(built)
    publisher = direct_publisher(connect(emulator, "share-publisher"))
    for number in range(10):
        publisher.publish(bytearray(str(number).encode()), Topic.of("sh/x"))
    assert [len(drain(member, 5, acknowledge=False)) for member in members] == [5, 5]


def test_a_request_gets_its_reply_over_the_inbox_topic(emulator: Emulator, connect: Connect) -> None:
    service = connect(emulator, "requester")
    replier = service.request_reply().create_request_reply_message_receiver_builder()
    replier = replier.build(TopicSubscription.of("rpc/ping"))
    replier.start()
    requester = service.request_reply().create_request_reply_message_publisher_builder().build()
    requester.start()
    pending = requester.publish(service.message_builder().build("ping"), Topic.of("rpc/ping"), 5000)
    request, answer = replier.receive_message(5000)
    assert request.get_payload_as_string() == "ping"
    answer.reply(service.message_builder().build("pong"))
    assert pending.result(5).get_payload_as_string() == "pong"
    requester.terminate(GRACE_MS)
    replier.terminate(GRACE_MS)


def test_a_persistent_message_waits_in_its_queue_for_a_receiver(emulator: Emulator, connect: Connect) -> None:
    emulator.queue("waits", "waits/>")
    service = connect(emulator, "waits")
    publisher = persistent_publisher(service)
    for number in range(5):
        send(publisher, "waits/x", str(number))
    assert emulator.depth("waits") == 5
    source = receiver(service, "waits")
    messages = drain(source, 5)
    assert [text(message) for message in messages] == ["0", "1", "2", "3", "4"]
    assert not any(message.is_redelivered() for message in messages)
    end(source)
    assert eventually(lambda: emulator.depth("waits") == 0)


def test_every_message_of_a_burst_gets_its_receipt(emulator: Emulator, connect: Connect) -> None:
    emulator.queue("burst", "burst/>")
    publisher = persistent_publisher(connect(emulator, "burst"))
    receipts = Receipts()
    publisher.set_message_publish_receipt_listener(receipts)
    for number in range(1000):
        publisher.publish(bytearray(b"x" * 100), Topic.of("burst/x"), user_context=number)
    assert eventually(lambda: receipts.count == 1000)
    assert receipts.acknowledged == set(range(1000))
    assert emulator.depth("burst") == 1000


def test_a_refused_message_between_accepted_ones_is_the_only_one_refused(emulator: Emulator, connect: Connect) -> None:
    emulator.queue("small", "small/>", maxMsgSize=200)
    publisher = persistent_publisher(connect(emulator, "small"))
    receipts = Receipts()
    publisher.set_message_publish_receipt_listener(receipts)
    for number in range(50):
        size = 1000 if number % 10 == 5 else 10
        publisher.publish(bytearray(b"x" * size), Topic.of("small/x"), user_context=number)
    assert eventually(lambda: receipts.count == 50)
    assert set(receipts.refused) == {5, 15, 25, 35, 45}
    assert emulator.depth("small") == 45
    assert emulator.monitor("small")["maxMsgSizeExceededDiscardedMsgCount"] == 5


def test_a_shut_queue_is_told_to_the_publisher_only_when_it_asks_for_that(emulator: Emulator, connect: Connect) -> None:
    emulator.queue("shut", "shut/>", ingressEnabled=False)
    publisher = persistent_publisher(connect(emulator, "shut"))
    send(publisher, "shut/x", "discarded in silence")
    assert emulator.monitor("shut")["disabledDiscardedMsgCount"] == 1
    body = {"rejectMsgToSenderOnDiscardBehavior": "always"}
    assert emulator.semp("PATCH", "config/msgVpns/default/queues/shut", body).status_code == 200
    with pytest.raises(PubSubPlusClientError, match="Queue Shutdown"):
        send(publisher, "shut/x", "refused")


def test_no_match_is_an_error_only_for_a_profile_that_wants_it(emulator: Emulator, connect: Connect) -> None:
    publisher = persistent_publisher(connect(emulator, "nomatch"))
    send(publisher, "nobody/listens", "acknowledged")
    profile = "config/msgVpns/default/clientProfiles/default"
    try:
        emulator.semp("PATCH", profile, {"rejectMsgToSenderOnNoSubscriptionMatchEnabled": True})
        with pytest.raises(MessageDestinationDoesNotExistError):
            send(publisher, "nobody/listens", "refused")
    finally:
        emulator.semp("PATCH", profile, {"rejectMsgToSenderOnNoSubscriptionMatchEnabled": False})


def test_the_standby_receiver_takes_over_an_exclusive_queue_in_order(emulator: Emulator, connect: Connect) -> None:
    emulator.queue("standby", "standby/>")
    first_service, second_service = connect(emulator, "active"), connect(emulator, "passive")
    publisher = persistent_publisher(second_service)
    first, second = receiver(first_service, "standby"), receiver(second_service, "standby")
    send(publisher, "standby/x", "0")
    assert [text(message) for message in drain(first, 1)] == ["0"]
    assert second.receive_message(200) is None
    flows = emulator.semp("GET", "monitor/msgVpns/default/queues/standby/txFlows").json()["data"]
    assert [flow["activityState"] for flow in flows] == ["active-consumer", "inactive"]
    end(first)
    for number in (1, 2):
        send(publisher, "standby/x", str(number))
    assert [text(message) for message in drain(second, 2)] == ["1", "2"]
    end(second)


def test_receivers_of_a_non_exclusive_queue_share_evenly(emulator: Emulator, connect: Connect) -> None:
    emulator.queue("shared", "shared/>", accessType="non-exclusive")
    sources = [receiver(connect(emulator, f"shared-{n}"), "shared", exclusive=False) for n in range(2)]
    publisher = persistent_publisher(connect(emulator, "shared-publisher"))
    for number in range(20):
        send(publisher, "shared/x", str(number))
    shares = [[text(message) for message in drain(source, 10)] for source in sources]
    assert [len(share) for share in shares] == [10, 10]
    assert sorted(shares[0] + shares[1], key=int) == [str(number) for number in range(20)]
    for source in sources:
        end(source)


def test_what_a_lost_receiver_had_comes_again_in_order_and_flagged(emulator: Emulator, connect: Connect) -> None:
    emulator.queue("lost", "lost/>")
    service = connect(emulator, "lost")
    publisher = persistent_publisher(service)
    for number in range(4):
        send(publisher, "lost/x", str(number))
    source = receiver(service, "lost")
    assert len(drain(source, 4, acknowledge=False)) == 4
    end(source)
    send(publisher, "lost/x", "4")
    again = receiver(service, "lost")
    messages = drain(again, 5)
    assert [(text(message), message.is_redelivered()) for message in messages] == [
        ("0", True),
        ("1", True),
        ("2", True),
        ("3", True),
        ("4", False),
    ]
    end(again)


def test_a_failed_message_is_delivered_until_its_limit_and_then_buried(emulator: Emulator, connect: Connect) -> None:
    emulator.queue("grave")
    emulator.queue("failing", "failing/>", maxRedeliveryCount=2, deadMsgQueue="grave")
    service = connect(emulator, "failing")
    send(persistent_publisher(service), "failing/x", "poison")
    source = receiver(service, "failing", outcomes=(Outcome.FAILED, Outcome.REJECTED))
    for delivery in range(3):
        message = source.receive_message(5000)
        assert message is not None
        assert message.is_redelivered() == (delivery > 0)
        source.settle(message, Outcome.FAILED)
    assert eventually(lambda: emulator.depth("grave") == 1)
    assert emulator.depth("failing") == 0
    assert emulator.monitor("failing")["maxRedeliveryExceededToDmqMsgCount"] == 1
    end(source)


def test_a_rejected_message_is_buried_at_once(emulator: Emulator, connect: Connect) -> None:
    emulator.queue("reject-grave")
    emulator.queue("rejecting", "rejecting/>", deadMsgQueue="reject-grave")
    service = connect(emulator, "rejecting")
    send(persistent_publisher(service), "rejecting/x", "bad")
    source = receiver(service, "rejecting", outcomes=(Outcome.REJECTED,))
    source.settle(source.receive_message(5000), Outcome.REJECTED)
    assert eventually(lambda: emulator.depth("reject-grave") == 1)
    assert emulator.depth("rejecting") == 0
    end(source)


def test_an_expired_message_leaves_a_queue_that_respects_its_time_to_live(emulator: Emulator, connect: Connect) -> None:
    emulator.queue("ttl", "ttl/>", respectTtlEnabled=True)
    emulator.queue("no-ttl", "ttl/>")
    service = connect(emulator, "ttl")
    message = service.message_builder().with_property("solace.messaging.message.persistent.time-to-live", 300)
    publisher = persistent_publisher(service)
    publisher.publish_await_acknowledgement(message.build("short-lived"), Topic.of("ttl/x"), 5000)
    assert eventually(lambda: emulator.depth("ttl") == 0)
    assert emulator.depth("no-ttl") == 1


def test_a_receiver_can_make_its_queue_and_subscribe_it(emulator: Emulator, connect: Connect) -> None:
    service = connect(emulator, "creator")
    builder = service.create_persistent_message_receiver_builder()
    builder = builder.with_missing_resources_creation_strategy(MissingResourcesCreationStrategy.CREATE_ON_START)
    builder = builder.with_subscriptions([TopicSubscription.of("made/>")])
    source = builder.build(Queue.durable_exclusive_queue("made"))
    source.start()
    send(persistent_publisher(service), "made/x", "there")
    assert [text(message) for message in drain(source, 1)] == ["there"]
    end(source)
    settings = emulator.semp("GET", "config/msgVpns/default/queues/made").json()["data"]
    assert (settings["owner"], settings["ingressEnabled"], settings["permission"]) == ("default", True, "no-access")


def test_a_temporary_queue_goes_with_its_receiver(emulator: Emulator, connect: Connect) -> None:
    service = connect(emulator, "temporary")
    builder = service.create_persistent_message_receiver_builder()
    builder = builder.with_subscriptions([TopicSubscription.of("temp/>")])
    source = builder.build(Queue.non_durable_exclusive_queue())
    source.start()
    send(persistent_publisher(service), "temp/x", "soon gone")
    assert [text(message) for message in drain(source, 1)] == ["soon gone"]

    def temporary() -> list[str]:
        queues = emulator.semp("GET", "monitor/msgVpns/default/queues", count="100").json()["data"]
        return [queue["queueName"] for queue in queues if not queue["durable"]]

    assert len(temporary()) == 1
    end(source)
    assert eventually(lambda: temporary() == [])


def test_deleting_the_egress_ends_a_bound_receiver(emulator: Emulator, connect: Connect) -> None:
    emulator.queue("closing", "closing/>")
    source = receiver(connect(emulator, "closing"), "closing")
    assert source.is_running()
    emulator.semp("PATCH", "config/msgVpns/default/queues/closing", {"egressEnabled": False})
    assert eventually(lambda: not source.is_running())


def test_a_missing_queue_and_a_missing_permission_are_told_apart(emulator: Emulator, connect: Connect) -> None:
    emulator.queue("private", permission="no-access")
    service = connect(emulator, "binder")
    with pytest.raises(PubSubPlusClientError, match="Unknown Queue"):
        receiver(service, "nowhere")
    with pytest.raises(PubSubPlusClientError, match="Permission Not Allowed"):
        receiver(service, "private")


def test_a_wrong_password_is_an_authentication_error(emulator: Emulator, connect: Connect) -> None:
    vpn = {"msgVpnName": "locked", "enabled": True, "authenticationBasicType": "internal", "maxMsgSpoolUsage": 10}
    assert emulator.semp("POST", "config/msgVpns", vpn).status_code == 200
    user = {"clientUsername": "alice", "password": "right", "enabled": True}
    assert emulator.semp("POST", "config/msgVpns/locked/clientUsernames", user).status_code == 200
    with pytest.raises(AuthenticationError):
        connect(emulator, "intruder", vpn="locked", username="alice", password="wrong")
    assert connect(emulator, "alice", vpn="locked", username="alice", password="right").is_connected


def test_a_second_login_with_a_client_name_takes_over(emulator: Emulator, connect: Connect) -> None:
    first = connect(emulator, "twin", **{"solace.messaging.transport.reconnection-attempts": 0})
    second = connect(emulator, "twin")
    assert eventually(lambda: not first.is_connected)
    assert second.is_connected


def test_disconnecting_a_client_over_semp_makes_it_reconnect(emulator: Emulator, connect: Connect) -> None:
    service = connect(emulator, "thrown-out")
    source = direct_receiver(service, "after/>")
    client = "msgVpns/default/clients/thrown-out"
    before = emulator.semp("GET", f"monitor/{client}").json()["data"]["clientId"]
    assert emulator.semp("PUT", f"action/{client}/disconnect", {}).status_code == 200

    def back() -> bool:
        answer = emulator.semp("GET", f"monitor/{client}")
        return answer.status_code == 200 and bool(answer.json()["data"]["clientId"] != before)

    assert eventually(back)
    publisher = direct_publisher(connect(emulator, "sender"))
    assert eventually(lambda: _arrives(publisher, source))


def _arrives(publisher: Any, source: Any) -> bool:
    publisher.publish(bytearray(b"x"), Topic.of("after/x"))
    return source.receive_message(200) is not None


def test_a_partitioned_queue_keeps_each_key_with_one_receiver_in_order(emulator: Emulator, connect: Connect) -> None:
    emulator.queue("parts", "parts/>", accessType="non-exclusive", partitionCount=4, partitionRebalanceDelay=0)
    sources = [receiver(connect(emulator, f"parts-{n}"), "parts", exclusive=False) for n in range(2)]
    service = connect(emulator, "parts-publisher")
    publisher = persistent_publisher(service)
    time.sleep(0.5)  # the rebalance happens at the next tick
    for number in range(40):
        key = f"k{number % 8}"
        keyed = service.message_builder().with_property(QUEUE_PARTITION_KEY, key).build(f"{key}:{number:02}")
        publisher.publish_await_acknowledgement(keyed, Topic.of("parts/x"), 5000)
    shares = [[message.get_payload_as_string() for message in drain(source, 40, seconds=1.5)] for source in sources]
    assert sum(map(len, shares)) == 40
    keys = [{payload[:2] for payload in share} for share in shares]
    assert keys[0]
    assert keys[1]
    assert not keys[0] & keys[1]
    for share in shares:
        assert all(own == sorted(own) for own in ([p for p in share if p.startswith(key)] for key in keys[0] | keys[1]))
    for source in sources:
        end(source)


def test_a_queue_browser_sees_messages_without_consuming_them(emulator: Emulator, connect: Connect) -> None:
    emulator.queue("browsed", "browsed/>")
    service = connect(emulator, "browser")
    publisher = persistent_publisher(service)
    for number in range(3):
        send(publisher, "browsed/x", str(number))
    browser = service.create_message_queue_browser_builder().build(Queue.durable_exclusive_queue("browsed"))
    browser.start()
    seen = [browser.receive_message(5000) for _ in range(3)]
    assert [text(message) for message in seen] == ["0", "1", "2"]
    browser.terminate()
    assert emulator.depth("browsed") == 3


def test_what_is_not_there_is_refused_and_says_so(emulator: Emulator, connect: Connect) -> None:
    emulator.queue("selected")
    builder = connect(emulator, "selecting").create_persistent_message_receiver_builder()
    source = builder.with_message_selector("a = 1").build(Queue.durable_exclusive_queue("selected"))
    with pytest.raises(PubSubPlusClientError, match="Selectors Not Supported by This Emulator"):
        source.start()
