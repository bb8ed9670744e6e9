"""The language of a scenario file: one class per mapping, one field per key. What fits together is ``rules``' part.

What a timeline can do is a package of its own, ``actions``.

Quantities are plain numbers here: seconds, bytes, messages per second, fractions. What a later version brings is
spelled already and refused as *not available yet*, so that a scenario which names it is told so at the right line.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Discriminator, Field, PrivateAttr, Tag, model_validator

from crep.harness.brokers.contract import Acknowledge, Guarantee, Share, Sync
from crep.harness.config.units import Duration, PositiveDuration, Size
from crep.harness.scenario.actions import TimelineAction
from crep.harness.scenario.actions.base import Action
from crep.harness.scenario.assignment import parse_skew
from crep.harness.scenario.chaos import Chaos
from crep.harness.scenario.documents import Documents
from crep.harness.scenario.load_model import Load
from crep.harness.scenario.parts import NOT_YET, Count, Name, Part, Scalar, only
from crep.harness.scenario.topics import check_filter, expand

DEFAULT_SITE = "bus"


class Durability(Part):
    """The class that every target must be set up to; one that cannot is refused with the reason."""

    copies: Count = Field(description="nodes that have the message when it is acknowledged")
    sync: Sync = Field(description="how far each of them has it: none, memory (received) or disk (flushed)")


class PropertyFilter(Part):
    """A condition on a message property."""

    name: str
    equals: str


class Filter(Part):
    """Which of the channel's messages a reader wants."""

    topic: Annotated[str, AfterValidator(check_filter)] = Field(
        description="levels by '/'; '*' is any one level, a final '>' all further levels"
    )
    properties: Annotated[list[PropertyFilter] | None, NOT_YET] = Field(None, description="conditions on properties")


class Reader(Part):
    """One logical subscriber of a channel."""

    share: Share = Field(
        description="all: each member gets every message; group: members share them; exclusive: one is active, the "
        "others stand by"
    )
    members: Count = Field(1, description="clients of this reader; with share: all, as many readers")
    delivery: Guarantee = Field("at-least-once", description="at-most-once readers may miss messages")
    acknowledge: Acknowledge = Field(
        "after-processing",
        description="when an at-least-once reader acknowledges. on-receipt: as soon as it has the message (Kafka: "
        "committed by the client's interval); what it has not processed when it crashes is lost",
    )
    processing: Duration = Field(
        0.0, description="time that a member takes for each message, one by one; it is received when its turn comes"
    )
    order: Annotated[Literal["none", "per-key", "total"], only("none", "per-key")] = Field(
        "none",
        description="order that is asked for. per-key: the mapping must keep it for each publisher and key, and what "
        "is out of order counts as reordered; none: it is reported as allowed",
    )
    filter: Filter | None = Field(None, description="which messages; default all")


def can_fail(reader: Reader) -> bool:
    """Whether a reader can say that it failed to process a message: one that has acknowledged it before cannot."""
    return reader.delivery == "at-least-once" and reader.acknowledge == "after-processing"


class DeadLetters(Part):
    """When an at-least-once reader gives a message up, which then is set aside in a place of the reader's own."""

    after_deliveries: Annotated[int, Field(strict=True, ge=2, le=255)] = Field(
        description="so many deliveries that the reader failed to process; what has outlived its `ttl` is set aside too"
    )


def _form(value: object) -> str:
    return "<text>" if isinstance(value, str) else "<list>"


Template = Annotated[str, AfterValidator(lambda text: expand(text) and text)]


class Keys(Part):
    """How many keys, and how unequally they are used."""

    count: Count
    skew: Annotated[str, AfterValidator(lambda text: parse_skew(text) and text)] = Field(
        description="zipf S: of its own keys a publisher uses the j-th in proportion to 1 / j^S, for example zipf 1.1"
    )


def _count_or_mapping(value: object) -> str:
    return "<mapping>" if isinstance(value, dict | Keys) else "<count>"


class Via(Part):
    """A service that takes what is published to one channel and publishes what it makes of it to this one.

    What it does to the messages is declared here, for the ledger holds it to that: a message for each message, but
    those that it drops, under the topics that it gives them. A key keeps its order, and the stamp goes along.
    """

    from_: Name = Field(alias="from", description="the channel whose messages it takes; publishers send to it")
    bridge: str | None = Field(
        None, description="file of an enrichment bridge (`crep bridge`); its path is relative to the scenario"
    )
    route: Name | None = Field(None, description="the bridge's route; may be left out where it has one")
    command: (
        Annotated[
            Annotated[str, Tag("<text>")] | Annotated[list[str], Field(min_length=1), Tag("<list>")],
            Discriminator(_form),
        ]
        | None
    ) = Field(
        None,
        description="instead of `bridge`: a program of your own, run in the scenario's folder; `python` is crep's own",
    )
    keeps: Annotated[str, AfterValidator(check_filter)] | None = Field(
        None, description="topics of `from` that go on, as a reader's filter; the rest it drops. Default: all go on"
    )
    topic: str | None = Field(
        None,
        description="the topic that a message goes out under: names in {} are those of the levels that it came with. "
        "Default: the same",
    )

    @model_validator(mode="after")
    def _one_kind_of_service(self) -> Via:
        if (self.bridge is None) == (self.command is None):
            raise ValueError("needs either 'bridge', the file of an enrichment bridge, or 'command', your own program")
        if self.route is not None and self.bridge is None:
            raise ValueError("'route' is a bridge's: take it out, or name the 'bridge'")
        return self

    @property
    def words(self) -> tuple[str, ...]:
        """The command's words; none of a bridge."""
        return tuple(shlex.split(self.command) if isinstance(self.command, str) else self.command or ())


