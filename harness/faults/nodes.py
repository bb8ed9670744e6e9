"""Which nodes a timeline's word means: by name, by role, by chance (a seed's), or by count."""

from __future__ import annotations

import random
from collections.abc import Sequence

from crep.harness.brokers.contract import NotSupported
from crep.harness.deployment.contract import Deployment, UnknownNode
from crep.harness.scenario.node_words import FORMS, parse_node
from crep.harness.scenario.plan import TimelineEvent


def choose(event: TimelineEvent, deployment: Deployment, seed: int) -> tuple[str, ...]:
    """The names of the nodes that an event acts on. On a deployment with one node that is the leader of all.

    Raises:
        NotSupported: crep has no hand on this broker's processes, or the word means nothing there.
        UnknownNode: no node of that name; the text lists those that there are.
    """
    word, nodes = parse_node(event.node), deployment.nodes
    if not nodes:
        raise NotSupported(
            f"target {deployment.target!r} is only an address: crep has no hand on its processes and cannot fail them",
            hint="use a target with source local or embedded for scenarios with a timeline of broker faults",
        )
    if word.kind == "name":
        if word.name not in nodes:
            raise UnknownNode(f"target {deployment.target!r} has no node {word.name!r}; it has: {', '.join(nodes)}")
        return (word.name,)
    if word.kind in ("random", "minority", "majority", "all"):
        return by_count(word.kind, nodes, random.Random(f"{seed} {event.index}"), deployment.target)  # noqa: S311
    if len(nodes) == 1:
        return nodes
    if word.kind == "only":
        raise NotSupported(f"target {deployment.target!r} has {len(nodes)} nodes; give 'node': {FORMS}")
    raise NotSupported(f"choosing among the {len(nodes)} nodes of {deployment.target!r} by role is not available yet")


def by_count(kind: str, nodes: Sequence[str], dice: random.Random, target: str) -> tuple[str, ...]:
    """One, the largest minority, the smallest majority (both by ``dice``), or all of the nodes, in their order.

    Raises:
        NotSupported: a minority of one or two is nobody.
    """
    few = (len(nodes) - 1) // 2
    if kind == "minority" and few == 0:
        raise NotSupported(f"target {target!r} has {len(nodes)} nodes: no minority of them could fail")
    count = {"random": 1, "minority": few, "majority": len(nodes) // 2 + 1, "all": len(nodes)}[kind]
    chosen = set(dice.sample(range(len(nodes)), count))
    return tuple(node for index, node in enumerate(nodes) if index in chosen)
