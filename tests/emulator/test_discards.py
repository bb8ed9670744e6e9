"""Direct messages that a consumer is too slow for: counted, and told to it with the next message that reaches it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from solace.messaging.config.solace_properties import transport_layer_properties as transport
from solace.messaging.resources.topic import Topic

from tests.emulator.conformance.relay import Relay
from tests.emulator.messaging import direct_publisher, direct_receiver, drain, eventually
from tests.emulator.process import Emulator

pytestmark = pytest.mark.emulator

SIZE = 1_000_000
COUNT = 80  # of 1 MB: about twice what a client's egress queue takes
PATIENT = {transport.KEEP_ALIVE_INTERVAL: 60_000}


@pytest.fixture
def relay(emulator: Emulator) -> Iterator[Relay]:
    """A relay in front of the emulator."""
    with closing(Relay(emulator.ready["smf"])) as between:
        yield between


def indicated(messages: list[Any]) -> list[bool]:
    """For each message, whether the broker says that it has discarded others before it."""
    return [one.get_message_discard_notification().has_broker_discard_indication() for one in messages]


def test_the_next_message_after_a_discard_says_so_and_the_discards_are_counted(
    emulator: Emulator, connect: Callable[..., Any], relay: Relay
) -> None:
    service = connect(emulator, "behind", host=relay.host, **PATIENT)
    source = direct_receiver(service, "flood/>")
    publisher = direct_publisher(connect(emulator, "flooding"))
    publisher.publish(bytearray(b"before"), Topic.of("flood/x"))
    assert indicated(drain(source, 1, acknowledge=False)) == [False]
    relay.freeze()
    for _ in range(COUNT):
        publisher.publish(bytearray(SIZE), Topic.of("flood/x"))

    def client() -> dict[str, Any]:
        found: dict[str, Any] = emulator.semp("GET", "monitor/msgVpns/default/clients/behind").json()["data"]
        return found

    assert eventually(lambda: client()["dataTxMsgCount"] + client()["txDiscardedMsgCount"] == COUNT + 1)
    kept = client()["dataTxMsgCount"] - 1
    assert 0 < kept < COUNT
    relay.thaw()
    assert indicated(drain(source, kept, acknowledge=False, seconds=20)) == [False] * kept
    for payload in (b"the next", b"the one after"):
        publisher.publish(bytearray(payload), Topic.of("flood/x"))
    assert indicated(drain(source, 2, acknowledge=False)) == [True, False]
    assert client()["txDiscardedMsgCount"] == COUNT - kept
    assert emulator.semp("GET", "monitor/msgVpns/default/clients/flooding").json()["data"]["txDiscardedMsgCount"] == 0
