"""What a broker product must say so that `LocalDeployment` can run it as local processes. Everything is plain data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from crep.harness.brokers.contract import Endpoint
from crep.harness.config.targets import Target
from crep.harness.deployment.contract import Json, Progress, Role
from crep.harness.proxy.links import LinkSpec


@dataclass(frozen=True)
class NodePlan:
    """How to start one node; the same words start it again after a kill, on the same data and ports.

    ``ports`` are those that the node itself listens on, ``identity`` is what the broker calls it (Kafka: the node id).
    """

    name: str
    args: tuple[str, ...]
    ports: dict[str, int]
    roles: tuple[Role, ...] = ("broker",)
    identity: str = ""
    certificate: str = ""  # the folder of the one that it shows its clients (`certificates`); empty: no TLS


@dataclass(frozen=True)
class Prepared:
    """A broker that is ready to be started: its nodes, the proxies before them, and what the report must say of it."""

    nodes: tuple[NodePlan, ...]
    provenance: dict[str, Json]
    links: tuple[LinkSpec, ...] = ()

    def clients_reach(self, node: NodePlan, port: str) -> int:
        """Where clients reach that port of the node: the proxy's, where one stands before it."""
        return next(
            (link.listen for link in self.links if link.plane == "client" and link.to[1] == node.ports[port]),
            node.ports[port],
        )


class Product(Protocol):
    """One broker product as local processes."""

    system: str
    nodes: tuple[str, ...]
    in_turn: bool  # each node is ready before the next one starts

    def prepare(self, target: Target, folder: Path, progress: Progress) -> Prepared:
        """Find the program, choose ports, write configuration and data folders below ``folder``.

        Raises:
            DeploymentError: something is missing on this machine; the text says what to install or set.
            UsageError: the target's settings are wrong.
        """

    def endpoint(self, target: Target, prepared: Prepared) -> Endpoint:
        """Where clients connect."""

    def ready(self, node: NodePlan, prepared: Prepared) -> bool:
        """True when a client can use the node, and the node is where it belongs in its cluster; may take seconds."""

    def answers(self, node: NodePlan, timeout_s: float) -> bool:
        """True when the node answers one cheap exchange of its protocol in time."""
