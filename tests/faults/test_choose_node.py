from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any, cast

import pytest

from crep.harness.brokers.contract import BrokerError, NotSupported
from crep.harness.deployment.contract import Deployment, DeploymentError, UnknownNode
from crep.harness.faults.nodes import by_count, choose
from crep.harness.scenario.plan import TimelineEvent


def deployment(*nodes: str, down: str = "") -> Deployment:
    """Nodes whose broker calls them by their last character; those called controller-… are no brokers."""
    return cast(
        Deployment,
        SimpleNamespace(
            nodes=nodes,
            target="some-target",
            roles=lambda node: frozenset({"controller" if node.startswith("controller") else "broker"}),
            node_pid=lambda node: None if node == down else 1,
            node_of=lambda identity: next(node for node in nodes if node.endswith(identity)),
        ),
    )


CLUSTER = ("controller-1", "kafka-2", "kafka-3", "kafka-4")
ADMIN = SimpleNamespace(
    leader=lambda _, channel: {"orders": "3"}[channel],
    followers=lambda _, channel: {"orders": ("4", "2")}[channel],
    controller=lambda: "1",
)


def meant(word: str | None, where: Deployment, *, seed: int = 1, index: int = 0, admin: Any = ADMIN) -> tuple[str, ...]:
    event = TimelineEvent(index=index, at_s=1.0, action="kill-broker", site="bus", node=word)
    return choose(event, where, admin, cast(Any, None), seed)


@pytest.mark.parametrize("word", [None, "leader-of orders", "follower-of orders", "controller", "random", "all"])
def test_the_only_node_is_meant_by_every_word_that_fits_it(word: str | None) -> None:
    assert meant(word, deployment("kafka-1")) == ("kafka-1",)


@pytest.mark.parametrize(
    ("word", "nodes"),
    [
        ("leader-of orders", ("kafka-3",)),
        ("follower-of orders", ("kafka-4",)),
        ("controller", ("controller-1",)),
        ("kafka-2", ("kafka-2",)),
        ("controller-1", ("controller-1",)),
        ("all", ("kafka-2", "kafka-3", "kafka-4")),
    ],
)
def test_in_a_cluster_a_role_is_who_the_broker_says_has_it(word: str, nodes: tuple[str, ...]) -> None:
    assert meant(word, deployment(*CLUSTER)) == nodes


def test_a_role_that_nobody_has_now_is_no_other_node() -> None:
    nobody = SimpleNamespace(followers=lambda *_: (), controller=lambda: None)
    for word in ("follower-of orders", "controller"):
        with pytest.raises(BrokerError, match="now"):
            meant(word, deployment(*CLUSTER), admin=nobody)


def test_an_unknown_node_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(UnknownNode, match="kafka-1"):
        meant("kafka-9", deployment("kafka-1"))


def test_an_address_has_no_node_to_fail() -> None:
    with pytest.raises(NotSupported, match="only an address"):
        meant(None, deployment())


def test_a_choice_among_several_nodes_is_refused_rather_than_guessed() -> None:
    with pytest.raises(NotSupported, match="give 'node'"):
        meant(None, deployment("a", "b"))


def test_the_seed_decides_at_random_and_decides_alike() -> None:
    three = deployment(*CLUSTER)
    drawn = [[meant("random", three, seed=seed, index=index) for index in range(20)] for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert {node for nodes in drawn[0] for node in nodes} == {"kafka-2", "kafka-3", "kafka-4"}


def test_a_node_that_is_down_is_not_chosen_at_random() -> None:
    one_down = deployment(*CLUSTER, down="kafka-3")
    drawn = {node for index in range(20) for node in meant("random", one_down, index=index)}
    assert drawn == {"kafka-2", "kafka-4"}
    assert meant("majority", one_down) == ("kafka-2", "kafka-4")


@pytest.mark.parametrize(("nodes", "minority", "majority"), [("abc", 1, 2), ("abcd", 1, 3), ("abcde", 2, 3)])
def test_a_minority_leaves_a_quorum_and_a_majority_leaves_none(nodes: str, minority: int, majority: int) -> None:
    dice = random.Random(1)
    assert len(by_count("minority", nodes, nodes, dice, "t")) == minority
    assert len(by_count("majority", nodes, nodes, dice, "t")) == majority
    assert by_count("all", nodes, nodes, dice, "t") == tuple(nodes)


def test_one_node_has_no_minority_and_none_that_runs_cannot_be_chosen() -> None:
    with pytest.raises(NotSupported, match="no minority"):
        meant("minority", deployment("kafka-1"))
    with pytest.raises(DeploymentError, match="no broker of some-target runs"):
        meant("random", deployment("kafka-1", down="kafka-1"))
