"""What every deployment of a broker offers: an endpoint for clients, nodes for faults, words for provenance.

The life of a deployment::

    deploy(target) ──► start() ──► endpoint() ──► clients connect
                          │            │
                          │            ├─ kill_node / probe_node / start_node   (faults; not on address targets)
                          │            └─ describe()                            (provenance)
                          └──────────────► stop()                               (idempotent)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeAlias

from crep.harness.brokers.contract import Endpoint
from crep.harness.config.errors import EnvironmentFailure

Json: TypeAlias = "str | int | float | bool | Mapping[str, Json] | Sequence[Json] | None"
"""Anything that ``json.dumps`` writes."""

Progress: TypeAlias = Callable[[str], None]
"""Receives short lines for a person while something slow happens."""


class DeploymentError(EnvironmentFailure):
    """A broker could not be started, reached or stopped. Names the address, the log's last lines, what to check."""


class UnknownNode(DeploymentError):
    """The deployment has no node of that name; the text lists those that it has."""


class Deployment(Protocol):
    """One running (or startable) broker: ``target`` is the target's name, ``nodes`` the names of its nodes.

    ``nodes`` is empty where crep has no hand on the broker's processes. Methods that take a node raise `UnknownNode`
    for a name that is not in ``nodes``. A deployment is used by one thread at a time, except that `probe_node` and
    `node_pid` may be called from any thread at any time.
    """

    @property
    def system(self) -> str:
        """``kafka`` or ``solace``."""
        ...

    @property
    def target(self) -> str:
        """Name of the target as ``targets.yaml`` has it."""
        ...

    @property
    def profile(self) -> str:
        """``default`` (the vendor's values) or ``quick`` (short time-outs, labelled everywhere)."""
        ...

    @property
    def nodes(self) -> tuple[str, ...]:
        """Names of the nodes, for example ``("kafka-1",)``. Constant over the deployment's life."""
        ...

    def start(self, progress: Progress) -> None:
        """Start the broker and return when a client can use it. Starting a started one does nothing.

        Raises:
            DeploymentError: it did not get ready in time; whatever was started has been ended.
        """
        ...

    def endpoint(self) -> Endpoint:
        """Where clients connect. Constant from `start` to `stop`, also over kills and restarts.

        Raises:
            DeploymentError: the deployment has not been started.
        """
        ...

    def kill_node(self, node: str) -> int:
        """SIGKILL the node's process and wait until it is gone (bounded).

        Returns:
            ``time.monotonic_ns()`` at the moment when the signal was sent.

        Raises:
            NotSupported: crep has no hand on this broker's processes.
            DeploymentError: the node is not running.
        """
        ...

    def start_node(self, node: str) -> None:
        """Start a killed node again on the same data directory and ports. Does not wait until it is ready.

        Raises:
            NotSupported: crep has no hand on this broker's processes.
            DeploymentError: the node is already running, or its program cannot be started.
        """
        ...

    def probe_node(self, node: str) -> bool:
        """Say with one cheap exchange of the broker's own protocol whether the node answers now. At most 0.5 s."""
        ...

    def node_pid(self, node: str) -> int | None:
        """Process id of the running node, None while it is down or where crep has no hand on it."""
        ...

    def describe(self) -> dict[str, Json]:
        """Provenance: versions, Java, effective settings, digest of the jar lock, data folder, logs, who started it."""
        ...

    def stop(self) -> None:
        """End what this deployment started and remove its temporary data. A second call does nothing.

        A deployment that was attached to (``crep broker start``) or that is only an address is left running.
        """
        ...
