"""Actions on the connections between clients and brokers, and between nodes.

They are carried by a proxy that knows who connects; crep's own look at the broker is never failed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from crep.harness.config.suggest import nearest
from crep.harness.config.units import Duration, PositiveDuration, Size
from crep.harness.scenario.actions.base import Action, Json, Subjects
from crep.harness.scenario.side_words import FORMS, parse_side

if TYPE_CHECKING:
    from crep.harness.scenario.model import Definition


def _check_side(text: str) -> str:
    parse_side(text)
    return text


Side = Annotated[str, AfterValidator(_check_side)]
Direction = Literal["both", "to-node", "from-node"]


class _OnLinks(Action):
    """An action on connections that some open to others."""

    of: Side = Field("clients", description=f"who opens the connections: {FORMS}")
    to: Side = Field("brokers", description="the nodes that they lead to, in the same words, decided when it happens")

    AT_RANDOM: ClassVar[Mapping[str, Json] | None] = {"for": "2 s"}

    def subjects(self) -> Subjects:
        """The links."""
        return Subjects(nodes=True)

    def parameters(self) -> dict[str, Json]:
        """Both sides."""
        return {"of": self.of, "to": self.to}

    def problems(self, definition: Definition) -> Iterator[tuple[str, str]]:
        """Sides between which nothing is."""
        yield from super().problems(definition)
        for key, text in (("of", self.of), ("to", self.to)):
            yield from _unknown_channel(key, text, definition)
        if parse_side(self.to).clients:
            yield "to", "nobody connects to clients; name nodes here, and clients as 'of'"
        elif self.of.split() == self.to.split():
            yield "to", "must differ from 'of'"


def _unknown_channel(key: str, text: str, definition: Definition) -> Iterator[tuple[str, str]]:
    channel = parse_side(text).channel
    if channel is not None and channel not in definition.channels:
        yield key, f"there is no channel {channel!r}{nearest(channel, definition.channels)}"


class _Lasting(_OnLinks):
    """An effect that is taken back after a while."""

    for_: PositiveDuration | None = Field(None, alias="for", description="how long it lasts; default: to the run's end")

    ENDS = "the links would be free again"


class _Directed(_Lasting):
    """An effect that may hold one way only."""

    direction: Direction = Field("both", description="which way, as seen from who opened the connection")

    def parameters(self) -> dict[str, Json]:
        """The sides and the way."""
        return {**super().parameters(), "direction": self.direction}


class AddLatency(_Directed):
    """Let every byte arrive later, in the order in which it was sent."""

    do: Literal["latency"]
    add: PositiveDuration = Field(description="one way; with direction: both a round trip takes twice as much longer")
    jitter: Duration = Field(0.0, description="each delay is up to this much shorter or longer, uniformly")

    AT_RANDOM: ClassVar[Mapping[str, Json] | None] = {"add": "20 ms", "jitter": "5 ms", "for": "2 s"}

    def parameters(self) -> dict[str, Json]:
        """The delay."""
        return {**super().parameters(), "add_s": self.add, "jitter_s": self.jitter}

    def problems(self, definition: Definition) -> Iterator[tuple[str, str]]:
        """No byte arrives before it was sent; what takes a minute is a stall."""
        yield from super().problems(definition)
        if self.jitter > self.add:
            yield "jitter", "must be at most 'add': no byte arrives before it was sent"
        if self.add > 60.0:
            yield "add", "must be at most 60 s; what never arrives is a stall"


class LimitBandwidth(_Directed):
    """Let the connections together pass no more than so many bytes a second, each way."""

    do: Literal["bandwidth"]
    per_second: Size = Field(description="bytes a second that all of the connections share, in each direction")

    def parameters(self) -> dict[str, Json]:
        """The rate."""
        return {**super().parameters(), "bytes_per_s": self.per_second}

    AT_RANDOM: ClassVar[Mapping[str, Json] | None] = {"per_second": "100 KiB", "for": "2 s"}

    def problems(self, definition: Definition) -> Iterator[tuple[str, str]]:
        """Nothing at all is a stall."""
        yield from super().problems(definition)
        if self.per_second < 1:
            yield "per_second", "must be at least 1 B; where nothing passes, that is a stall"


class StallLinks(_Directed):
    """Let nothing pass, as in a black hole: connections stay open, and what was sent arrives when it is over."""

    do: Literal["stall"]


class ResetLinks(_OnLinks):
    """End open connections by RST on both sides, once; who connects again gets through."""

    do: Literal["reset"]

    AT_RANDOM: ClassVar[Mapping[str, Json] | None] = {}


class RefuseLinks(_Lasting):
    """Refuse new connections; open ones are left alone."""

    do: Literal["refuse"]


class HalfOpenLinks(_Directed):
    """Let one side vanish without a word while the other goes on believing in its connections, which end with RST when
    it is over."""

    do: Literal["half-open"]


class Partition(Action):
    """Cut every connection between two parties, in both directions, whoever opened it."""

    do: Literal["partition"]
    between: list[Side] = Field(min_length=2, max_length=2, description=f"two of: {FORMS}")
    how: Literal["stall", "reset"] = Field(
        "stall",
        description="stall: packets vanish, connections stay open; reset: they end with RST and new ones are refused",
    )
    for_: PositiveDuration | None = Field(None, alias="for", description="how long it lasts; default: to the run's end")

    ENDS = "the parties would be joined again"
    AT_RANDOM: ClassVar[Mapping[str, Json] | None] = {"between": ["random", "rest"], "for": "2 s"}

    def subjects(self) -> Subjects:
        """The links."""
        return Subjects(nodes=True)

    def parameters(self) -> dict[str, Json]:
        """Both sides, and how they are cut."""
        return {"between": list(self.between), "how": self.how}

    def problems(self, definition: Definition) -> Iterator[tuple[str, str]]:
        """Sides between which nothing is."""
        yield from super().problems(definition)
        for text in self.between:
            yield from _unknown_channel("between", text, definition)
        one, other = (parse_side(text) for text in self.between)
        if one.clients and other.clients:
            yield "between", "clients never connect to each other; name nodes on one side"
        elif one == other or {one.kind, other.kind} == {"rest"}:
            yield "between", "the two sides must differ"
