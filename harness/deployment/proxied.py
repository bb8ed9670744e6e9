"""The fault proxy before a deployment's nodes: one that ends with this process, or one that stands with its brokers."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from crep.harness.deployment.contract import Json
from crep.harness.processes import Adopted, ProcessIdentity
from crep.harness.proxy import Links, LinkSpec, ProxyProcess, standing_links, start_standing

_STOP_GRACE_S = 2.0


class DeploymentProxy:
    """Carries the links of one deployment. Used by one thread, except `links`.

    Args:
        specs: the links, with fixed ports, so that a proxy that died is replaced by one that peers find.
        folder: of the deployment; the log goes there, and a standing proxy's control socket.
        standing: True starts one that outlives this process.
        identity: the process of a standing proxy that runs already.
    """

    def __init__(
        self, specs: Sequence[LinkSpec], folder: Path, *, standing: bool, identity: ProcessIdentity | None = None
    ) -> None:
        self._specs, self._folder, self._standing = tuple(specs), folder, standing
        self._identity = identity
        self._child: ProxyProcess | None = None
        self._links: Links | None = None
        self._ordering = ExitStack()
        self._lock = threading.Lock()  # faults order from threads of their own

    @property
    def identity(self) -> ProcessIdentity | None:
        """Which process a standing proxy is; None while it does not run, and of one that ends with us."""
        runs = self._identity is not None and ProcessIdentity.of(self._identity.pid) == self._identity
        return self._identity if runs else None

    def start(self) -> None:
        """Start it, unless it runs.

        Raises:
            ProxyFailed: a port is taken, or it does not get ready.
        """
        if self._standing:
            if self.identity is None:
                self.release()
                self._identity, _ = start_standing(self._specs, self._folder)
        elif self._child is None or self._child.pid is None:
            self._child = ProxyProcess(log=self._folder / "proxy.log")
            self._child.start(self._specs)

    def links(self) -> Links:
        """The links, for orders. What is ordered of a standing proxy is taken back by `release`, or by our end.

        Raises:
            ProxyFailed: it does not run.
        """
        if self._child is not None:
            return self._child.links()
        with self._lock:
            if self._links is None:
                self._links = self._ordering.enter_context(standing_links(self._folder))
            return self._links

    def release(self) -> None:
        """Order no more: a standing proxy goes on, as if there were none."""
        with self._lock:
            self._ordering.close()
            self._links = None

    def end(self) -> None:
        """End the process; every connection through it ends.

        Raises:
            subprocess.TimeoutExpired: it does not die.
        """
        self.release()
        if self._child is not None:
            self._child.stop()
            self._child = None
        if self._identity is not None:
            Adopted(self._identity).terminate(_STOP_GRACE_S)
            self._identity = None


def described(specs: Sequence[LinkSpec]) -> Json:
    """What stands between whom, for the provenance: a proxy costs a little of every exchange."""
    if not specs:
        return "none"
    return [f"{one.plane} link of {one.node}: port {one.listen} to {one.to[1]}" for one in specs]