class Channel(Part):
    """Where messages go: a topic space at a site, and the readers of it."""

    site: Name | None = Field(None, description="one of `sites`; may be left out where there is one")
    topics: (
        Annotated[Annotated[Template, Tag("<text>")] | Annotated[list[Template], Tag("<list>")], Discriminator(_form)]
        | None
    ) = Field(
        None,
        description="topic templates: levels by '/', values of a level as {name:first,second}. Needed, but with `via`",
    )
    keys: (
        Annotated[
            Annotated[Count, Tag("<count>")] | Annotated[Keys, Tag("<mapping>")], Discriminator(_count_or_mapping)
        ]
        | None
    ) = Field(
        None,
        description="message keys; key k belongs to publisher k modulo the number of publishers. A number: "
        "all are used equally. Needed, but with `via`",
    )
    readers: dict[Name, Reader] = Field(
        default_factory=dict, description="who reads the channel; none where a `via` alone takes its messages"
    )
    dead_letters: DeadLetters | None = Field(
        None,
        description="when a message is given up; default never: it is delivered again, and discarded when it has "
        "outlived its `ttl`",
    )
    max_size: Size | None = Field(
        None, description="largest payload that the channel takes; the broker is set to refuse what is twice as large"
    )
    via: Via | None = Field(
        None, description="the service that fills the channel from another one, instead of publishers"
    )

    @model_validator(mode="after")
    def _topics_and_keys(self) -> Channel:
        for name in ("topics", "keys"):
            if getattr(self, name) is None and self.via is None:
                raise ValueError(f"needs {name!r}; or 'via', the service that fills it from another channel")
            if getattr(self, name) is not None and self.via is not None:
                raise ValueError(f"has 'via', so its {name} come from channel {self.via.from_!r}: take out {name!r}")
        return self

    @property
    def key_count(self) -> int:
        """Number of keys; of a channel that publishers send to."""
        if self.keys is None:
            return 0
        return self.keys if isinstance(self.keys, int) else self.keys.count

    @property
    def key_skew(self) -> float:
        """Exponent of Zipf's law; 0: all keys are used equally."""
        return parse_skew(self.keys.skew) if isinstance(self.keys, Keys) else 0.0

    @property
    def templates(self) -> tuple[str, ...]:
        """The templates of its topics; none where it is filled by a service."""
        return (self.topics,) if isinstance(self.topics, str) else tuple(self.topics or ())

    @property
    def concrete_topics(self) -> tuple[str, ...]:
        """Every topic of a channel that publishers send to, in the order of the templates."""
        return tuple(topic for template in self.templates for topic in expand(template))


class Reconnect(Part):
    """The budget that every client has, equal on all targets."""

    for_: PositiveDuration = Field(60.0, alias="for", description="how long a client tries to reconnect")


class Measure(Part):
    """How the run is measured."""

    warm_up: Duration = Field(10.0, description="before the first measured message, at the profile's first rate")
    drain: PositiveDuration = Field(60.0, description="how long to wait for what is still in the broker")
    repeat: Count = Field(5, description="repetitions; below 5 there is no interval and no winner")
    seed: Annotated[int, Field(strict=True, ge=0, lt=2**32)] = Field(1, description="of keys, topics and sizes")
    lateness: PositiveDuration = Field(0.005, description="a higher p99 of actual minus intended send: run invalid")
    reconnect: Reconnect = Reconnect.model_validate({})
    pin: Literal["auto", "off"] = Field(
        "auto", description="local brokers and clients each on cores of their own, where there are 4 or more"
    )
    carrier: Literal["payload", "property"] = Field(
        "payload", description="where crep's stamp travels: in front of the payload, or as a property or header"
    )


class ExpectEntry(Part):
    """An expectation with requirements of its own."""

    that: str = Field(description="for example billing.lost == 0")
    evidences: list[str] = Field(min_length=1, description="requirements; default those of the scenario")


Expect = Annotated[
    Annotated[str, Tag("<text>")] | Annotated[ExpectEntry, Tag("<list>")],
    Discriminator(_form),
]


class DailyVolume(Part):
    """The volume that a business asks for: the report holds messages × peak / 86,400 s against what the run carried."""

    messages: Count = Field(description="a day, over all channels")
    peak: Annotated[float, Field(ge=1)] = Field(1.0, description="the busiest second against the mean of the day")


