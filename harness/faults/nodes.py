"""Which nodes a timeline's word means: by name, by role, by chance (a seed's), or by count."""

from __future__ import annotations

import random
from collections.abc import Sequence

from crep.harness.brokers.contract import Admin, BrokerError, NotSupported, Provisioned
from crep.harness.deployment.contract import Deployment, DeploymentError, UnknownNode
from crep.harness.scenario.node_words import FORMS, parse_node
from crep.harness.scenario.plan import TimelineEvent


def choose(
    event: TimelineEvent, deployment: Deployment, admin: Admin, provisioned: Provisioned, seed: int
) -> tuple[str, ...]:
    """The names of the nodes that an event acts on, now.

    Words mean brokers; a controller that is no broker is meant by its name, or as ``controller``. On a deployment with
    one node that is the leader of all. By chance and by count only nodes that run are chosen, as long as there are any.

    Raises:
        NotSupported: crep has no hand on this broker's processes, or the word means nothing there.
        UnknownNode: no node of that name; the text lists those that there are.
        BrokerError: the broker does not say who has the role, or nobody has it now.
    """
    word, nodes = parse_node(event.node), deployment.nodes
    if not nodes:
        raise NotSupported(
            f"target {deployment.target!r} is only an address: crep has no hand on its processes and cannot fail them",
            hint="a target can name commands of your own instead: exec: {NAME: {start: …, confirm: …, heal: …}}",
        )
    if word.kind == "name":
        if word.name not in nodes:
            raise UnknownNode(f"target {deployment.target!r} has no node {word.name!r}; it has: {', '.join(nodes)}")
        return (word.name,)
    brokers = [node for node in nodes if "broker" in deployment.roles(node)]
    if word.kind in ("random", "minority", "majority", "all"):
        running = [node for node in brokers if deployment.node_pid(node) is not None]
        dice = random.Random(f"{seed} {event.index}")  # noqa: S311 - repeatable, not secret
        return by_count(word.kind, brokers, running, dice, deployment.target)
    if len(nodes) == 1:
        return nodes
    if word.kind == "only" and len(brokers) == 1:
        return tuple(brokers)
    if word.kind == "only":
        raise NotSupported(f"target {deployment.target!r} has {len(nodes)} nodes; give 'node': {FORMS}")
    return (deployment.node_of(_identity(word.kind, word.name, admin, provisioned)),)


def _identity(kind: str, channel: str, admin: Admin, provisioned: Provisioned) -> str:
    """Who has the role, as the broker itself calls it."""
    if kind == "leader-of":
        return admin.leader(provisioned, channel)
    if kind == "follower-of":
        followers = admin.followers(provisioned, channel)
        if not followers:
            raise BrokerError(f"nobody follows the leader of {channel} now")
        return followers[0]
    controller = admin.controller()
    if controller is None:
        raise BrokerError("there is no active controller now")
    return controller


def by_count(
    kind: str, nodes: Sequence[str], running: Sequence[str], dice: random.Random, target: str
) -> tuple[str, ...]:
    """One, the largest minority, the smallest majority (both by ``dice``), or all of the nodes, in their order.

    Args:
        kind: ``random``, ``minority``, ``majority`` or ``all``.
        nodes: all that there are, which a minority and a majority are counted by.
        running: those of them that are chosen from.
        dice: decides.
        target: for messages.

    Raises:
        NotSupported: a minority of one or two is nobody.
        DeploymentError: none of them runs.
    """
    few = (len(nodes) - 1) // 2
    if kind == "minority" and few == 0:
        raise NotSupported(f"target {target!r} has {len(nodes)} brokers: no minority of them could fail")
    if not running:
        raise DeploymentError(f"no broker of {target} runs, so none can be chosen")
    count = {"random": 1, "minority": few, "majority": len(nodes) // 2 + 1, "all": len(nodes)}[kind]
    chosen = set(dice.sample(range(len(running)), min(count, len(running))))
    return tuple(node for index, node in enumerate(running) if index in chosen)
