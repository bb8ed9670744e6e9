"""Direct messages: routing, shared subscriptions, request and reply, what happens to a client that does not read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from solace.messaging.errors.pubsubplus_client_error import PubSubPlusClientError
from solace.messaging.receiver.message_receiver import MessageHandler
from solace.messaging.resources.share_name import ShareName
from solace.messaging.resources.topic import Topic
from solace.messaging.resources.topic_subscription import TopicSubscription

from tests.emulator.conformance.broker import Broker
from tests.emulator.conformance.features import SEMP, feature
from tests.emulator.conformance.relay import Relay
from tests.emulator.messaging import GRACE_MS, direct_publisher, direct_receiver, drain, text

pytestmark = pytest.mark.emulator

Connect = Callable[..., Any]
Observe = Callable[..., None]


def publish(publisher: Any, *topics: str) -> None:
    """Publish a message to each topic; its payload is the topic."""
    for topic in topics:
        publisher.publish(bytearray(topic.encode()), Topic.of(topic))


def heard(source: Any, count: int) -> list[str]:
    """The payloads of the next messages."""
    return [text(message) for message in drain(source, count, acknowledge=False)]


@feature("direct: delivery", "direct: wildcards")
def test_a_message_reaches_each_matching_subscriber_once(broker: Broker, connect: Connect) -> None:
    service, other = connect("two-subscriptions"), connect("one-subscription")
    both = direct_receiver(service, "d/*", "d/>")
    prefix = direct_receiver(other, "d/on*")
    publish(direct_publisher(service), "d/one", "d/two", "e/one")
    assert heard(both, 2) == ["d/one", "d/two"]
    assert heard(prefix, 1) == ["d/one"]
    assert both.receive_message(broker.moment_ms) is None
    assert prefix.receive_message(broker.moment_ms) is None


@feature("direct: delivery")
def test_messages_of_a_publisher_arrive_in_their_order(connect: Connect) -> None:
    source = direct_receiver(connect("reading"), "row/>")
    topics = [f"row/{number:03}" for number in range(300)]
    publish(direct_publisher(connect("sending")), *topics)
    assert heard(source, 300) == topics


@feature("direct: delivery")
def test_a_message_for_nobody_is_gone_and_counted(broker: Broker, connect: Connect) -> None:
    publish(direct_publisher(connect("lonely")), "nobody/listens")
    assert broker.becomes(
        lambda: broker.read("monitor", "/clients/lonely")["noSubscriptionMatchRxDiscardedMsgCount"] == 1
    )
    late = direct_receiver(connect("late"), "nobody/>")
    assert late.receive_message(broker.moment_ms) is None


@feature("direct: delivery")
def test_a_removed_subscription_brings_nothing_more(broker: Broker, connect: Connect) -> None:
    source = direct_receiver(connect("leaving"), "a/x", "b/x")
    publisher = direct_publisher(connect("sending"))
    source.remove_subscription(TopicSubscription.of("a/x"))
    publish(publisher, "a/x", "b/x")
    assert heard(source, 1) == ["b/x"]
    assert source.receive_message(broker.moment_ms) is None


@feature("direct: wildcards")
@pytest.mark.parametrize(
    ("subscription", "matching", "other"),
    [
        ("w/*/c", ["w/b/c"], ["w/c", "w/b/b/c", "w/b"]),
        ("w/b*", ["w/b", "w/bc"], ["w/cb", "w/b/c"]),
        ("w/>", ["w/b", "w/b/c/d"], ["w", "ww/b"]),
        ("w/*/>", ["w/b/c", "w/b/c/d"], ["w/b"]),
        ("w/b*c", ["w/b*c"], ["w/bxc"]),
        ("w/>/c", ["w/>/c"], ["w/b/c"]),
        ("W/b", ["W/b"], ["w/b"]),
    ],
)
def test_a_subscription_matches_as_the_syntax_of_topics_says(
    broker: Broker, connect: Connect, subscription: str, matching: list[str], other: list[str]
) -> None:
    source = direct_receiver(connect("matching"), subscription)
    publish(direct_publisher(connect("sending")), *other, *matching)
    assert heard(source, len(matching)) == matching
    assert source.receive_message(broker.moment_ms) is None


@feature("direct: wildcards")
@pytest.mark.parametrize("subscription", [">", "*/x"])
def test_wildcards_and_topics_that_begin_with_a_hash(
    broker: Broker, connect: Connect, observe: Observe, subscription: str
) -> None:
    source = direct_receiver(connect("wide"), subscription)
    publish(direct_publisher(connect("sending")), "#reserved/x", "plain/x")
    observe(f"the first message that {subscription} brings of #reserved/x and plain/x", ["plain/x"], heard(source, 1))


@feature("direct: topic limits")
def test_topics_of_250_bytes_and_of_as_many_levels_as_these_allow_arrive(connect: Connect) -> None:
    """Levels are not empty, so that 250 bytes hold 125: the limit of 128 is never reached in SMF."""
    source = direct_receiver(connect("reading"), ">")
    longest, deepest = "l/" + "x" * 248, "/".join("d" * 125)
    publish(direct_publisher(connect("sending")), longest, deepest, "é" * 125)
    assert heard(source, 3) == [longest, deepest, "é" * 125]


@feature("direct: topic limits")
@pytest.mark.parametrize("topic", ["x" * 251, "a//b", "/a", "a/"])
def test_a_topic_beyond_the_limits_is_refused_by_client_or_broker(broker: Broker, connect: Connect, topic: str) -> None:
    source = direct_receiver(connect("reading"), ">")
    publisher = direct_publisher(connect("sending"))
    try:
        publish(publisher, topic)
    except (PubSubPlusClientError, ValueError):
        return  # the client has noticed
    publish(publisher, "end")
    assert heard(source, 1) == ["end"]


@feature("direct: shared subscriptions")
def test_members_of_a_shared_subscription_share_and_others_get_all(connect: Connect) -> None:
    members = [shared(connect(f"member-{number}"), "group", "sh/>") for number in range(2)]
    everything = direct_receiver(connect("outside"), "sh/>")
    topics = [f"sh/{number}" for number in range(10)]
    publish(direct_publisher(connect("sending")), *topics)
    shares = [heard(member, 5) for member in members]
    assert sorted(shares[0] + shares[1]) == topics
    assert [len(share) for share in shares] == [5, 5]
    assert heard(everything, 10) == topics


@feature("direct: shared subscriptions")
def test_what_is_left_of_a_shared_subscription_gets_everything(broker: Broker, connect: Connect) -> None:
    leaving = connect("leaving")
    shared(leaving, "group", "sh/>")
    staying = shared(connect("staying"), "group", "sh/>")
    leaving.disconnect()
    assert broker.becomes(lambda: broker.semp("GET", "monitor", "/clients/leaving").is_error)
    publish(direct_publisher(connect("sending")), "sh/1", "sh/2", "sh/3")
    assert heard(staying, 3) == ["sh/1", "sh/2", "sh/3"]


def shared(service: Any, name: str, topic: str) -> Any:
    """A started receiver on a shared subscription."""
    builder = service.create_direct_message_receiver_builder()
    source = builder.with_subscriptions([TopicSubscription.of(topic)]).build(ShareName.of(name))
    source.start()
    return source


@feature("direct: request/reply")
def test_a_request_gets_its_reply(connect: Connect) -> None:
    service = connect("asking")
    replier = connect("answering").request_reply().create_request_reply_message_receiver_builder()
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


class Indications(MessageHandler):
    """Notes of each message whether something was discarded before it."""

    def __init__(self) -> None:
        self.discarded: list[bool] = []

    def on_message(self, message: Any) -> None:
        """Note it."""
        indication = message.get_message_discard_notification()
        self.discarded.append(bool(indication and indication.has_broker_discard_indication()))


@feature("direct: discard indication")
def test_the_next_message_says_that_others_were_discarded(broker: Broker, connect: Connect, relay: Relay) -> None:
    """The subscriber's connection stops until the broker has had to discard; then everything flows again."""
    source = direct_receiver(connect("flooded", host=relay.host), "flood/>")
    indications = Indications()
    source.receive_async(indications)
    publisher = direct_publisher(connect("flooding"))
    relay.freeze()
    flood(broker, publisher, "flood/x", "flooded")
    relay.thaw()
    assert broker.becomes(lambda: _indicated(publisher, indications))
    assert not indications.discarded[0]


def _indicated(publisher: Any, indications: Indications) -> bool:
    publish(publisher, "flood/end")
    return True in indications.discarded


@feature("direct: discard indication", "SEMP: counters", client=SEMP)
def test_discarded_messages_are_counted(broker: Broker, connect: Connect, relay: Relay) -> None:
    direct_receiver(connect("flooded", host=relay.host), "flood/>")
    relay.freeze()
    flood(broker, direct_publisher(connect("flooding")), "flood/x", "flooded")
    assert broker.read("monitor", "/clients/flooded")["txDiscardedMsgCount"] > 0


def flood(broker: Broker, publisher: Any, topic: str, subscriber: str) -> None:
    """Publish until the broker has discarded a message for a subscriber. Its egress queue holds some 40 MB."""
    for _ in range(150):
        publisher.publish(bytearray(1_000_000), Topic.of(topic))
        if broker.read("monitor", f"/clients/{subscriber}")["txDiscardedMsgCount"]:
            return
    raise AssertionError("150 MB were sent to a client that does not read, and nothing was discarded")
