"""ACL profiles: what the emulator alone can show. What clients meet is in the conformance suite."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from solace.messaging.errors.pubsubplus_client_error import PubSubPlusClientError
from solace.messaging.resources.topic import Topic

from crep.solace_emulator.core.access import CONNECT, PUBLISH, SHARE_NAME, SUBSCRIBE, AclProfile
from crep.solace_emulator.core.settings import AclProfileSettings
from tests.emulator.messaging import direct_publisher, direct_receiver, drain, eventually, text
from tests.emulator.process import Emulator

pytestmark = pytest.mark.emulator

VPN = "config/msgVpns/default"


def test_a_subscription_that_a_rule_ends_is_logged_with_the_reason(
    emulator: Emulator, connect: Callable[..., Any]
) -> None:
    direct_receiver(connect(emulator, "listening"), "news/>")
    try:
        emulator.semp("PATCH", f"{VPN}/aclProfiles/default", {"subscribeTopicDefaultAction": "disallow"})
        over = "subscription 'news/>' is over: 403 Subscription ACL Denied"
        assert eventually(lambda: over in emulator.log)
    finally:
        emulator.semp("PATCH", f"{VPN}/aclProfiles/default", {"subscribeTopicDefaultAction": "allow"})


@pytest.mark.parametrize(
    ("collection", "body", "status"),
    [
        ("clientConnectExceptions", {"clientConnectExceptionAddress": "10.0.0.1"}, "INVALID_PARAMETER"),
        ("publishTopicExceptions", {"publishTopicException": "a//b"}, "INVALID_PARAMETER"),
        ("subscribeTopicExceptions", {"subscribeTopicException": "a/$client-id"}, "NOT_SUPPORTED"),
        ("publishTopicExceptions", {"publishTopicException": "a/$client-username-hash"}, "NOT_SUPPORTED"),
        ("subscribeShareNameExceptions", {"subscribeShareNameException": "$client-username"}, "NOT_SUPPORTED"),
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
        PUBLISH: ("a/*", lambda: profile.may_publish("a/b", "u")),
        SUBSCRIBE: ("a/*", lambda: profile.may_subscribe("a/b", "u")),
        SHARE_NAME: ("a*", lambda: profile.may_share("ab")),
    }
    for kind, (exception, may) in allowed.items():
        assert may()
        profile.add(kind, exception)
        assert not may()
        profile.remove(kind, exception)
        assert may()


def variable(default: str) -> AclProfile:
    """A profile with an exception of each kind for the client's own name."""
    profile = AclProfile(AclProfileSettings("allow", default, default, "allow"))
    profile.add(PUBLISH, "to/*/$client-username")
    profile.add(SUBSCRIBE, "inbox/$client-username/>")
    return profile


def test_an_exception_with_the_username_is_each_clients_own() -> None:
    profile = variable("disallow")
    assert profile.may_publish("to/x/alice", "alice")
    assert not profile.may_publish("to/x/bob", "alice")
    assert profile.may_subscribe("inbox/alice/news", "alice")
    assert not profile.may_subscribe("inbox/bob/news", "alice")
    assert not profile.may_subscribe("inbox/*/news", "alice")
    denying = variable("allow")
    assert not denying.may_publish("to/x/alice", "alice")
    assert denying.may_publish("to/x/bob", "alice")
    assert not denying.may_subscribe("inbox/*/news", "alice")
    assert denying.may_subscribe("inbox/bob/news", "alice")


@pytest.mark.parametrize("username", ["*", ">", "a*", "alice/>", "x/alice", ""])
def test_no_username_widens_what_its_user_may_do(username: str) -> None:
    allowing, denying = variable("disallow"), variable("allow")
    for topic in ("to/x/alice", "to/x/a*", "to/x/*", "to/x/>", "to/x/x/alice", "to/x/"):
        assert not allowing.may_publish(topic, username)
    for subscription in ("inbox/alice/x", "inbox/*/x", "inbox/>", "inbox/a*/x", f"inbox/{username}/x"):
        assert not allowing.may_subscribe(subscription, username)
    assert not denying.may_publish("to/x/alice", username)
    assert not denying.may_subscribe("inbox/alice/x", username)


def test_a_change_of_the_profile_reaches_a_name_that_was_looked_up_before() -> None:
    profile = variable("disallow")
    assert profile.may_publish("to/x/alice", "alice")
    profile.remove(PUBLISH, "to/*/$client-username")
    assert not profile.may_publish("to/x/alice", "alice")
    profile.add(PUBLISH, "other/$client-username")
    assert profile.may_publish("other/alice", "alice")
    profile.change(AclProfileSettings("allow", "allow", "allow", "allow"))
    assert not profile.may_publish("other/alice", "alice")


def test_clients_publish_and_subscribe_under_their_own_names_only(
    emulator: Emulator, connect: Callable[..., Any]
) -> None:
    acl = {"aclProfileName": "own", "clientConnectDefaultAction": "allow"}
    emulator.semp("POST", f"{VPN}/aclProfiles", acl)
    for kind, topic in (("publish", "own/$client-username"), ("subscribe", "own/$client-username")):
        body = {f"{kind}TopicException": topic, f"{kind}TopicExceptionSyntax": "smf"}
        assert emulator.semp("POST", f"{VPN}/aclProfiles/own/{kind}TopicExceptions", body).status_code == 200
    for name in ("alice", "bob"):
        user = {"clientUsername": name, "aclProfileName": "own", "enabled": True}
        assert emulator.semp("POST", f"{VPN}/clientUsernames", user).status_code == 200
    alice, bob = (connect(emulator, f"own-{name}", username=name) for name in ("alice", "bob"))
    source = direct_receiver(alice, "own/alice")
    with pytest.raises(PubSubPlusClientError, match="ACL"):
        direct_receiver(bob, "own/alice")
    direct_publisher(bob).publish(bytearray(b"forged"), Topic.of("own/alice"))
    direct_publisher(alice).publish(bytearray(b"mine"), Topic.of("own/alice"))
    assert [text(message) for message in drain(source, 1, acknowledge=False)] == ["mine"]
    clients = emulator.semp("GET", "monitor/msgVpns/default/clients/own-bob").json()["data"]
    assert clients["publishTopicAclRxDiscardedMsgCount"] == 1
