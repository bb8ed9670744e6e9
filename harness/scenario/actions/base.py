"""What every entry of a timeline has, and the mixins that say what it acts on.

A new action is one class: ``do`` with its word, its own keys, and what of the following differs from the default::

    class PauseBroker(OnNodes):
        do: Literal["pause-broker"]
        for_: PositiveDuration = Field(alias="for", description="how long it stands still")

``rules`` checks the times, the subjects and the overlaps of every action alike; what else can be wrong is said by
``problems``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeAlias

from pydantic import AfterValidator, Field

from crep.harness.config.units import (
    QUANTITY_KEY,
    Duration,
    PositiveDuration,
    format_duration,
    format_rate,
    format_size,
)
from crep.harness.scenario.node_words import FORMS, parse_node
from crep.harness.scenario.parts import Count, Name, Part

if TYPE_CHECKING:
    from crep.harness.scenario.model import Definition

Json: TypeAlias = "str | int | float | bool | Mapping[str, Json] | Sequence[Json] | None"
"""Anything that ``json.dumps`` writes."""


@dataclass(frozen=True)
class Subjects:
    """What an action acts on, as the file has it; None: nothing of that kind."""

    nodes: bool = False  # it acts on nodes of a site's broker
    node: str | None = None  # which of them (``node_words``)
    reader: str | None = None  # ``reader`` or ``channel.reader``
    publishers: str | None = None  # a channel (all its publishers) or ``load N`` (one load entry, counted from 1)
    channel: str | None = None


class Action(Part):
    """An entry of a timeline: it is injected at its time, and healed ``heal_after_s`` later."""

    do: str = Field(description="what is done")
    at: Duration = Field(description="time from the first measured message")
    every: PositiveDuration | None = Field(None, description="again and again, at this distance")
    times: Count | None = Field(None, description="how often with `every`; default as often as fits into the run")
    site: Name | None = Field(None, description="which site's broker; may be left out where there is one site")

    HEAL_KEY: ClassVar[str] = "for"
    """The key that says how long after the injection it is healed: complaints about that moment point there."""
    ENDS: ClassVar[str] = "it would end"
    """What healing is, in words that the moment follows: ``the broker would start again``."""
    STILL: ClassVar[str] = "it is not over yet"
    """Why a second one cannot come before the first is healed; ``{at}`` stands for the first one's time."""
    AT_RANDOM: ClassVar[Mapping[str, Json] | None] = None
    """Keys that it takes where ``chaos`` names it by its word alone; None: its keys have to be given there."""
    EXCLUSIVE: ClassVar[str] = ""
    """Actions of one kind never overlap on one subject, because one would undo the other; empty: they may."""

    SETTLES_S: ClassVar[float] = 0.0
    """Seconds after that in which ``chaos`` brings nothing of the same kind: what a broker needs to be up again."""

    @property
    def heal_after_s(self) -> float | None:
        """Seconds from injection to the start of healing, as `HEAL_KEY` says; None: it lasts to the end of the run.

        0 where there is no such key: what is done at once.
        """
        named = (name for name, field in type(self).model_fields.items() if self.HEAL_KEY in (name, field.alias))
        field = next(named, None)
        return 0.0 if field is None else getattr(self, field)

    def parameters(self) -> dict[str, Json]:
        """What the fault needs to know beside its subject. Plain data: it stands in ``run.json``."""
        return {}

    def subjects(self) -> Subjects:
        """What it acts on."""
        return Subjects()

    def written(self) -> dict[str, Json]:
        """As a timeline has it: what differs from the defaults, quantities with their units."""
        keys = self.model_json_schema(by_alias=True)["properties"]
        given = self.model_dump(by_alias=True, exclude_defaults=True)
        return {key: _with_unit(value, keys[key]) for key, value in given.items() if value is not None}

    def problems(self, definition: Definition) -> Iterator[tuple[str, str]]:
        """Each combination with the rest of the scenario that makes no sense: the key it stands at, and the text."""
        yield from ()


_FORMATS: Mapping[str, Callable[[Any], str]] = {"duration": format_duration, "size": format_size, "rate": format_rate}


def _with_unit(value: Any, schema: Mapping[str, Any]) -> Json:
    for choice in (schema, *schema.get("anyOf", ())):
        if choice.get(QUANTITY_KEY) in _FORMATS and isinstance(value, int | float):
            return _FORMATS[choice[QUANTITY_KEY]](value)
    return value  # type: ignore[no-any-return]  # of a model's dump


def _check_node(text: str) -> str:
    parse_node(text)
    return text


class OnNodes(Action):
    """An action on the processes or connections of a site's nodes."""

    node: Annotated[str, AfterValidator(_check_node)] | None = Field(
        None, description=f"{FORMS}, decided when it happens; default the only node"
    )

    def subjects(self) -> Subjects:
        """The nodes."""
        return replace(super().subjects(), nodes=True, node=self.node)


class OnReader(Action):
    """An action on a reader's members."""

    reader: str = Field(description="the reader, or channel.reader where several channels have one of that name")

    def subjects(self) -> Subjects:
        """The reader."""
        return replace(super().subjects(), reader=self.reader)


class OnPublishers(Action):
    """An action on publishing clients."""

    publishers: str = Field(description="a channel: all its publishers; or 'load N': those of the Nth load entry")

    def subjects(self) -> Subjects:
        """The publishers."""
        return replace(super().subjects(), publishers=self.publishers)


class OnChannel(Action):
    """An action on what stands for a channel at the broker."""

    channel: Name = Field(description="the channel")

    def subjects(self) -> Subjects:
        """The channel."""
        return replace(super().subjects(), channel=self.channel)
