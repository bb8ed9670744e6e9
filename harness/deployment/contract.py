"""What every deployment of a broker offers: an endpoint for clients, nodes for faults, words for provenance.

The life of a deployment::

    deploy(target) ──► start() ──► endpoint() ──► clients connect
                          │            │
                          │            ├─ kill_node / probe_node / start_node …   (faults; not on address targets)
                          │            ├─ links                                 (faults on the network, where proxied)
                          │            └─ describe()                            (provenance)
                          └──────────────► stop()                               (idempotent)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol, TypeAlias

from crep.harness.brokers.contract import Endpoint
from crep.harness.config.errors import EnvironmentFailure
from crep.harness.proxy.links import Links

Json: TypeAlias = "str | int | float | bool | Mapping[str, Json] | Sequence[Json] | None"
"""Anything that ``json.dumps`` writes."""

Role: TypeAlias = Literal["broker", "controller"]
"""What a node does: it keeps messages and serves clients, or it decides who leads (of Kafka's quorum), or both."""

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

    @property
    def allow_faults(self) -> bool:
        """Whether this broker may be failed at all: crep started it, or its target says ``allow_faults: true``."""
        ...

    @property
    def links(self) -> Links | None:
        """The proxied links of this deployment while it runs; None where no proxy stands before its nodes."""
        ...

    @property
    def outlives_us(self) -> bool:
        """Whether its processes go on when this one ends, so that what is failed must be healed by somebody."""
        ...

    def roles(self, node: str) -> frozenset[Role]:
        """What the node does."""
        ...

    def node_of(self, identity: str) -> str:
        """The node that the broker itself calls ``identity`` (what ``Admin.leader`` and the like return).

        Raises:
            UnknownNode: none of these nodes is called so.
        """
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

    def stop_node(self, node: str, grace_s: float) -> int:
        """SIGTERM the node's process and wait until it is gone; SIGKILL it after ``grace_s`` seconds.

        Returns:
            ``time.monotonic_ns()`` at the moment when SIGTERM was sent.

        Raises:
            NotSupported: crep has no hand on this broker's processes.
            DeploymentError: the node is not running.
        """
        ...

    def pause_node(self, node: str) -> int:
        """SIGSTOP the node's process: it stands still, its connections stay open. A paused one stays paused.

        Returns:
            ``time.monotonic_ns()`` at the moment when the signal was sent.

        Raises:
            NotSupported: crep has no hand on this broker's processes.
            DeploymentError: the node is not running.
        """
        ...

    def resume_node(self, node: str) -> None:
        """SIGCONT the node's process; nothing happens to one that runs.

        Raises:
            NotSupported: crep has no hand on this broker's processes.
            DeploymentError: the node is not running.
        """
        ...

    def limit_files(self, node: str, most_bytes: int | None) -> None:
        """Let no file of the running node grow beyond ``most_bytes`` (None: as it was), as if the disk were full.

        The limit is the process's ``RLIMIT_FSIZE`` (setrlimit(2), prlimit(2)): a write beyond it fails with ``EFBIG``.
        A node that is started again has none.

        Raises:
            NotSupported: crep has no hand on this broker's processes, or the system has no prlimit (only Linux does).
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

    @property
    def certificates(self) -> tuple[str, ...]:
        """Bad certificates that `show_certificate` can make a node show; empty without TLS or without a hand on it."""
        ...

    def show_certificate(self, node: str, name: str | None) -> None:
        """Let the node show its clients that one of `certificates` from its next start on; None: its own again.

        Raises:
            NotSupported: there is none of that name.
        """
        ...

    def describe(self) -> dict[str, Json]:
        """Provenance: versions, Java, effective settings, digest of the jar lock, data folder, logs, who started it."""
        ...

    def stop(self) -> None:
        """End what this deployment started and remove its temporary data. A second call does nothing.

        A deployment that was attached to (``crep broker start``) or that is only an address is left running.
        """
        ...
