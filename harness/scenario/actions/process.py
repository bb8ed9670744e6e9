"""Actions on broker processes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from crep.harness.config.units import PositiveDuration
from crep.harness.scenario.actions.base import OnNodes

if TYPE_CHECKING:
    from crep.harness.scenario.model import Definition


class KillBroker(OnNodes):
    """End a broker process at once (SIGKILL), and start it again on the same data."""

    do: Literal["kill-broker"]
    restart_after: PositiveDuration | None = Field(None, description="default: it stays down")

    HEAL_KEY = "restart_after"
    ENDS = "the broker would start again"
    STILL = "the broker that was killed at {at} is still down then"
    EXCLUSIVE = "process"

    @property
    def heal_after_s(self) -> float | None:
        """Until it is started again."""
        return self.restart_after

    def problems(self, definition: Definition) -> Iterator[tuple[str, str]]:
        """A broker that has the only copy of a message has to come back."""
        if self.restart_after is None and definition.durability.copies == 1:
            yield (
                "do",
                "with one copy of each message, all is lost with a broker that stays down; give 'restart_after'",
            )
