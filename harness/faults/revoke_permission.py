"""``revoke-permission``: the clients of a channel lose the right to publish or to receive while they are connected.

A publish that is denied is refused: *rejected*, never acknowledged. Members that are denied get nothing; what is sent
meanwhile waits for them.
"""

from __future__ import annotations

from typing import cast

from crep.harness.brokers.operator import Side
from crep.harness.faults.administered import Administered
from crep.harness.faults.administration import Call
from crep.harness.faults.contract import Stage


class RevokePermission(Administered):
    """In effect when the broker has the rule in force."""

    def __init__(self, stage: Stage) -> None:
        self._side = cast(Side, stage.event.parameters["right"])
        self.act = "deny publish" if self._side == "publish" else "deny receive"
        super().__init__(stage)

    @property
    def subject(self) -> str:
        """The right and the channel."""
        return f"{self._side} of {self.channel}"

    def begin(self) -> None:
        """Deny."""
        self.operator.deny(self.channel, self._side)

    def undoing(self) -> list[Call]:
        """Allow."""
        return [("allow", self.channel, self._side)]

    def states(self) -> list[bool]:
        """Whether it is denied."""
        return [self.operator.denied(self.channel, self._side)]
