"""Two emulators on one data directory: one serves, the other takes over, and clients find it by themselves."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crep.harness.brokers.contract import (
    BrokerError,
    ChannelSpec,
    Durability,
    Message,
    Outcome,
    Provisioned,
    ReaderSpec,
)
from crep.harness.brokers.mapping import load_mapping
from crep.harness.brokers.solace import SolaceAdapter
from crep.harness.brokers.solace.admin import SolaceAdmin
from crep.harness.config.targets import Target
from crep.harness.deployment.local import LocalDeployment
from crep.harness.deployment.solace import EmulatorPairProduct

pytestmark = pytest.mark.emulator

ORDERS = ChannelSpec("orders", ("a/b",), 10, (ReaderSpec("all", "group", 1, "at-least-once"),), Durability(1, "disk"))


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[LocalDeployment]:
    target = Target(name="pair", system="solace", source="embedded", topology="pair")
    deployment = LocalDeployment(target, EmulatorPairProduct(), tmp_path)
    deployment.start(lambda _line: None)
    yield deployment
    deployment.stop()


@pytest.fixture
def admin(pair: LocalDeployment) -> Iterator[SolaceAdmin]:
    administrator = SolaceAdmin(pair.endpoint())
    yield administrator
    administrator.close()


def eventually(what: Callable[[], bool], within_s: float = 30.0) -> None:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline and not what():
        time.sleep(0.05)
    assert what()


def leads(pair: LocalDeployment, admin: SolaceAdmin, made: Provisioned) -> str | None:
    """The active node; None in the moment when there is none."""
    try:
        return pair.node_of(admin.leader(made, "orders"))
    except BrokerError:
        return None


def test_when_the_active_node_is_killed_the_other_serves_what_was_acknowledged_and_the_killed_one_stands_by(
    pair: LocalDeployment, admin: SolaceAdmin
) -> None:
    made = admin.provision("pair1", [ORDERS], load_mapping("solace/queue-per-reader"))
    messages = SolaceAdapter().messages(pair.endpoint(), made, ORDERS.readers)
    try:
        assert leads(pair, admin, made) == "solace-1"
        assert pair.node_of(admin.followers(made, "orders")[0]) == "solace-2"
        assert messages.publish("orders", Message("a/b", b"before")).outcome is Outcome.ACKNOWLEDGED

        pair.kill_node("solace-1")
        eventually(lambda: leads(pair, admin, made) == "solace-2")
        assert not pair.probe_node("solace-1")
        assert admin.observe(made).readers["orders.all"].backlog == 1

        assert messages.publish("orders", Message("a/b", b"after"), 30).outcome is Outcome.ACKNOWLEDGED
        received = []
        for _ in range(2):
            message = messages.receive("orders", "all", 30)
            assert message is not None
            received.append(message.payload)
            messages.settle(message, "accept")
        assert received == [b"before", b"after"]

        pair.start_node("solace-1")
        eventually(lambda: pair.probe_node("solace-1"))
        assert leads(pair, admin, made) == "solace-2", "who comes back stands by"
    finally:
        messages.close()
    admin.remove(made)


def test_a_node_that_stands_by_and_is_frozen_does_not_answer_its_probe(pair: LocalDeployment) -> None:
    assert pair.probe_node("solace-2")
    pair.pause_node("solace-2")
    assert not pair.probe_node("solace-2")
    pair.resume_node("solace-2")
    eventually(lambda: pair.probe_node("solace-2"))


def test_a_stopped_active_node_hands_over(pair: LocalDeployment, admin: SolaceAdmin) -> None:
    nothing = Provisioned("r", "m", {}, {})
    pair.stop_node("solace-1", 10)
    eventually(lambda: leads(pair, admin, nothing) == "solace-2")
    assert "a stand-in for a redundancy pair" in str(pair.describe()["topology"])
