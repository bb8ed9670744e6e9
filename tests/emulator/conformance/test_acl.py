"""ACL profiles, set over SEMP, as clients meet them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from solace.messaging.config.missing_resources_creation_configuration import MissingResourcesCreationStrategy
from solace.messaging.errors.pubsubplus_client_error import PubSubPlusClientError
from solace.messaging.resources.queue import Queue
from solace.messaging.resources.share_name import ShareName
from solace.messaging.resources.topic import Topic
from solace.messaging.resources.topic_subscription import TopicSubscription

from tests.emulator.conformance.broker import OPEN_ACL, Broker
from tests.emulator.conformance.features import feature
from tests.emulator.conformance.refusals import ACCEPTED, refusal
from tests.emulator.messaging import (
    direct_publisher,
    direct_receiver,
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


class Access:
    """A client username with an ACL profile of its own, made with these default actions."""

    def __init__(self, broker: Broker, name: str, **actions: str) -> None:
        self._broker = broker
        self.name = broker.user(name, acl=actions)
        self.path = f"aclProfiles/{self.name}"

    def set(self, **actions: str) -> None:
        """Change default actions."""
        self._broker.change(self.path, **actions)

    def publish(self, topic: str) -> None:
        """Add a publish exception."""
        exception = {"publishTopicExceptionSyntax": "smf", "publishTopicException": topic}
        self._broker.add(f"{self.path}/publishTopicExceptions", **exception)

    def subscribe(self, topic: str) -> None:
        """Add a subscribe exception."""
        exception = {"subscribeTopicExceptionSyntax": "smf", "subscribeTopicException": topic}
        self._broker.add(f"{self.path}/subscribeTopicExceptions", **exception)

    def share(self, name: str) -> None:
        """Add a share name exception."""
        exception = {"subscribeShareNameExceptionSyntax": "smf", "subscribeShareNameException": name}
        self._broker.add(f"{self.path}/subscribeShareNameExceptions", **exception)

    def address(self, network: str) -> None:
        """Add a connect exception."""
        self._broker.add(f"{self.path}/clientConnectExceptions", clientConnectExceptionAddress=network)

    def remove(self, collection: str, identifier: str) -> None:
        """Remove an exception."""
        self._broker.expect("DELETE", f"config/msgVpns/{self._broker.vpn}/{self.path}/{collection}/{identifier}")


@feature("access: ACL connect")
def test_a_profile_as_created_lets_nobody_in(broker: Broker, connect: Connect) -> None:
    closed = Access(broker, "closed")
    with pytest.raises(PubSubPlusClientError, match="CLIENT_ACL_DENIED"):
        connect("closed", username=closed.name)
    closed.address("0.0.0.0/0")
    assert connect("closed", username=closed.name).is_connected


@feature("access: ACL connect")
def test_an_address_can_be_kept_out_and_clients_that_are_in_stay(broker: Broker, connect: Connect) -> None:
    access = Access(broker, "roaming", **OPEN_ACL)
    service = connect("roaming-in", username=access.name)
    access.address("192.0.2.0/24")  # of documentation: nobody is there
    connect("roaming-elsewhere", username=access.name)
    assert broker.becomes(lambda: broker.semp("GET", "monitor", "/clients/roaming-in").is_success)
    own = broker.read("monitor", "/clients/roaming-in")["clientAddress"].rpartition(":")[0]
    access.address(f"{own}/32")
    with pytest.raises(PubSubPlusClientError, match="CLIENT_ACL_DENIED"):
        connect("roaming-out", username=access.name)
    assert service.is_connected


@feature("access: ACL publish")
def test_publishing_is_refused_but_for_exceptions_with_wildcards(broker: Broker, connect: Connect) -> None:
    access = Access(broker, "narrow", clientConnectDefaultAction="allow")
    access.publish("ok/*/end")
    queue = broker.queue("narrow", "ok/>", "elsewhere/>")
    publisher = persistent_publisher(connect("narrow", username=access.name))
    send(publisher, "ok/here/end", "allowed")
    for topic in ("ok/here", "ok/here/end/more", "elsewhere/x"):
        with pytest.raises(PubSubPlusClientError, match="PUBLISH_ACL_DENIED"):
            send(publisher, topic, "denied")
    assert broker.holds(queue, 1)


@feature("access: ACL publish")
def test_a_direct_message_that_is_denied_is_discarded_and_counted(broker: Broker, connect: Connect) -> None:
    access = Access(broker, "silent", **OPEN_ACL)
    access.publish("secret/>")
    source = direct_receiver(connect("listening"), "secret/>", "open/>")
    publisher = direct_publisher(connect("silent", username=access.name))
    publisher.publish(bytearray(b"denied"), Topic.of("secret/x"))
    publisher.publish(bytearray(b"allowed"), Topic.of("open/x"))
    assert text(source.receive_message(5000)) == "allowed"
    assert source.receive_message(broker.moment_ms) is None
    assert broker.becomes(lambda: broker.read("monitor", "/clients/silent")["publishTopicAclRxDiscardedMsgCount"] == 1)


@feature("access: ACL subscribe")
def test_subscribing_is_refused_beyond_the_exceptions(broker: Broker, connect: Connect) -> None:
    access = Access(broker, "curious", clientConnectDefaultAction="allow")
    access.subscribe("ok/*")
    service = connect("curious", username=access.name)
    direct_receiver(service, "ok/here")
    for topic in ("elsewhere", "ok/here/there"):
        with pytest.raises(PubSubPlusClientError, match="SUBSCRIPTION_ACL_DENIED"):
            direct_receiver(service, topic)


@feature("access: ACL subscribe")
@pytest.mark.parametrize(
    ("default", "exception", "subscription", "expected"),
    [
        ("disallow", "ok/*", "ok/h*", ACCEPTED),
        ("disallow", "ok/*", "ok/>", "SUBSCRIPTION_ACL_DENIED"),
        ("disallow", "ok/*", ">", "SUBSCRIPTION_ACL_DENIED"),
        ("allow", "secret/inner/>", "secret/inner", ACCEPTED),
        ("allow", "secret/inner/>", "secret/inner/x", "SUBSCRIPTION_ACL_DENIED"),
        ("allow", "secret/inner/>", "secret/>", "SUBSCRIPTION_ACL_DENIED"),
        ("allow", "secret/inner/>", "*/inner/*", "SUBSCRIPTION_ACL_DENIED"),
        ("allow", "secret/inner/>", ">", "SUBSCRIPTION_ACL_DENIED"),
    ],
)
def test_a_subscription_with_wildcards_is_held_against_exceptions_with_wildcards(
    broker: Broker, connect: Connect, observe: Observe, default: str, exception: str, subscription: str, expected: str
) -> None:
    access = Access(broker, "fenced", **OPEN_ACL | {"subscribeTopicDefaultAction": default})
    access.subscribe(exception)
    service = connect("fenced", username=access.name)
    seen = refusal(lambda: direct_receiver(service, subscription))
    observe(f"subscription {subscription} where the default is {default} but for {exception}", expected, seen)


@feature("access: ACL share names")
def test_share_names_have_exceptions_of_their_own(broker: Broker, connect: Connect) -> None:
    access = Access(broker, "sharing", **OPEN_ACL, subscribeShareNameDefaultAction="disallow")
    access.share("team-*")
    service = connect("sharing", username=access.name)

    def share(name: str) -> None:
        builder = service.create_direct_message_receiver_builder()
        builder.with_subscriptions([TopicSubscription.of("shared/>")]).build(ShareName.of(name)).start()

    share("team-a")
    with pytest.raises(PubSubPlusClientError, match="SUBSCRIPTION_ACL_DENIED"):
        share("others")


@feature("access: ACL subscribe")
def test_the_subscription_of_a_queue_is_held_against_the_client_that_adds_it(broker: Broker, connect: Connect) -> None:
    access = Access(broker, "attaching", clientConnectDefaultAction="allow")
    access.subscribe("ok/>")
    service = connect("attaching", username=access.name)
    queue = broker.unique("attached")

    def attach(topic: str) -> Any:
        builder = service.create_persistent_message_receiver_builder()
        builder.with_missing_resources_creation_strategy(MissingResourcesCreationStrategy.CREATE_ON_START)
        builder.with_subscriptions([TopicSubscription.of(topic)])
        source = builder.build(Queue.durable_exclusive_queue(queue))
        source.start()
        return source

    end(attach("ok/here"))
    with pytest.raises(PubSubPlusClientError, match="SUBSCRIPTION_ACL_DENIED"):
        attach("elsewhere/>")
    found = broker.read("config", f"/queues/{queue}/subscriptions")
    assert [one["subscriptionTopic"] for one in found] == ["ok/here"]


@feature("access: ACL revocation")
def test_a_revoked_permission_to_publish_reaches_a_connected_client(broker: Broker, connect: Connect) -> None:
    access = Access(broker, "talking", **OPEN_ACL)
    queue = broker.queue("talking", "talk/>")
    publisher = persistent_publisher(connect("talking", username=access.name))
    send(publisher, "talk/x", "before")
    access.publish("talk/>")
    with pytest.raises(PubSubPlusClientError, match="PUBLISH_ACL_DENIED"):
        send(publisher, "talk/x", "denied")
    access.remove("publishTopicExceptions", "smf,talk%2F%3E")
    send(publisher, "talk/x", "after")
    source = receiver(connect("talking-in"), queue)
    assert [text(one) for one in drain(source, 2)] == ["before", "after"]
    end(source)


@feature("access: ACL revocation")
@pytest.mark.parametrize("how", ["exception", "default action", "another profile"])
def test_a_revoked_permission_to_subscribe_reaches_a_connected_client(
    broker: Broker, connect: Connect, observe: Observe, how: str
) -> None:
    access = Access(broker, "listening", **OPEN_ACL)
    source = direct_receiver(connect("listening", username=access.name), "news/>")
    publisher = direct_publisher(connect("telling"))
    publisher.publish(bytearray(b"before"), Topic.of("news/x"))
    assert text(source.receive_message(5000)) == "before"
    if how == "exception":
        access.subscribe("*/x")
    elif how == "default action":
        access.set(subscribeTopicDefaultAction="disallow")
    else:
        narrower = Access(broker, "narrower", clientConnectDefaultAction="allow")
        broker.change(f"clientUsernames/{access.name}", aclProfileName=narrower.name)
    publisher.publish(bytearray(b"after"), Topic.of("news/x"))
    came = source.receive_message(broker.moment_ms)
    observe(f"a message on a subscription revoked by {how}", "does not come", _coming(came))
    left = [one["subscriptionTopic"] for one in broker.read("monitor", "/clients/listening/subscriptions")]
    observe(f"a subscription revoked by {how}", "is removed", "stays" if "news/>" in left else "is removed")
    if how == "default action":
        access.set(subscribeTopicDefaultAction="allow")
        publisher.publish(bytearray(b"again"), Topic.of("news/x"))
        came = source.receive_message(broker.moment_ms)
        observe("a message on a subscription that was revoked and is allowed again", "does not come", _coming(came))


def _coming(message: Any) -> str:
    return "does not come" if message is None else "comes"
