"""What a fault is: inject → confirm → heal → confirm healed, each step observed and stamped (METHOD rule 13)."""

from __future__ import annotations

from typing import Protocol

from crep.harness.brokers.contract import NotSupported
from crep.harness.deployment.contract import Deployment, UnknownNode
from crep.harness.scenario.plan import TimelineEvent


class Fault(Protocol):
    """One fault on one node of a deployment. Used by one thread.

    ``heal_after_s`` is the declared time between injection and the start of healing.
    """

    heal_after_s: float

    def inject(self) -> int:
        """Do it; returns CLOCK_MONOTONIC nanoseconds of the moment it took effect.

        Raises:
            DeploymentError: it could not be done, with the reason.
        """
        ...

    def confirmed(self) -> bool:
        """Say by one probe whether the fault is in effect now."""
        ...

    def heal(self) -> None:
        """Start to undo it. Does not wait.

        Raises:
            DeploymentError: it could not be undone, with the reason.
        """
        ...

    def healed(self) -> bool:
        """Say by one probe whether it is undone now."""
        ...


def choose_node(event: TimelineEvent, deployment: Deployment) -> str:
    """The name of what a timeline entry acts on: a node, or ``channel.reader`` where it means a reader.

    On a deployment with one node that node is the leader of every channel and the answer where none is named.

    Raises:
        NotSupported: crep has no hand on this broker's processes, or the choice needs more than one node.
        UnknownNode: no node of that name; the text lists those that there are.
    """
    if event.channel is not None:
        return " and ".join(f"{event.channel}.{reader}" for reader in event.readers)
    nodes = deployment.nodes
    if not nodes:
        raise NotSupported(
            f"target {deployment.target!r} is only an address: crep has no hand on its processes and cannot fail them",
            hint="use a target with source local or embedded for scenarios with a timeline of broker faults",
        )
    if event.node in nodes:
        return event.node
    if event.node is not None:
        raise UnknownNode(f"target {deployment.target!r} has no node {event.node!r}; it has: {', '.join(nodes)}")
    if len(nodes) > 1:
        raise NotSupported(f"choosing among the {len(nodes)} nodes of {deployment.target!r} is not available yet")
    return nodes[0]
