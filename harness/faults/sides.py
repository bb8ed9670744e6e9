"""Which parties and nodes the words of a network fault mean now."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

from crep.harness.brokers.contract import NotSupported
from crep.harness.deployment.contract import Deployment
from crep.harness.faults.contract import Stage
from crep.harness.faults.nodes import choose
from crep.harness.proxy import OTHERS, Links
from crep.harness.scenario.side_words import SideWord, parse_side

PUBLISHERS, SUBSCRIBERS = "publishers", "subscribers"
CLIENTS = frozenset({PUBLISHERS, SUBSCRIBERS})

Side = frozenset[str]
"""Parties: names of nodes, and of the two kinds of clients; with `OTHERS` among them, whoever connects."""


def links_of(stage: Stage) -> Links:
    """The links that a fault of this stage acts on.

    Raises:
        NotSupported: no proxy stands before the broker.
    """
    links = stage.deployment.links
    if links is None:
        raise NotSupported(
            f"{stage.event.action}: no fault proxy stands before target {stage.deployment.target!r}",
            hint="network faults need a broker that crep starts for the run (source local or embedded); one that "
            "'crep broker start' left running alone has no proxy",
        )
    return links


def two_sides(stage: Stage, one: str, other: str) -> tuple[Side, Side]:
    """What both words mean now; nobody is on both sides: who is named more narrowly stays where he is named.

    Raises:
        NotSupported: a word means nothing on this broker, or nobody is left on a side.
        UnknownNode: no node of that name.
        BrokerError: the broker does not say who has the role now.
    """
    words = parse_side(one), parse_side(other)
    first, second = (_meaning(stage, word) for word in words)
    if _wide(words[0]) >= _wide(words[1]):
        first -= second
    else:
        second -= first
    for text, side in ((one, first), (other, second)):
        if not side:
            raise NotSupported(
                f"{stage.event.action}: {text!r} is nobody on target {stage.deployment.target!r}, "
                "or nobody but the other side"
            )
    return first, second


def _wide(word: SideWord) -> int:
    return {"everybody": 3, "rest": 2, "brokers": 1, "quorum": 1}.get(word.kind, 0)


def _meaning(stage: Stage, word: SideWord) -> Side:
    deployment = stage.deployment
    everybody: dict[str, Callable[[], Collection[str]]] = {
        "publishers": lambda: {PUBLISHERS},
        "subscribers": lambda: {SUBSCRIBERS},
        "clients": lambda: CLIENTS,
        "brokers": lambda: _with_role(deployment, "broker"),
        "quorum": lambda: _with_role(deployment, "controller"),
        "rest": lambda: CLIENTS.union(deployment.nodes),
        "everybody": lambda: CLIENTS.union(deployment.nodes, {OTHERS}),
        "followers-of": lambda: _followers(stage, word.text),
        "node": lambda: choose(
            replace(stage.event, node=word.text), deployment, stage.admin, stage.provisioned, stage.seed
        ),
    }
    return frozenset(everybody[word.kind]())


def _with_role(deployment: Deployment, role: str) -> list[str]:
    return [node for node in deployment.nodes if role in deployment.roles(node)]


def _followers(stage: Stage, channel: str) -> list[str]:
    return [stage.deployment.node_of(one) for one in stage.admin.followers(stage.provisioned, channel)]
