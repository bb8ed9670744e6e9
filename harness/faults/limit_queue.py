"""``limit-queue``: the quota of a reader's queue is lowered. What does not fit any more is discarded.

What becomes of it depends on what publishers are told. *never*: the broker acknowledges what it discards, so that the
ledger finds acknowledged messages lost. Otherwise the publisher gets a refusal: it is rejected, and no queue has it.
"""

from __future__ import annotations

from typing import cast

from crep.harness.brokers.operator import Discard
from crep.harness.faults.administered import Administered
from crep.harness.faults.administration import Call
from crep.harness.faults.contract import Stage


class LimitQueue(Administered):
    """In effect when the broker has the lower quota; it bites when as much is stored."""

    act = "limit"

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self._quota = cast(int, stage.event.parameters["quota_bytes"])
        self._discard = cast("Discard | None", stage.event.parameters["tell_publishers"])

    def begin(self) -> None:
        """Lower it."""
        for reader in self.readers:
            self.operator.limit(self.channel, reader, self._quota, self._discard)

    def undoing(self) -> list[Call]:
        """Raise it again."""
        return [("unlimit", self.channel, reader) for reader in self.readers]

    def states(self) -> list[bool]:
        """Whether each is lowered."""
        return [self.operator.limited(self.channel, reader) for reader in self.readers]
