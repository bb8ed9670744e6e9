"""What faults on broker processes share: the choice of nodes, when they happen, and the look from outside."""

from __future__ import annotations

from crep.harness.faults.contract import Fault, Stage
from crep.harness.faults.undo import Undo, revive_broker


class OnNodes(Fault):
    """A fault on one or several nodes of a deployment."""

    def __init__(self, stage: Stage) -> None:
        self.heal_after_s = stage.event.heal_after_s
        self.stage, self.deployment = stage, stage.deployment
        self.nodes = stage.nodes()  # refused here, before any load, where the target cannot

    @property
    def subject(self) -> str:
        """The nodes."""
        return " and ".join(self.nodes)

    def aim(self) -> None:
        """Choose the nodes."""
        self.nodes = self.stage.nodes()

    def silent(self) -> bool:
        """Whether none of the nodes answers its own protocol."""
        return not any(self.deployment.probe_node(node) for node in self.nodes)

    def answering(self) -> bool:
        """Whether all of the nodes answer."""
        return all(self.deployment.probe_node(node) for node in self.nodes)


class Down(OnNodes):
    """Nodes that were ended, however, and are started again on the same directories and ports.

    Confirmed by their silence on their own protocol, healed when they answer again.
    """

    def undo(self) -> tuple[Undo, ...]:
        """Start them again; of a broker that dies with crep there is nothing to start."""
        return (revive_broker(self.deployment.target),) if self.deployment.outlives_us else ()

    def confirmed(self) -> bool:
        """Whether the nodes are silent."""
        return self.silent()

    def heal(self) -> None:
        """Start the nodes again."""
        for node in self.nodes:
            self.deployment.start_node(node)

    def healed(self) -> bool:
        """Whether the nodes answer again."""
        return self.answering()
