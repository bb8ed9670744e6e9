"""ACL profiles: what the emulator alone can show. What clients meet is in the conformance suite."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from crep.solace_emulator.core.access import CONNECT, PUBLISH, SHARE_NAME, SUBSCRIBE, AclProfile
from crep.solace_emulator.core.settings import AclProfileSettings
from tests.emulator.messaging import direct_receiver, eventually
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
