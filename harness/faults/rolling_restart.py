"""``rolling-restart``: every broker is restarted in order, one after the other, as for an upgrade.

::

    inject: stop the first ──► heal: start it ──► healed? ─ no: not answering, or copies still behind
                                                     │
                                                     └ yes: stop and start the next one, until none is left
"""

from __future__ import annotations

from crep.harness.faults.contract import HEAL_WITHIN_S, Stage
from crep.harness.faults.stop_broker import StopBroker


class RollingRestart(StopBroker):
    """Healed when the last broker is: each answers, and all that a broker keeps has all its copies in step again."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self._waiting = list(self.nodes)
        self.heal_within_s = HEAL_WITHIN_S * len(self.nodes)

    def aim(self) -> None:
        """All of them, in their order."""
        super().aim()
        self._waiting = list(self.nodes)

    def inject(self) -> int:
        """Tell the first to end; returns when it was told."""
        self._current = self._waiting.pop(0)
        return self.deployment.stop_node(self._current, self.grace_s)

    def confirmed(self) -> bool:
        """Whether the first is silent."""
        return not self.deployment.probe_node(self._current)

    def heal(self) -> None:
        """Start it again."""
        self.deployment.start_node(self._current)

    def healed(self) -> bool:
        """Go on to the next where the last is healthy; whether all are done."""
        if not (self.deployment.probe_node(self._current) and self.stage.admin.in_step(self.stage.provisioned)):
            return False
        if not self._waiting:
            return True
        self.inject()
        self.heal()
        return False

    def cut_short(self) -> None:
        """Restart no further ones."""
        self._waiting.clear()
