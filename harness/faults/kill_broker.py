"""``kill-broker``: SIGKILL broker processes, start them again on the same data after ``restart_after``."""

from __future__ import annotations

from crep.harness.faults.on_nodes import Down


class KillBroker(Down):
    """The processes are ended without warning: nothing is flushed, closed or said to the clients."""

    def inject(self) -> int:
        """Kill; returns when the first signal was sent."""
        return min([self.deployment.kill_node(node) for node in self.nodes])