class SideUsers(Part):
    """User names per side."""

    publishers: str | None = None
    readers: str | None = None


class SideTls(Part):
    """Encryption per side."""

    publishers: bool = False
    readers: bool = False


class Definition(Part):
    """A scenario file. It names no broker: `--on` binds its sites to targets."""

    scenario: Name = Field(description="the scenario's name")
    title: str = Field("", description="one line for lists and reports")
    evidences: list[str] = Field(default_factory=list, description="requirements that its expectations evidence")
    params: dict[Name, Scalar] = Field(
        default_factory=dict, description="values that stand for $name in the file; `-p name=value` replaces them"
    )
    sites: list[Name] = Field([DEFAULT_SITE], min_length=1, description="places for a broker")
    durability: Durability
    channels: dict[Name, Channel] = Field(min_length=1)
    load: list[Load] = Field(min_length=1)
    timeline: list[TimelineAction] = Field(default_factory=list, description="what is done to the brokers, and when")
    chaos: Chaos | None = Field(None, description="faults at random, beside those of the timeline")
    measure: Measure = Measure.model_validate({})
    expect: list[Expect] = Field(default_factory=list, description="thresholds: see the list of metrics")
    daily: DailyVolume | None = Field(None, description="volume of a day that the scenario stands for")
    vary: dict[str, Annotated[list[Scalar], Field(min_length=2)]] | None = Field(
        None,
        min_length=1,
        max_length=1,
        description="one dimension and its values, each run as a scenario of its own: a parameter's name, or the path "
        "of a key (`message.size` is that of every load entry)",
    )
    users: Annotated[SideUsers | None, NOT_YET] = None
    tls: Annotated[SideTls | None, NOT_YET] = None
    _recordings: dict[str, str] = PrivateAttr(default_factory=dict)
    _documents: dict[str, Documents] = PrivateAttr(default_factory=dict)

    @property
    def recordings(self) -> dict[str, str]:
        """Recorded arrivals: file as the scenario names it → packed times (``recording``). ``load`` fills it."""
        return self._recordings

    @property
    def documents(self) -> dict[str, Documents]:
        """Payloads: file as the scenario names it → its documents. ``load`` fills it."""
        return self._documents

    @property
    def actions(self) -> list[Action]:
        """All that may happen to brokers and clients: by the timeline, and by chance."""
        return [*self.timeline, *([] if self.chaos is None else self.chaos.menu)]

    def site_of(self, channel: str) -> str:
        """The site of a channel."""
        return self.channels[channel].site or self.sites[0]

    def source_of(self, channel: str) -> str:
        """The channel that its messages are published to: itself, or the one that a service takes them from."""
        via = self.channels[channel].via
        return channel if via is None else via.from_

    def loads_of(self, channel: str) -> list[Load]:
        """The load entries whose messages come into the channel, by a service too."""
        source = self.source_of(channel)
        return [load for load in self.load if load.to == source]


def logical_readers(definition: Definition) -> dict[str, dict[str, tuple[str, ...]]]:
    """Channel → reader as written → logical readers: with ``share: all`` each member is a reader of its own."""
    return {
        channel: {
            name: tuple(f"{name}-{member}" for member in range(1, reader.members + 1))
            if reader.share == "all" and reader.members > 1
            else (name,)
            for name, reader in content.readers.items()
        }
        for channel, content in definition.channels.items()
    }


@dataclass(frozen=True)
class Scenario:
    """A checked scenario with its source, as ``load.load_scenario`` gives it."""

    definition: Definition
    text: str
    sha256: str  # of the text, hexadecimal
    file_name: str  # without its folder
    params: dict[str, str]  # every parameter with the value that was used
    varied: tuple[str, str] | None = None  # dimension and value of this one of several
    files: tuple[Path, ...] = ()  # what it reads beside itself, which a run keeps a copy of
    dated_utc: str | None = field(default=None, compare=False)  # of its file; None: the text did not come from one
    folder: Path = field(default=Path(), compare=False)  # of its file, where its services find theirs

    @property
    def label(self) -> str:
        """``name`` or ``name@value``: what the run folder is called."""
        return self.name if self.varied is None else f"{self.name}@{self.varied[1]}"

    @property
    def name(self) -> str:
        """The scenario's name."""
        return self.definition.scenario

    @property
    def title(self) -> str:
        """One line for people; the name where the file gives none."""
        return self.definition.title or self.name

    @property
    def evidences(self) -> tuple[str, ...]:
        """Requirements."""
        return tuple(self.definition.evidences)

    @property
    def durability(self) -> Durability:
        """The class that every target must be set up to."""
        return self.definition.durability

    @property
    def measure(self) -> Measure:
        """How the run is measured."""
        return self.definition.measure

    @property
    def sites(self) -> tuple[str, ...]:
        """Places for a broker, which a binding fills."""
        return tuple(self.definition.sites)
