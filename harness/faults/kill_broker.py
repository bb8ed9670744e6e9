"""``kill-broker``: SIGKILL a broker's process, start it again on the same data after ``restart_after``."""

from __future__ import annotations

from crep.harness.deployment.contract import Deployment


class KillBroker:
    """The node's process is ended without warning: nothing is flushed, closed or said to the clients.

    Confirmed when the node no longer answers its own protocol; healed when it answers again.
    """

    def __init__(self, deployment: Deployment, node: str, *, restart_after_s: float) -> None:
        self.heal_after_s = restart_after_s
        self._deployment, self._node = deployment, node

    def inject(self) -> int:
        """Kill; returns when the signal was sent."""
        return self._deployment.kill_node(self._node)

    def confirmed(self) -> bool:
        """Whether the node is silent."""
        return not self._deployment.probe_node(self._node)

    def heal(self) -> None:
        """Start the node again on the same directory and ports."""
        self._deployment.start_node(self._node)

    def healed(self) -> bool:
        """Whether the node answers again."""
        return self._deployment.probe_node(self._node)
