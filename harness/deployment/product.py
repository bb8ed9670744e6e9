"""What a broker product must say so that `LocalDeployment` can run it as local processes. Everything is plain data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from crep.harness.brokers.contract import Endpoint
from crep.harness.config.targets import Target
from crep.harness.deployment.contract import Json, Progress


@dataclass(frozen=True)
class NodePlan:
    """How to start one node; the same words start it again after a kill, on the same data and ports."""

    name: str
    args: tuple[str, ...]
    ports: dict[str, int]


@dataclass(frozen=True)
class Prepared:
    """A broker that is ready to be started: its nodes, and what the report must say of it."""

    nodes: tuple[NodePlan, ...]
    provenance: dict[str, Json]


class Product(Protocol):
    """One broker product as local processes."""

    system: str
    nodes: tuple[str, ...]

    def prepare(self, target: Target, folder: Path, progress: Progress) -> Prepared:
        """Find the program, choose ports, write configuration and data folders below ``folder``.

        Raises:
            DeploymentError: something is missing on this machine; the text says what to install or set.
            UsageError: the target's settings are wrong.
        """

    def endpoint(self, target: Target, nodes: tuple[NodePlan, ...]) -> Endpoint:
        """Where clients connect."""

    def ready(self, node: NodePlan) -> bool:
        """True when a client can use the node; may take some seconds."""

    def answers(self, node: NodePlan, timeout_s: float) -> bool:
        """True when the node answers one cheap exchange of its protocol in time."""
