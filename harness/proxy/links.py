"""What others see of a proxy: the links that it carries, and the orders that it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from crep.harness.config.errors import EnvironmentFailure
from crep.harness.proxy.rules import Link, Plane, Rule

PARTY_VARIABLE = "CREP_PARTY"
"""The environment variable by which a process says which party it is."""

LOOPBACK = "127.0.0.1"


class ProxyFailed(EnvironmentFailure):
    """The proxy could not be started, or no longer answers."""


@dataclass(frozen=True)
class LinkSpec:
    """One listener of the proxy, on the loopback address, and where its connections go.

    Args:
        node: name of the node behind it.
        plane: who connects here: its clients, its fellow brokers, the quorum.
        listen: TCP port; 0 takes a free one.
        to: host and port of the node itself, which need not listen yet.
    """

    node: str
    plane: Plane
    listen: int
    to: tuple[str, int]


@dataclass(frozen=True)
class LinkState:
    """The connections of one link: how many are open, how many of these have lost their other end (half-open), how many
    there ever were, and the bytes that were passed on.

    ``oldest``: the serial number of the oldest connection that is open, None without one. Numbers rise over all links
    of a proxy, in the order in which connections came.
    """

    link: Link
    open: int
    ghosts: int
    total: int
    to_node_bytes: int
    from_node_bytes: int
    oldest: int | None


@dataclass(frozen=True)
class ProxyState:
    """What a proxy says of itself: links that ever had a connection, rules in effect, closed listeners."""

    links: tuple[LinkState, ...]
    rules: tuple[str, ...]
    refusing: tuple[tuple[str, Plane], ...]


@dataclass(frozen=True)
class Applied:
    """A rule is in effect since ``at_ns`` (CLOCK_MONOTONIC) on ``connections`` open ones.

    Connections that came later have a serial number of at least ``next_serial``.
    """

    at_ns: int
    connections: int
    next_serial: int


class Links(Protocol):
    """The links of a proxy, as faults order them. From any thread; each call is bounded and raises `ProxyFailed`."""

    @property
    def specs(self) -> Sequence[LinkSpec]:
        """The links, with the ports that they really have."""
        ...

    def apply(self, rule: Rule) -> Applied:
        """Put the rule into effect, on open connections too; returns when it is. One of the same id is replaced."""
        ...

    def clear(self, rule_id: str) -> None:
        """Take the rule back; returns when that is done. An unknown id is none: that is what was asked for."""
        ...

    def state(self) -> ProxyState:
        """Connections, bytes and rules now."""
        ...

    def probe(self, link: Link, *, size: int = 1, timeout_s: float = 0.5) -> float | None:
        """Seconds that ``size`` bytes take to an echo and back, on a connection that the rules treat as the link's.

        It runs through the same code as real connections, with an echo of the proxy's own in place of the node. None:
        no (whole) answer in time, or the connection was refused or reset.
        """
        ...


def port_of(specs: Sequence[LinkSpec], node: str, plane: Plane) -> int:
    """Where the proxy listens for connections to that node and plane.

    Raises:
        KeyError: there is no such link.
    """
    return {(one.node, one.plane): one.listen for one in specs}[node, plane]


def specs_to_json(specs: Sequence[LinkSpec]) -> list[dict[str, Any]]:
    """Plain data."""
    return [{"node": one.node, "plane": one.plane, "listen": one.listen, "to": list(one.to)} for one in specs]


def specs_from_json(data: Sequence[Mapping[str, Any]]) -> tuple[LinkSpec, ...]:
    """What `specs_to_json` wrote."""
    return tuple(LinkSpec(one["node"], one["plane"], one["listen"], (one["to"][0], one["to"][1])) for one in data)


def state_to_json(state: ProxyState) -> dict[str, Any]:
    """Plain data."""
    return asdict(state)


def state_from_json(data: Mapping[str, Any]) -> ProxyState:
    """What `state_to_json` wrote."""
    return ProxyState(
        links=tuple(LinkState(**{**one, "link": Link(**one["link"])}) for one in data["links"]),
        rules=tuple(data["rules"]),
        refusing=tuple((node, plane) for node, plane in data["refusing"]),
    )
