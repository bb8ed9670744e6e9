from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from crep.harness.brokers.contract import NotSupported
from crep.harness.deployment.contract import Deployment, UnknownNode
from crep.harness.faults.contract import choose_node
from crep.harness.scenario.plan import TimelineEvent


def deployment(*nodes: str) -> Deployment:
    return cast(Deployment, SimpleNamespace(nodes=nodes, target="some-target"))


def event(node: str | None = None, leader_of: str | None = None) -> TimelineEvent:
    return TimelineEvent(index=0, at_s=1.0, action="kill-broker", site="bus", node=node, leader_of=leader_of)


def test_the_only_node_is_meant_where_none_is_named_and_leads_every_channel() -> None:
    assert choose_node(event(), deployment("kafka-1")) == "kafka-1"
    assert choose_node(event(leader_of="orders"), deployment("kafka-1")) == "kafka-1"
    assert choose_node(event(node="kafka-1"), deployment("kafka-1")) == "kafka-1"


def test_an_unknown_node_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(UnknownNode, match="kafka-1"):
        choose_node(event(node="kafka-9"), deployment("kafka-1"))


def test_an_address_has_no_node_to_fail() -> None:
    with pytest.raises(NotSupported, match="only an address"):
        choose_node(event(), deployment())


def test_a_choice_among_several_nodes_is_refused_rather_than_guessed() -> None:
    with pytest.raises(NotSupported, match="not available yet"):
        choose_node(event(), deployment("a", "b"))


def test_a_reader_is_paused_on_any_target_by_its_name() -> None:
    pause = TimelineEvent(0, 1.0, "pause-reader", "bus", channel="orders", readers=("screen-1", "screen-2"))
    assert choose_node(pause, deployment()) == "orders.screen-1 and orders.screen-2"
