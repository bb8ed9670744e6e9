"""Actions on publishing and receiving clients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from crep.harness.config.units import Duration, PositiveDuration
from crep.harness.scenario.actions.base import Action, Json, OnChannel, OnPublishers, OnReader
from crep.harness.scenario.parts import Count

if TYPE_CHECKING:
    from crep.harness.scenario.model import Definition, Reader

Some = Count | Literal["all"]
"""How many of the clients that run; which ones is fixed by the seed."""

KILLS_CLIENTS = frozenset({"crash-reader", "crash-publisher"})
"""Actions that end clients without a warning."""
ENDS_CLIENTS = KILLS_CLIENTS | {"scale"}
"""Actions after which a client may have to go on with its own records: plans that have one write these ahead."""


def _reader(action: OnReader, definition: Definition) -> Reader | None:
    """The reader that is meant; None where it is not clear (which is told elsewhere)."""
    channel, dot, name = action.reader.rpartition(".")
    found = [
        content.readers[name]
        for named, content in definition.channels.items()
        if name in content.readers and (not dot or named == channel)
    ]
    return found[0] if len(found) == 1 else None


class OnMembers(OnReader):
    """An action on some of a reader's members, or all."""

    members: Some = Field("all", description="how many of those that are there; which ones is fixed by the seed")

    def parameters(self) -> dict[str, Json]:
        """How many."""
        return {**super().parameters(), "clients": self.members}

    def problems(self, definition: Definition) -> Iterator[tuple[str, str]]:
        """More members than there are."""
        yield from super().problems(definition)
        reader = _reader(self, definition)
        if reader is not None and isinstance(self.members, int) and self.members > reader.members:
            yield "members", f"reader {self.reader!r} has {reader.members}"


class PauseReader(OnReader):
    """Let all members of a reader stop reading, and go on later: a backlog builds and is drained under load."""

    do: Literal["pause-reader"]
    resume_after: PositiveDuration

    HEAL_KEY = "resume_after"
    ENDS = "the reader would go on"
    STILL = "the reader that was paused at {at} still stands then"
    EXCLUSIVE = "reading"


class SlowReader(OnReader):
    """Let every member of a reader take longer for each message, as if what it does had become slow."""

    do: Literal["slow-reader"]
    processing: PositiveDuration = Field(description="time that each message takes, one after the other")
    for_: PositiveDuration = Field(alias="for", description="how long that lasts")

    ENDS = "the reader would be as fast as before"
    STILL = "the reader that was slowed at {at} is still slow then"
    EXCLUSIVE = "pace"

    def parameters(self) -> dict[str, Json]:
        """The time for a message."""
        return {"processing_s": self.processing}


class FreezeReader(OnMembers):
    """Stop members where they are (SIGSTOP): connected and dead, until they are let go on."""

    do: Literal["freeze-reader"]
    resume_after: PositiveDuration

    HEAL_KEY = "resume_after"
    ENDS = "they would go on"
    STILL = "members that were frozen at {at} still are then"
    EXCLUSIVE = "reading"


class CrashReader(OnMembers):
    """End members without a warning (SIGKILL), and start them again; they go on with their own records."""

    do: Literal["crash-reader"]
    restart_after: PositiveDuration | None = Field(None, description="default: they stay away")

    HEAL_KEY = "restart_after"
    ENDS = "they would be started again"
    STILL = "members that crashed at {at} are not there then"
    EXCLUSIVE = "reading"

    def problems(self, definition: Definition) -> Iterator[tuple[str, str]]:
        """Nobody is left to read."""
        yield from super().problems(definition)
        reader = _reader(self, definition)
        nobody = reader is not None and self.members in ("all", reader.members)
        if nobody and self.restart_after is None:
            yield "do", "nobody would be left to read what is sent; give 'restart_after', or fewer 'members'"


class CrashPublisher(OnPublishers):
    """End publishers without a warning (SIGKILL), and start them again.

    They go on with their schedule behind the last message that they may have sent, and never send one again.
    """

    do: Literal["crash-publisher"]
    clients: Some = Field("all", description="how many of them; which ones is fixed by the seed")
    restart_after: PositiveDuration

    HEAL_KEY = "restart_after"
    ENDS = "they would be started again"
    STILL = "publishers that crashed at {at} are not there then"
    EXCLUSIVE = "publishing"

    def parameters(self) -> dict[str, Json]:
        """How many."""
        return {"clients": self.clients}


class Scale(OnReader):
    """Change the number of a reader's members: some join, or some close and leave."""

    do: Literal["scale"]
    to: Count = Field(description="members from then on")
    back_after: PositiveDuration | None = Field(None, description="then as many as before; default: it stays so")

    HEAL_KEY = "back_after"
    ENDS = "the reader would have its former members"
    STILL = "the reader that was scaled at {at} is not back at its former size then"
    EXCLUSIVE = "reading"

    @property
    def heal_after_s(self) -> float:
        """Until it is undone; 0 where that is the size from then on."""
        return self.back_after or 0.0

    def parameters(self) -> dict[str, Json]:
        """How many members."""
        return {"to": self.to, "back": self.back_after is not None}

    def problems(self, definition: Definition) -> Iterator[tuple[str, str]]:
        """Members that are readers of their own."""
        reader = _reader(self, definition)
        if reader is not None and reader.share == "all":
            yield "reader", "each member of a reader with 'share: all' is a reader of its own; scale a group"


class ConnectionStorm(OnChannel):
    """Connect as many clients as a deployment or a failing network would, each for a moment."""

    do: Literal["connection-storm"]
    connections: Count = Field(description="short-lived clients, each of which connects as a publisher of the channel")
    over: Duration = Field(description="the time over which they come")

    HEAL_KEY: ClassVar[str] = "over"
    ENDS = "the last would connect"
    STILL = "the storm of {at} is not over then"
    EXCLUSIVE = "connecting"

    def parameters(self) -> dict[str, Json]:
        """How many, and over which time."""
        return {"connections": self.connections, "over_s": self.over}


def most_members(reader: Reader, name: str, channel: str, timeline: Sequence[Action]) -> int:
    """As many members as the reader ever has at a time."""
    scaled = [
        action.to for action in timeline if isinstance(action, Scale) and action.reader in (name, f"{channel}.{name}")
    ]
    return max([reader.members, *scaled])
