from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crep.harness.proxy.rules import (
    DIRECTIONS,
    FREE,
    MOST_DELAY_S,
    PLANES,
    WAYS,
    Bandwidth,
    Direction,
    Effect,
    Flow,
    HalfOpen,
    Latency,
    Link,
    Refuse,
    Reset,
    Rule,
    Stall,
    closed,
    flow,
    haunting,
    refused,
    rule_from_json,
    rule_to_json,
)

PUBLISHERS = Link("publishers", "kafka-1", "client")
FOLLOWER = Link("kafka-2", "kafka-1", "inter-node")


def rule(effect: Effect, direction: Direction = "both", **changes: Any) -> Rule:
    given_: dict[str, Any] = {"id": "r", "parties": None, "nodes": frozenset({"kafka-1"}), "planes": None, **changes}
    return Rule(direction=direction, effect=effect, **given_)


@pytest.mark.parametrize(
    ("changes", "link", "covered"),
    [
        ({}, PUBLISHERS, True),
        ({}, Link("publishers", "kafka-2", "client"), False),
        ({"parties": frozenset({"publishers"})}, PUBLISHERS, True),
        ({"parties": frozenset({"subscribers", "others"})}, PUBLISHERS, False),
        ({"parties": frozenset()}, PUBLISHERS, False),
        ({"planes": frozenset({"client"})}, PUBLISHERS, True),
        ({"planes": frozenset({"client"})}, FOLLOWER, False),
        ({"parties": frozenset({"kafka-2"}), "planes": frozenset({"inter-node", "quorum"})}, FOLLOWER, True),
    ],
)
def test_a_rule_covers_the_links_that_it_names_and_no_other(
    changes: dict[str, Any], link: Link, *, covered: bool
) -> None:
    assert rule(Stall(), **changes).covers(link) is covered


@pytest.mark.parametrize(
    ("direction", "to_node", "from_node"),
    [("both", True, True), ("to-node", True, False), ("from-node", False, True)],
)
def test_a_direction_holds_its_own_way_only(direction: Direction, *, to_node: bool, from_node: bool) -> None:
    rules = [rule(Stall(), direction)]
    assert [flow(rules, PUBLISHERS, way).stalled for way in WAYS] == [to_node, from_node]


def test_rules_add_up() -> None:
    rules = [
        rule(Latency(0.02, 0.002), id="a"),
        rule(Latency(0.01), "to-node", id="b"),
        rule(Bandwidth(1000), id="c"),
        rule(Stall(), "from-node", id="d"),
        rule(Latency(5), id="e", nodes=frozenset({"kafka-2"})),
    ]
    assert flow(rules, PUBLISHERS, "to-node") == Flow((Latency(0.02, 0.002), Latency(0.01)), ("c",), stalled=False)
    assert flow(rules, PUBLISHERS, "from-node") == Flow((Latency(0.02, 0.002),), ("c",), stalled=True)


def test_nothing_is_done_without_a_rule() -> None:
    assert flow([rule(Refuse()), rule(HalfOpen())], PUBLISHERS, "to-node") == flow([], PUBLISHERS, "to-node") == FREE


def test_only_a_rule_for_everybody_closes_the_listener() -> None:
    some = rule(Refuse(), parties=frozenset({"publishers"}))
    assert refused([some], PUBLISHERS)
    assert not refused([some], Link("subscribers", "kafka-1", "client"))
    assert not closed([some], "kafka-1", "client")
    assert closed([rule(Refuse(), planes=frozenset({"client"}))], "kafka-1", "client")
    assert not closed([rule(Refuse(), planes=frozenset({"client"}))], "kafka-1", "quorum")


def test_new_connections_are_haunted_only_by_a_half_open_rule_towards_the_node() -> None:
    assert haunting([rule(HalfOpen(), "to-node", id="x")], PUBLISHERS) == "x"
    assert haunting([rule(HalfOpen(), "both", id="x")], PUBLISHERS) == "x"
    assert haunting([rule(HalfOpen(), "from-node", id="x")], PUBLISHERS) is None
    assert haunting([rule(Stall(), id="x")], PUBLISHERS) is None


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Latency(-1), "latency s"),
        (lambda: Latency(MOST_DELAY_S * 2), "latency s"),
        (lambda: Latency(float("nan")), "latency s"),
        (lambda: Latency(0.01, 0.02), "jitter"),
        (lambda: Bandwidth(0), "bandwidth"),
        (lambda: rule(Stall(), nodes=frozenset()), "names no node"),
        (lambda: rule(Stall(), id=""), "needs an id"),
        (lambda: rule(Stall(), planes=frozenset({"clients"})), "client, inter-node, quorum"),
        (lambda: rule(Stall(), "up"), "both, to-node, from-node"),  # type: ignore[arg-type]
        (lambda: rule(Reset(), "to-node"), "no direction"),
        (lambda: rule(Refuse(), "from-node"), "no direction"),
    ],
)
def test_a_rule_that_means_nothing_is_refused(make: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make()


NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
DIRECTED = st.one_of(
    st.builds(lambda s, part: Latency(s, s * part), st.floats(0, 60), st.floats(0, 1)),
    st.builds(Bandwidth, st.floats(1, 1e12)),
    st.just(Stall()),
    st.just(HalfOpen()),
)
RULES = st.one_of(
    st.builds(
        Rule,
        id=NAMES,
        parties=st.none() | st.frozensets(NAMES, max_size=3),
        nodes=st.frozensets(NAMES, min_size=1, max_size=3),
        planes=st.none() | st.frozensets(st.sampled_from(PLANES)),
        direction=direction,
        effect=effect,
    )
    for direction, effect in (
        (st.sampled_from(DIRECTIONS), DIRECTED),
        (st.just("both"), st.sampled_from([Reset(), Refuse()])),
    )
)


@given(RULES)
def test_a_rule_survives_its_json_form(one: Rule) -> None:
    assert rule_from_json(json.loads(json.dumps(rule_to_json(one)))) == one


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"effect": {"kind": "explode"}}, "latency, bandwidth, stall, reset, refuse, half-open"),
        ({"effect": "stall"}, "an effect must be an object"),
        ({"effect": {"kind": "latency", "s": "soon", "jitter_s": 0}}, "s must be a number"),
        ({"effect": {"kind": "latency", "s": True, "jitter_s": 0}}, "s must be a number"),
        ({"effect": {"kind": "latency", "s": 1}}, "jitter_s"),
        ({"effect": {"kind": "stall", "s": 1}}, "none"),
        ({"nodes": "kafka-1"}, "nodes must be a list"),
        ({"nodes": [1]}, "nodes must be a text"),
        ({"planes": ["air"]}, "unknown plane"),
        ({"id": 7}, "id must be a text"),
        ({"more": 1}, "has the keys"),
    ],
)
def test_json_that_is_no_rule_is_refused_with_the_reason(change: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        rule_from_json({**rule_to_json(rule(Stall())), **change})


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=5), st.lists, max_leaves=5))
def test_no_json_at_all_makes_a_rule_by_chance(data: object) -> None:
    with pytest.raises(ValueError, match="object"):
        rule_from_json(data)
