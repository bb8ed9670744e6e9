"""Actions on the service between two channels: a bridge, or a program of the user's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from crep.harness.config.units import PositiveDuration
from crep.harness.scenario.actions.base import Json, OnChannel

if TYPE_CHECKING:
    from crep.harness.scenario.model import Definition

GRACE_S = 30.0


class _OnBridge(OnChannel):
    """The ``channel`` is the one that the bridge fills."""

    EXCLUSIVE = "bridge"

    def problems(self, definition: Definition) -> Iterator[tuple[str, str]]:
        """The channel has to have a bridge."""
        channel = definition.channels.get(self.channel)
        if channel is not None and channel.via is None:
            filled = ", ".join(name for name, one in definition.channels.items() if one.via is not None) or "none"
            yield "channel", f"no bridge fills channel {self.channel!r}; channels with 'via': {filled}"


class _Ended(_OnBridge):
    restart_after: PositiveDuration | None = Field(None, description="default: it stays down")

    HEAL_KEY = "restart_after"
    ENDS = "the bridge would start again"


class KillBridge(_Ended):
    """End a bridge's process at once (SIGKILL), and start it again."""

    do: Literal["kill-bridge"]

    STILL = "the bridge that was killed at {at} is still down then"


class StopBridge(_Ended):
    """Tell a bridge's process to end (SIGTERM), and start it again."""

    do: Literal["stop-bridge"]
    grace: PositiveDuration = Field(GRACE_S, description="a bridge that has not ended by then is killed")

    STILL = "the bridge that was stopped at {at} is still down then"

    def parameters(self) -> dict[str, Json]:
        """How long it may take."""
        return {"grace_s": self.grace}


class PauseBridge(_OnBridge):
    """Stop a bridge's process where it stands (SIGSTOP) and let it go on: its connections stay open all the while."""

    do: Literal["pause-bridge"]
    resume_after: PositiveDuration

    HEAL_KEY = "resume_after"
    ENDS = "the bridge would go on"
    STILL = "the bridge that was paused at {at} still stands then"
