"""``kill-broker``: SIGKILL broker processes, start them again on the same data after ``restart_after``."""

from __future__ import annotations

from crep.harness.faults.contract import Fault, Stage


class KillBroker(Fault):
    """The processes are ended without warning: nothing is flushed, closed or said to the clients.

    Confirmed when the nodes no longer answer their own protocol; healed when they answer again.
    """

    def __init__(self, stage: Stage) -> None:
        self.heal_after_s = stage.event.heal_after_s
        self._stage, self._deployment = stage, stage.deployment
        self._nodes = stage.nodes()

    @property
    def subject(self) -> str:
        """The nodes."""
        return " and ".join(self._nodes)

    def aim(self) -> None:
        """Choose the nodes."""
        self._nodes = self._stage.nodes()

    def inject(self) -> int:
        """Kill; returns when the first signal was sent."""
        return min([self._deployment.kill_node(node) for node in self._nodes])

    def confirmed(self) -> bool:
        """Whether the nodes are silent."""
        return not any(self._deployment.probe_node(node) for node in self._nodes)

    def heal(self) -> None:
        """Start the nodes again on the same directories and ports."""
        for node in self._nodes:
            self._deployment.start_node(node)

    def healed(self) -> bool:
        """Whether the nodes answer again."""
        return all(self._deployment.probe_node(node) for node in self._nodes)
