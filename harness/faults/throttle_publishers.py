"""``throttle-publishers``: publishers may send so many bytes a second and no more. They are slowed, not refused."""

from __future__ import annotations

from typing import cast

from crep.harness.faults.administered import Administered
from crep.harness.faults.administration import Call
from crep.harness.faults.contract import Stage


class ThrottlePublishers(Administered):
    """In effect when the broker has the limit for every one of them."""

    act = "throttle"

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self._rate = cast(int, stage.event.parameters["bytes_per_s"])
        self._names: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        """The channel's publishers."""
        return f"publishers of {self.channel}"

    def aim(self) -> None:
        """Who publishes."""
        self._names = self.stage.clients.publishers(self.stage.event.publishers)

    def begin(self) -> None:
        """Limit them."""
        self.operator.throttle(self._names, self._rate)

    def undoing(self) -> list[Call]:
        """Limit them no longer."""
        return [("unthrottle", list(self._names))]

    def states(self) -> list[bool]:
        """Whether they are limited."""
        return [self.operator.throttled(self._names)]
