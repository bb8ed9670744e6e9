"""Connections: opening, losing and finding them again."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
from solace.messaging.config.solace_properties import transport_layer_properties as transport
from solace.messaging.errors.pubsubplus_client_error import PubSubPlusClientError
from solace.messaging.resources.topic import Topic

from tests.emulator.conformance.broker import Broker
from tests.emulator.conformance.features import SEMP, feature
from tests.emulator.conformance.relay import Relay
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


def client(broker: Broker, name: str) -> dict[str, Any] | None:
    """What the broker knows of a client, None when it is not connected."""
    response = broker.semp("GET", "monitor", f"/clients/{name}")
    if response.status_code != 200:
        return None
    data: dict[str, Any] = response.json()["data"]
    return data


@feature("connection: connect")
def test_a_client_is_there_until_it_disconnects(broker: Broker, connect: Connect) -> None:
    service = connect("coming-and-going")
    assert broker.becomes(lambda: client(broker, "coming-and-going") is not None)
    service.disconnect()
    assert broker.becomes(lambda: client(broker, "coming-and-going") is None)


@feature("connection: connect", client=SEMP)
def test_the_broker_tells_who_a_client_is(broker: Broker, connect: Connect) -> None:
    connect("known")
    assert broker.becomes(lambda: client(broker, "known") is not None)
    found = client(broker, "known")
    assert found is not None
    assert (found["clientUsername"], found["clientProfileName"]) == (broker.username, broker.username)


@feature("connection: connect")
def test_a_client_that_vanishes_without_a_word_is_forgotten(broker: Broker, connect: Connect, relay: Relay) -> None:
    connect("vanishing", host=relay.host, **{transport.RECONNECTION_ATTEMPTS: 0})
    assert broker.becomes(lambda: client(broker, "vanishing") is not None)
    relay.cut()
    assert broker.becomes(lambda: client(broker, "vanishing") is None)


@feature("connection: keep-alive")
def test_an_idle_client_stays_connected_by_its_keep_alives(broker: Broker, connect: Connect) -> None:
    keep_alive = {transport.KEEP_ALIVE_INTERVAL: 100, transport.KEEP_ALIVE_WITHOUT_RESPONSE_LIMIT: 3}
    service = connect("idle", **keep_alive | {transport.RECONNECTION_ATTEMPTS: 0})
    time.sleep(1.0)
    assert service.is_connected


@feature("connection: keep-alive")
def test_a_client_notices_a_broker_that_does_not_answer(connect: Connect, relay: Relay) -> None:
    keep_alive = {transport.KEEP_ALIVE_INTERVAL: 100, transport.KEEP_ALIVE_WITHOUT_RESPONSE_LIMIT: 3}
    service = connect("asking", host=relay.host, **keep_alive | {transport.RECONNECTION_ATTEMPTS: 0})
    relay.freeze()
    deadline = time.monotonic() + 10
    while service.is_connected and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not service.is_connected


@feature("connection: takeover")
def test_a_second_login_with_a_client_name(broker: Broker, connect: Connect, observe: Callable[..., None]) -> None:
    first = connect("twin", **{transport.RECONNECTION_ATTEMPTS: 0})
    second = connect("twin")
    broker.becomes(lambda: not first.is_connected)
    observe("a second login with a client name", "takes over", _who_stays(first, second))


def _who_stays(first: Any, second: Any) -> str:
    states = {(False, True): "takes over", (True, False): "is refused", (True, True): "both stay"}
    return states.get((first.is_connected, second.is_connected), "both go")


@feature("connection: reconnect and re-bind")
def test_after_a_lost_connection_subscriptions_are_there_again(broker: Broker, connect: Connect, relay: Relay) -> None:
    source = direct_receiver(connect("lost", host=relay.host), "after/>")
    publisher = direct_publisher(connect("sender"))
    relay.cut()
    assert broker.becomes(lambda: _arrives(publisher, source))


def _arrives(publisher: Any, source: Any) -> bool:
    publisher.publish(bytearray(b"x"), Topic.of("after/x"))
    return source.receive_message(200) is not None


@feature("connection: reconnect and re-bind")
def test_after_a_lost_connection_a_receiver_goes_on_and_has_what_was_unsettled_flagged_or_not_again(
    broker: Broker, connect: Connect, relay: Relay
) -> None:
    queue = broker.queue("rebind", "rebind/>")
    source = receiver(connect("rebinding", host=relay.host), queue)
    publisher = persistent_publisher(connect("sender"))
    for number in range(5):
        send(publisher, "rebind/x", str(number))
    first = drain(source, 3, acknowledge=False)
    relay.cut()
    for number in range(5, 8):
        send(publisher, "rebind/x", str(number))
    for message in first:
        source.ack(message)
    rest = drain(source, 5)
    came = [text(message) for message in [*first, *rest]]
    assert list(dict.fromkeys(came)) == [str(number) for number in range(8)]
    assert all(message.is_redelivered() for message in rest if text(message) in {"0", "1", "2"})
    assert broker.holds(queue, 0)
    end(source)


@feature("connection: reconnect and re-bind")
def test_after_a_lost_connection_a_publisher_goes_on_and_nothing_is_stored_twice(
    broker: Broker, connect: Connect, relay: Relay
) -> None:
    queue = broker.queue("resume", "resume/>")
    publisher = persistent_publisher(connect("resuming", host=relay.host))
    for number in range(60):
        publisher.publish(bytearray(str(number).encode()), Topic.of("resume/x"))
        if number in (20, 40):
            relay.cut()
    assert broker.holds(queue, 60)
    source = receiver(connect("reading"), queue)
    assert [text(message) for message in drain(source, 60)] == [str(number) for number in range(60)]
    end(source)


@feature("connection: host lists")
def test_the_next_host_of_a_list_is_tried_when_one_does_not_answer(broker: Broker, connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = f"tcp://127.0.0.1:{closed.getsockname()[1]}"
    assert connect("choosing", host=f"{nobody},{broker.address.smf}").is_connected


@feature("connection: host lists")
def test_a_client_goes_to_the_next_host_when_the_one_it_is_on_is_lost(
    broker: Broker, connect: Connect, relay: Relay
) -> None:
    source = direct_receiver(connect("moving", host=f"{relay.host},{broker.address.smf}"), "after/>")
    publisher = direct_publisher(connect("sender"))
    relay.close()
    assert broker.becomes(lambda: _arrives(publisher, source))


@feature("connection: refusals")
def test_where_nobody_listens_the_service_is_unreachable(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = f"tcp://127.0.0.1:{closed.getsockname()[1]}"
    with pytest.raises(PubSubPlusClientError, match="COMMUNICATION_ERROR"):
        connect("lost", host=nobody, **{transport.CONNECTION_RETRIES: 0})


@feature("connection: refusals")
def test_an_unknown_message_vpn_is_refused(connect: Connect) -> None:
    with pytest.raises(PubSubPlusClientError, match="MSG_VPN_NOT_ALLOWED"):
        connect("astray", vpn="no-such-message-vpn")


@feature("connection: refusals")
def test_a_message_vpn_that_is_shut_is_unavailable(broker: Broker, connect: Connect) -> None:
    broker.change("", enabled=False)
    try:
        with pytest.raises(PubSubPlusClientError, match="MSG_VPN_UNAVAILABLE"):
            connect("early")
    finally:
        broker.change("", enabled=True)
    assert connect("later").is_connected


@feature("connection: reconnect and re-bind", client=SEMP)
def test_a_client_that_an_administrator_disconnects_comes_back(broker: Broker, connect: Connect) -> None:
    source = direct_receiver(connect("thrown-out"), "after/>")
    assert broker.becomes(lambda: client(broker, "thrown-out") is not None)
    before = client(broker, "thrown-out")
    assert before is not None
    broker.expect("PUT", f"action/msgVpns/{broker.vpn}/clients/thrown-out/disconnect", {})
    assert broker.becomes(lambda: (client(broker, "thrown-out") or before)["clientId"] != before["clientId"])
    publisher = direct_publisher(connect("sender"))
    assert broker.becomes(lambda: _arrives(publisher, source))
