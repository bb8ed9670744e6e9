"""``shut-queue``: the ingress or the egress of a reader's queue is shut, and opened again.

Egress: the members are unbound and bind again when they may; meanwhile a backlog builds. Ingress: what comes is
discarded, and whether its publisher is told is the queue's ``rejectMsgToSenderOnDiscardBehavior``. *never* and
*when-queue-enabled*: no, it is acknowledged and lost; *always*: yes, it is rejected.
"""

from __future__ import annotations

from typing import cast

from crep.harness.brokers.operator import Discard, Gate
from crep.harness.faults.administered import Administered
from crep.harness.faults.administration import Call
from crep.harness.faults.contract import Stage


class ShutQueue(Administered):
    """In effect when the broker says that this side is off."""

    act = "shut"

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self._gate = cast(Gate, stage.event.parameters["gate"])
        self._discard = cast("Discard | None", stage.event.parameters["tell_publishers"])

    @property
    def subject(self) -> str:
        """The side and the readers."""
        return f"{self._gate} of {super().subject}"

    def begin(self) -> None:
        """Shut it."""
        for reader in self.readers:
            self.operator.shut(self.channel, reader, self._gate, self._discard)

    def undoing(self) -> list[Call]:
        """Open it."""
        return [("open", self.channel, reader, self._gate) for reader in self.readers]

    def states(self) -> list[bool]:
        """Whether each is shut."""
        return [self.operator.is_shut(self.channel, reader, self._gate) for reader in self.readers]
