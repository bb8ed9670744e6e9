"""Actions on broker processes, and the user's own commands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from crep.harness.config.units import PositiveDuration
from crep.harness.scenario.actions.base import Action, Json, OnNodes
from crep.harness.scenario.parts import Name

if TYPE_CHECKING:
    from crep.harness.scenario.model import Definition

GRACE_S = 30.0
"""How long a broker may take to end in order, before it is killed."""
UP_AGAIN_S = 10.0
"""What a broker usually takes at most to end and to start."""


class _Ended(OnNodes):
    """A broker that is ended, and started again on the same data."""

    restart_after: PositiveDuration | None = Field(None, description="default: it stays down")

    HEAL_KEY = "restart_after"
    ENDS = "the broker would start again"
    EXCLUSIVE = "process"
    SETTLES_S = UP_AGAIN_S

    def problems(self, definition: Definition) -> Iterator[tuple[str, str]]:
        """A broker that has the only copy of a message has to come back."""
        if self.restart_after is None and definition.durability.copies == 1:
            text = "with one copy of each message, all is lost with a broker that stays down; give 'restart_after'"
            yield "do", text


class KillBroker(_Ended):
    """End a broker process at once (SIGKILL), and start it again on the same data."""

    do: Literal["kill-broker"]

    STILL = "the broker that was killed at {at} is still down then"
    AT_RANDOM: ClassVar[Mapping[str, Json] | None] = {"node": "random", "restart_after": "2 s"}


class StopBroker(_Ended):
    """Tell a broker process to end (SIGTERM), and start it again on the same data."""

    do: Literal["stop-broker"]
    grace: PositiveDuration = Field(GRACE_S, description="a broker that has not ended by then is killed")

    STILL = "the broker that was stopped at {at} is still down then"
    AT_RANDOM: ClassVar[Mapping[str, Json] | None] = {"node": "random", "restart_after": "2 s"}

    def parameters(self) -> dict[str, Json]:
        """How long it may take."""
        return {"grace_s": self.grace}


class PauseBroker(OnNodes):
    """Stop a broker process where it stands (SIGSTOP) and let it go on: its connections stay open all the while."""

    do: Literal["pause-broker"]
    resume_after: PositiveDuration

    HEAL_KEY = "resume_after"
    ENDS = "the broker would go on"
    STILL = "the broker that was paused at {at} still stands then"
    EXCLUSIVE = "process"
    SETTLES_S = 1.0
    AT_RANDOM: ClassVar[Mapping[str, Json] | None] = {"node": "random", "resume_after": "2 s"}


class RestartBroker(OnNodes):
    """End a broker in order (SIGTERM), and start it again at once."""

    do: Literal["restart-broker"]
    grace: PositiveDuration = Field(GRACE_S, description="a broker that has not ended by then is killed")

    ENDS = "the broker would start again"
    EXCLUSIVE = "process"
    SETTLES_S = UP_AGAIN_S
    AT_RANDOM: ClassVar[Mapping[str, Json] | None] = {"node": "random"}

    def parameters(self) -> dict[str, Json]:
        """How long it may take."""
        return {"grace_s": self.grace}


class RollingRestart(OnNodes):
    """Restart brokers in order, one after the other; the next waits until every copy of the last is back in step."""

    do: Literal["rolling-restart"]
    node: Literal["all"] = Field("all", description="every broker of the site")
    grace: PositiveDuration = Field(GRACE_S, description="a broker that has not ended by then is killed")

    ENDS = "the first broker would start again"
    EXCLUSIVE = "process"
    SETTLES_S = 6 * UP_AGAIN_S  # three brokers, each back in step before the next
    AT_RANDOM: ClassVar[Mapping[str, Json] | None] = {}

    def parameters(self) -> dict[str, Json]:
        """How long each may take."""
        return {"grace_s": self.grace}


class Exec(Action):
    """Run commands of the target's own (`exec:` of its entry): to start a fault, to confirm it, to heal it."""

    do: Literal["exec"]
    hook: Name = Field(description="which of the target's `exec:`")
    for_: PositiveDuration | None = Field(None, alias="for", description="until it is healed; default: the run's end")

    def parameters(self) -> dict[str, Json]:
        """The hook's name."""
        return {"hook": self.hook}
