"""Actions on what is sent: stored messages that come again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field

from crep.harness.config.units import PositiveDuration
from crep.harness.scenario.actions.base import Json, OnChannel
from crep.replay.pacing import Pace

if TYPE_CHECKING:
    from crep.harness.scenario.model import Definition


class Replay(OnChannel):
    """Let the replay service send again what was captured of a channel, to a place beside it.

    A capture stands behind the channel for the whole run. What comes again goes to none of the channel's readers.
    """

    do: Literal["replay"]
    last: PositiveDuration = Field(description="what was captured in so long before it is sent again")
    pace: Annotated[str, AfterValidator(lambda text: str(Pace.parse(text)))] = Field(
        "fastest", description="original (as it was), x10 (ten times as fast), a rate such as 2000/s, or fastest"
    )

    def parameters(self) -> dict[str, Json]:
        """The window and the pace."""
        return {"last_s": self.last, "pace": self.pace}

    def problems(self, definition: Definition) -> Iterator[tuple[str, str]]:
        """The ledger has to know what was acknowledged there."""
        channel = definition.channels.get(self.channel)
        if channel is None:
            return
        if channel.via is not None:
            text = f"channel {self.channel!r} is filled by a service: replay {channel.via.from_!r}, where publishers"
            yield "channel", f"{text} send to"
        elif not any(load.mode == "guaranteed" for load in definition.loads_of(self.channel)):
            text = f"nothing that is sent to channel {self.channel!r} is acknowledged (mode: guaranteed)"
            yield "channel", f"{text}, so nobody could say whether a replay is complete"
