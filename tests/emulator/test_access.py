"""ACL profiles over SEMP, as official clients meet them: refused where and with the texts that they know."""

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

from crep.solace_emulator.core.access import CONNECT, PUBLISH, SHARE_NAME, SUBSCRIBE, AclProfile
from crep.solace_emulator.core.settings import AclProfileSettings
from tests.emulator.messaging import (
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
VPN = "config/msgVpns/default"
OPEN = {
    "clientConnectDefaultAction": "allow",
    "publishTopicDefaultAction": "allow",
    "subscribeTopicDefaultAction": "allow",
}


class Access:
    """A client username with an ACL profile of the same name."""

    def __init__(self, emulator: Emulator, name: str, **actions: str) -> None:
        self._emulator = emulator
        self.name = name
        self.path = f"{VPN}/aclProfiles/{name}"
        self._done("POST", f"{VPN}/aclProfiles", {"aclProfileName": name} | actions)
        user = {"clientUsername": name, "enabled": True, "aclProfileName": name}
        self._done("POST", f"{VPN}/clientUsernames", user)

    def set(self, **actions: str) -> None:
        """Change default actions."""
        self._done("PATCH", self.path, dict(actions))

    def publish(self, topic: str) -> None:
        """Add a publish exception."""
        body = {"publishTopicExceptionSyntax": "smf", "publishTopicException": topic}
        self._done("POST", f"{self.path}/publishTopicExceptions", body)

    def subscribe(self, topic: str) -> None:
        """Add a subscribe exception."""
        body = {"subscribeTopicExceptionSyntax": "smf", "subscribeTopicException": topic}
        self._done("POST", f"{self.path}/subscribeTopicExceptions", body)

    def share(self, name: str) -> None:
        """Add a share name exception."""
        body = {"subscribeShareNameExceptionSyntax": "smf", "subscribeShareNameException": name}
        self._done("POST", f"{self.path}/subscribeShareNameExceptions", body)

    def address(self, network: str) -> None:
        """Add a connect exception."""
        body = {"clientConnectExceptionAddress": network}
        self._done("POST", f"{self.path}/clientConnectExceptions", body)

    def remove(self, collection: str, identifier: str) -> None:
        """Remove an exception."""
        self._done("DELETE", f"{self.path}/{collection}/{identifier}")

    def _done(self, method: str, path: str, body: dict[str, Any] | None = None) -> None:
        answer = self._emulator.semp(method, path, body)
        assert answer.status_code == 200, answer.text


def test_a_profile_as_created_lets_nobody_in(emulator: Emulator, connect: Connect) -> None:
    closed = Access(emulator, "closed")
    with pytest.raises(PubSubPlusClientError, match="Forbidden"):
        connect(emulator, "closed", username=closed.name)
    closed.address("127.0.0.0/8")
    assert connect(emulator, "closed", username=closed.name).is_connected


def test_an_address_can_be_kept_out_and_clients_that_are_in_stay(emulator: Emulator, connect: Connect) -> None:
    access = Access(emulator, "roaming", **OPEN)
    service = connect(emulator, "roaming-in", username=access.name)
    access.address("10.0.0.0/8")
    connect(emulator, "roaming-elsewhere", username=access.name)
    access.address("127.0.0.1/32")
    with pytest.raises(PubSubPlusClientError, match="Forbidden"):
        connect(emulator, "roaming-out", username=access.name)
    assert service.is_connected


def test_publishing_is_refused_but_for_exceptions_with_wildcards(emulator: Emulator, connect: Connect) -> None:
    access = Access(emulator, "narrow", clientConnectDefaultAction="allow")
    access.publish("ok/*/end")
    emulator.queue("narrow", "ok/>", "elsewhere/>")
    publisher = persistent_publisher(connect(emulator, "narrow", username=access.name))
    send(publisher, "ok/here/end", "allowed")
    for topic in ("ok/here", "ok/here/end/more", "elsewhere/x"):
        with pytest.raises(PubSubPlusClientError, match="Publish ACL Denied"):
            send(publisher, topic, "denied")
    assert emulator.depth("narrow") == 1


def test_a_direct_message_that_is_denied_is_discarded_and_counted(emulator: Emulator, connect: Connect) -> None:
    access = Access(emulator, "silent", **OPEN)
    access.publish("secret/>")
    source = direct_receiver(connect(emulator, "listening"), "secret/>", "open/>")
    publisher = direct_publisher(connect(emulator, "silent", username=access.name))
    publisher.publish(bytearray(b"denied"), Topic.of("secret/x"))
    publisher.publish(bytearray(b"allowed"), Topic.of("open/x"))
    assert text(source.receive_message(5000)) == "allowed"
    assert source.receive_message(100) is None
    client = emulator.semp("GET", "monitor/msgVpns/default/clients/silent").json()["data"]
    assert client["publishTopicAclRxDiscardedMsgCount"] == 1


def test_subscribing_is_refused_beyond_the_exceptions(emulator: Emulator, connect: Connect) -> None:
    access = Access(emulator, "curious", clientConnectDefaultAction="allow")
    access.subscribe("ok/*")
    service = connect(emulator, "curious", username=access.name)
    direct_receiver(service, "ok/here")
    direct_receiver(service, "ok/h*")
    for topic in ("elsewhere", "ok/>", ">", "ok/here/there"):
        with pytest.raises(PubSubPlusClientError, match="Subscription ACL Denied"):
            direct_receiver(service, topic)


def test_a_wildcard_does_not_reach_into_what_is_denied(emulator: Emulator, connect: Connect) -> None:
    access = Access(emulator, "fenced", **OPEN)
    access.subscribe("secret/inner/>")
    service = connect(emulator, "fenced", username=access.name)
    direct_receiver(service, "secret/inner")
    for topic in ("secret/inner/x", "secret/>", "*/inner/*", ">"):
        with pytest.raises(PubSubPlusClientError, match="Subscription ACL Denied"):
            direct_receiver(service, topic)


def test_share_names_have_exceptions_of_their_own(emulator: Emulator, connect: Connect) -> None:
    access = Access(emulator, "sharing", **OPEN, subscribeShareNameDefaultAction="disallow")
    access.share("team-*")
    service = connect(emulator, "sharing", username=access.name)

    def share(name: str) -> None:
        builder = service.create_direct_message_receiver_builder()
        builder.with_subscriptions([TopicSubscription.of("shared/>")]).build(ShareName.of(name)).start()

    share("team-a")
    with pytest.raises(PubSubPlusClientError, match="Subscription ACL Denied"):
        share("others")


def test_the_subscription_of_a_queue_is_held_against_the_client_that_adds_it(
    emulator: Emulator, connect: Connect
) -> None:
    access = Access(emulator, "attaching", clientConnectDefaultAction="allow")
    access.subscribe("ok/>")
    service = connect(emulator, "attaching", username=access.name)

    def attach(topic: str) -> Any:
        builder = service.create_persistent_message_receiver_builder()
        builder.with_missing_resources_creation_strategy(MissingResourcesCreationStrategy.CREATE_ON_START)
        builder.with_subscriptions([TopicSubscription.of(topic)])
        source = builder.build(Queue.durable_exclusive_queue("attached"))
        source.start()
        return source

    end(attach("ok/here"))
    with pytest.raises(PubSubPlusClientError, match="Subscription ACL Denied"):
        attach("elsewhere/>")
    found = emulator.semp("GET", f"{VPN}/queues/attached/subscriptions").json()["data"]
    assert [one["subscriptionTopic"] for one in found] == ["ok/here"]


def test_a_revoked_permission_to_publish_reaches_a_connected_client(emulator: Emulator, connect: Connect) -> None:
    access = Access(emulator, "talking", **OPEN)
    emulator.queue("talking", "talk/>")
    publisher = persistent_publisher(connect(emulator, "talking", username=access.name))
    send(publisher, "talk/x", "before")
    access.publish("talk/>")
    with pytest.raises(PubSubPlusClientError, match="Publish ACL Denied"):
        send(publisher, "talk/x", "denied")
    access.remove("publishTopicExceptions", "smf,talk%2F%3E")
    send(publisher, "talk/x", "after")
    source = receiver(connect(emulator, "talking-in"), "talking")
    assert [text(one) for one in drain(source, 2)] == ["before", "after"]
    end(source)


@pytest.mark.parametrize("how", ["exception", "default action", "another profile"])
def test_a_revoked_permission_to_subscribe_ends_the_subscription_of_a_connected_client(
    emulator: Emulator, connect: Connect, how: str
) -> None:
    name = how.replace(" ", "-")
    access = Access(emulator, name, **OPEN)
    source = direct_receiver(connect(emulator, name, username=name), f"{name}/>")
    publisher = direct_publisher(connect(emulator, f"{name}-out"))
    publisher.publish(bytearray(b"before"), Topic.of(f"{name}/x"))
    assert text(source.receive_message(5000)) == "before"
    if how == "exception":
        access.subscribe("*/x")
    elif how == "default action":
        access.set(subscribeTopicDefaultAction="disallow")
    else:
        Access(emulator, "narrower", clientConnectDefaultAction="allow")
        emulator.semp("PATCH", f"{VPN}/clientUsernames/{name}", {"aclProfileName": "narrower"})
    publisher.publish(bytearray(b"after"), Topic.of(f"{name}/x"))
    assert source.receive_message(300) is None
    subscriptions = emulator.semp("GET", f"monitor/msgVpns/default/clients/{name}/subscriptions").json()["data"]
    assert [one["subscriptionTopic"] for one in subscriptions if not one["subscriptionTopic"].startswith("#")] == []
    assert eventually(lambda: f"subscription '{name}/>' is over: 403 Subscription ACL Denied" in emulator.log)


@pytest.mark.parametrize(
    ("collection", "body", "status"),
    [
        ("clientConnectExceptions", {"clientConnectExceptionAddress": "10.0.0.1"}, "INVALID_PARAMETER"),
        ("publishTopicExceptions", {"publishTopicException": "a//b"}, "INVALID_PARAMETER"),
        ("subscribeTopicExceptions", {"subscribeTopicException": "a/$client-username"}, "NOT_SUPPORTED"),
    ],
)
def test_an_exception_that_would_never_apply_is_refused(
    emulator: Emulator, collection: str, body: dict[str, str], status: str
) -> None:
    emulator.semp("POST", f"{VPN}/aclProfiles", {"aclProfileName": "strict"})
    syntax = {f"{name}Syntax": "smf" for name in body if collection != "clientConnectExceptions"}
    answer = emulator.semp("POST", f"{VPN}/aclProfiles/strict/{collection}", body | syntax)
    assert answer.json()["meta"]["error"]["status"] == status


def test_a_removed_exception_of_any_kind_applies_no_longer() -> None:
    profile = AclProfile(AclProfileSettings(*["allow"] * 4))
    allowed = {
        CONNECT: ("10.0.0.0/8", lambda: profile.may_connect("10.1.1.1")),
        PUBLISH: ("a/*", lambda: profile.may_publish("a/b")),
        SUBSCRIBE: ("a/*", lambda: profile.may_subscribe("a/b")),
        SHARE_NAME: ("a*", lambda: profile.may_share("ab")),
    }
    for kind, (exception, may) in allowed.items():
        assert may()
        profile.add(kind, exception)
        assert not may()
        profile.remove(kind, exception)
        assert may()
