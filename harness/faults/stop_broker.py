"""``stop-broker`` and ``restart-broker``: SIGTERM broker processes, and start them again, later or at once."""

from __future__ import annotations

from crep.harness.faults.contract import Stage
from crep.harness.faults.on_nodes import Down


class StopBroker(Down):
    """The brokers end in order: they hand over what they lead, flush, and close their connections."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self.grace_s = float(stage.event.parameters["grace_s"])  # type: ignore[arg-type]  # StopBroker.parameters

    def inject(self) -> int:
        """Tell them to end, one after the other; returns when the first was told."""
        return min([self.deployment.stop_node(node, self.grace_s) for node in self.nodes])
