"""Who gets in, and what client profiles allow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from solace.messaging.config.missing_resources_creation_configuration import MissingResourcesCreationStrategy
from solace.messaging.config.solace_properties import transport_layer_properties as transport
from solace.messaging.errors.pubsubplus_client_error import AuthenticationError, PubSubPlusClientError
from solace.messaging.resources.queue import Queue
from solace.messaging.resources.share_name import ShareName
from solace.messaging.resources.topic_subscription import TopicSubscription

from tests.emulator.conformance.broker import Broker
from tests.emulator.conformance.features import SEMP, feature
from tests.emulator.conformance.refusals import ACCEPTED, refusal
from tests.emulator.messaging import persistent_publisher, receiver, send

pytestmark = pytest.mark.emulator

Connect = Callable[..., Any]
Observe = Callable[..., None]


@pytest.fixture
def own_vpn(broker: Broker) -> Broker:
    """The message VPN, when it is the test's own: its authentication is changed."""
    if broker.address.vpn is not None:
        pytest.skip("changes the authentication of a message VPN, and --vpn is given")
    return broker


@feature("access: basic none")
def test_without_authentication_any_password_opens(own_vpn: Broker, connect: Connect) -> None:
    assert connect("anybody", password="whatever it is").is_connected


@feature("access: basic none")
def test_without_authentication_an_unknown_name_counts_as_default(
    own_vpn: Broker, connect: Connect, observe: Observe
) -> None:
    own_vpn.change("clientUsernames/default", enabled=True)
    seen = refusal(lambda: connect("unknown", username="nobody-knows-me"))
    observe("authentication none: a name that is no client username, default enabled", ACCEPTED, seen)


@feature("access: basic internal")
def test_a_wrong_password_is_an_authentication_error(own_vpn: Broker, connect: Connect) -> None:
    own_vpn.change("", authenticationBasicType="internal")
    with pytest.raises(AuthenticationError):
        connect("intruder", password="wrong")
    with pytest.raises(AuthenticationError):
        connect("stranger", username="nobody-knows-me")
    assert connect("welcome").is_connected


@feature("access: basic internal")
def test_where_basic_authentication_is_shut_a_password_is_refused(own_vpn: Broker, connect: Connect) -> None:
    own_vpn.change("", authenticationBasicEnabled=False)
    with pytest.raises(PubSubPlusClientError, match="BASIC_AUTHENTICATION_IS_SHUTDOWN"):
        connect("early")


@feature("access: basic internal", client=SEMP)
def test_a_changed_password_counts_at_the_next_login(own_vpn: Broker, connect: Connect) -> None:
    own_vpn.change("", authenticationBasicType="internal")
    service = connect("before")
    own_vpn.change(f"clientUsernames/{own_vpn.username}", password="another")
    with pytest.raises(AuthenticationError):
        connect("after")
    assert connect("after", password="another").is_connected
    assert service.is_connected


@feature("access: client username")
def test_a_user_that_is_disabled_cannot_log_in_and_is_disconnected(broker: Broker, connect: Connect) -> None:
    guest = broker.user("guest")
    service = connect("inside", username=guest, **{transport.RECONNECTION_ATTEMPTS: 0})
    broker.change(f"clientUsernames/{guest}", enabled=False)
    assert broker.becomes(lambda: not service.is_connected)
    with pytest.raises(PubSubPlusClientError, match="CLIENT_USERNAME_IS_SHUTDOWN"):
        connect("outside", username=guest)


@feature("access: client username", client=SEMP)
def test_what_a_new_message_vpn_holds(own_vpn: Broker, observe: Observe) -> None:
    user = own_vpn.read("config", "/clientUsernames/default")
    observe("a new message VPN's client username default is enabled", False, user["enabled"])
    acl = own_vpn.read("config", "/aclProfiles/default")
    actions = {acl[f"{what}DefaultAction"] for what in ("clientConnect", "publishTopic", "subscribeTopic")}
    observe("a new message VPN's ACL profile default", "allow", ", ".join(sorted(actions)))
    profile = own_vpn.read("config", "/clientProfiles/default")
    may = [profile[f"allowGuaranteed{what}Enabled"] for what in ("MsgSend", "MsgReceive", "EndpointCreate")]
    observe("a new message VPN's client profile default: send, receive, create", [False] * 3, may)


@feature("access: client profile")
def test_guaranteed_messages_are_sent_only_with_permission(broker: Broker, connect: Connect) -> None:
    broker.queue("sent", "sent/>")
    guest = broker.user("guest", profile={"allowGuaranteedMsgSendEnabled": False})
    assert refusal(lambda: send(persistent_publisher(connect("mute", username=guest)), "sent/x", "x")) != ACCEPTED


@feature("access: client profile")
def test_guaranteed_messages_are_received_only_with_permission(broker: Broker, connect: Connect) -> None:
    queue = broker.queue("received")
    guest = broker.user("guest", profile={"allowGuaranteedMsgReceiveEnabled": False})
    assert refusal(lambda: receiver(connect("deaf", username=guest), queue)) != ACCEPTED


@feature("access: client profile")
def test_queues_are_made_only_with_permission(broker: Broker, connect: Connect) -> None:
    guest = broker.user("guest", profile={"allowGuaranteedEndpointCreateEnabled": False})
    service = connect("idle-hands", username=guest)
    builder = service.create_persistent_message_receiver_builder()
    builder.with_missing_resources_creation_strategy(MissingResourcesCreationStrategy.CREATE_ON_START)
    for endpoint in (
        Queue.durable_exclusive_queue(broker.unique("unmade")),
        Queue.non_durable_exclusive_queue(broker.unique("fleeting")),
    ):
        assert refusal(builder.build(endpoint).start) != ACCEPTED


@feature("access: client profile")
def test_shared_subscriptions_are_made_only_with_permission(broker: Broker, connect: Connect) -> None:
    guest = broker.user("guest", profile={"allowSharedSubscriptionsEnabled": False})
    builder = connect("alone", username=guest).create_direct_message_receiver_builder()
    source = builder.with_subscriptions([TopicSubscription.of("shared/>")]).build(ShareName.of("group"))
    assert refusal(source.start) == "SHARED_SUBSCRIPTIONS_NOT_ALLOWED"


@feature("access: client profile")
def test_connections_for_each_username_are_limited(broker: Broker, connect: Connect) -> None:
    guest = broker.user("guest", profile={"maxConnectionCountPerClientUsername": 1})
    first = connect("first", username=guest)
    with pytest.raises(PubSubPlusClientError, match="TOO_MANY_CLIENTS"):
        connect("second", username=guest)
    first.disconnect()
    assert broker.becomes(lambda: refusal(lambda: connect("third", username=guest)) == ACCEPTED)
