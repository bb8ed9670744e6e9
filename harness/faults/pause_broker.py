"""``pause-broker``: SIGSTOP broker processes, SIGCONT after ``resume_after``: a long pause of the machine or its JVM.

The connections stay open and accept bytes as far as the kernel's buffers reach: clients learn of it by time-outs only.
"""

from __future__ import annotations

from crep.harness.deployment.contract import DeploymentError
from crep.harness.faults.on_nodes import OnNodes
from crep.harness.faults.undo import Undo, resume_process


class PauseBroker(OnNodes):
    """Confirmed by the nodes' silence on their own protocol, healed when they answer again."""

    def undo(self) -> tuple[Undo, ...]:
        """Let the processes go on; those that die with crep need it no more, and are not there then."""
        pids = [self.deployment.node_pid(node) for node in self.nodes]
        return tuple(undo for pid in pids if pid is not None for undo in resume_process(pid))

    def inject(self) -> int:
        """Pause; returns when the first signal was sent. Either all stand still afterwards, or none."""
        paused: list[str] = []
        sent = []
        try:
            for node in self.nodes:
                sent.append(self.deployment.pause_node(node))
                paused.append(node)
        except DeploymentError:
            for node in paused:
                self.deployment.resume_node(node)
            raise
        return min(sent)

    def confirmed(self) -> bool:
        """Whether the nodes are silent."""
        return self.silent()

    def heal(self) -> None:
        """Let them go on."""
        for node in self.nodes:
            self.deployment.resume_node(node)

    def healed(self) -> bool:
        """Whether the nodes answer again."""
        return self.answering()
