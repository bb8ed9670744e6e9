from __future__ import annotations

import random
from types import SimpleNamespace
from typing import cast

import pytest

from crep.harness.brokers.contract import NotSupported
from crep.harness.deployment.contract import Deployment, UnknownNode
from crep.harness.faults.nodes import by_count, choose
from crep.harness.scenario.plan import TimelineEvent


def deployment(*nodes: str) -> Deployment:
    return cast(Deployment, SimpleNamespace(nodes=nodes, target="some-target"))


def event(node: str | None = None, index: int = 0) -> TimelineEvent:
    return TimelineEvent(index=index, at_s=1.0, action="kill-broker", site="bus", node=node)


@pytest.mark.parametrize("word", [None, "leader-of orders", "follower-of orders", "controller", "random", "all"])
def test_the_only_node_is_meant_by_every_word_that_fits_it(word: str | None) -> None:
    assert choose(event(word), deployment("kafka-1"), seed=1) == ("kafka-1",)


def test_a_node_is_meant_by_its_name() -> None:
    assert choose(event("kafka-2"), deployment("kafka-1", "kafka-2"), seed=1) == ("kafka-2",)


def test_an_unknown_node_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(UnknownNode, match="kafka-1"):
        choose(event("kafka-9"), deployment("kafka-1"), seed=1)


def test_an_address_has_no_node_to_fail() -> None:
    with pytest.raises(NotSupported, match="only an address"):
        choose(event(), deployment(), seed=1)


def test_a_choice_among_several_nodes_is_refused_rather_than_guessed() -> None:
    with pytest.raises(NotSupported, match="give 'node'"):
        choose(event(), deployment("a", "b"), seed=1)


def test_the_seed_decides_at_random_and_decides_alike() -> None:
    three = deployment("a", "b", "c")
    drawn = [[choose(event("random", index), three, seed) for index in range(20)] for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert {node for nodes in drawn[0] for node in nodes} == {"a", "b", "c"}


@pytest.mark.parametrize(("nodes", "minority", "majority"), [("abc", 1, 2), ("abcd", 1, 3), ("abcde", 2, 3)])
def test_a_minority_leaves_a_quorum_and_a_majority_leaves_none(nodes: str, minority: int, majority: int) -> None:
    dice = random.Random(1)
    assert len(by_count("minority", nodes, dice, "t")) == minority
    assert len(by_count("majority", nodes, dice, "t")) == majority
    assert by_count("all", nodes, dice, "t") == tuple(nodes)


def test_one_node_has_no_minority() -> None:
    with pytest.raises(NotSupported, match="no minority"):
        choose(event("minority"), deployment("kafka-1"), seed=1)
