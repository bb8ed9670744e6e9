"""The language of a scenario file: one class per mapping, one field per key. What fits together is ``rules``' part.

What a timeline can do is a package of its own, ``actions``.

Quantities are plain numbers here: seconds, bytes, messages per second, fractions. What a later version brings is
spelled already and refused as *not available yet*, so that a scenario which names it is told so at the right line.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Discriminator, Field, PrivateAttr, Tag, model_validator

from crep.harness.brokers.contract import Acknowledge, Guarantee, Share, Sync
from crep.harness.config.units import Duration, PositiveDuration, Rate, Size
from crep.harness.config.units import Share as Fraction
from crep.harness.scenario.actions import TimelineAction
from crep.harness.scenario.actions.base import Action
from crep.harness.scenario.assignment import parse_skew
from crep.harness.scenario.chaos import Chaos
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


class Channel(Part):
    """Where messages go: a topic space at a site, and the readers of it."""

    site: Name | None = Field(None, description="one of `sites`; may be left out where there is one")
    topics: Annotated[
        Annotated[Template, Tag("<text>")] | Annotated[list[Template], Tag("<list>")], Discriminator(_form)
    ] = Field(description="topic templates: levels by '/', values of a level as {name:first,second}")
    keys: Annotated[
        Annotated[Count, Tag("<count>")] | Annotated[Keys, Tag("<mapping>")], Discriminator(_count_or_mapping)
    ] = Field(
        description="message keys; key k belongs to publisher k modulo the number of publishers. A number: "
        "all are used equally"
    )
    readers: dict[Name, Reader] = Field(min_length=1, description="who reads the channel")
    dead_letters: DeadLetters | None = Field(
        None,
        description="when a message is given up; default never: it is delivered again, and discarded when it has "
        "outlived its `ttl`",
    )
    max_size: Size | None = Field(
        None, description="largest payload that the channel takes; the broker is set to refuse what is twice as large"
    )
    via: Annotated[str | None, NOT_YET] = Field(None, description="file of the bridge that fills the channel")

    @property
    def key_count(self) -> int:
        """Number of keys."""
        return self.keys if isinstance(self.keys, int) else self.keys.count

    @property
    def key_skew(self) -> float:
        """Exponent of Zipf's law; 0: all keys are used equally."""
        return 0.0 if isinstance(self.keys, int) else parse_skew(self.keys.skew)

    @property
    def concrete_topics(self) -> tuple[str, ...]:
        """Every topic of the channel, in the order of the templates."""
        templates = [self.topics] if isinstance(self.topics, str) else self.topics
        return tuple(topic for template in templates for topic in expand(template))


class SizeShare(Part):
    """One size and how many of the messages have it."""

    size: Size
    share: Fraction = Field(description="per cent of the messages")


class Message(Part):
    """What a message looks like. Sizes are of the payload, with crep's 40-byte stamp where the payload carries it."""

    size: Size | None = Field(None, description="payload bytes")
    sizes: list[SizeShare] | None = Field(None, min_length=1, description="instead of `size`: several, by share")
    file: Annotated[str | None, NOT_YET] = Field(None, description="instead of `size`: a file of documents")
    properties: dict[str, Scalar] | None = Field(
        None, description="user properties (Solace) or headers (Kafka) that each message carries"
    )
    ttl: PositiveDuration | None = Field(
        None, description="time to live: a reader that comes later gets the message no more"
    )
    priority: Annotated[Annotated[int, Field(strict=True, ge=0, le=9)] | None, NOT_YET] = Field(
        None, description="0 to 9"
    )

    @model_validator(mode="after")
    def _one_kind_of_size(self) -> Message:
        if (self.size is None) == (self.sizes is None):
            raise ValueError("needs either 'size' or 'sizes'")
        if self.sizes is not None and abs(sum(choice.share for choice in self.sizes) - 1) > 1e-9:
            total = sum(choice.share for choice in self.sizes)
            raise ValueError(f"the shares of 'sizes' add up to {total * 100:.6g} %, not to 100 %")
        return self

    @property
    def size_choices(self) -> tuple[tuple[int, float], ...]:
        """Bytes and fraction of each size."""
        if self.sizes is not None:
            return tuple((choice.size, choice.share) for choice in self.sizes)
        return ((self.size, 1.0),) if self.size is not None else ()


class Hold(Part):
    """A constant rate."""

    hold: Rate = Field(description="messages per time, over all publishers")
    for_: PositiveDuration = Field(alias="for")


class Ramp(Part):
    """A rate that changes linearly."""

    ramp: Rate = Field(description="the rate at the end")
    over: PositiveDuration
    from_: Rate | None = Field(None, alias="from", description="the rate at the start; default the one before")


class Burst(Part):
    """Bursts on top of the rate before, which holds between them."""

    burst: Rate = Field(description="the rate during a burst")
    for_: PositiveDuration = Field(alias="for", description="length of one burst")
    every: PositiveDuration | None = Field(None, description="from one burst to the next; default its length")
    times: Count = Field(1, description="how many")


class Sine(Part):
    """A rate that swings as a sine wave, like the load of a day; it begins at its lowest."""

    sine: Rate = Field(description="the highest rate")
    from_: Rate | None = Field(None, alias="from", description="the lowest rate; default the one before")
    period: PositiveDuration = Field(description="from one lowest rate to the next")
    for_: PositiveDuration | None = Field(None, alias="for", description="default one period")


def _segment(value: object) -> str | None:
    words = value if isinstance(value, dict) else ()
    return next((f"<{word}>" for word in ("hold", "ramp", "burst", "sine") if word in words), None)


SegmentPart = Annotated[
    Annotated[Hold, Tag("<hold>")]
    | Annotated[Ramp, Tag("<ramp>")]
    | Annotated[Burst, Tag("<burst>")]
    | Annotated[Sine, Tag("<sine>")],
    Discriminator(
        _segment,
        custom_error_type="segment",
        custom_error_message="is no part of a profile; write {hold: 2000/s, for: 30 s}, {ramp: 5000/s, over: 10 s}, "
        "{burst: 9000/s, for: 1 s, every: 5 s, times: 3} or {sine: 5000/s, from: 1000/s, period: 60 s}",
    ),
]


class RateProfile(Part):
    """The load profile: how many messages are meant to be sent when, over all publishers of the entry."""

    total: list[SegmentPart] | None = Field(None, min_length=1, description="parts, one after the other")
    recorded: str | None = Field(
        None,
        description="instead of `total`: a file of arrivals, one time in seconds a line, that are sent again as they "
        "came; its path is relative to the scenario",
    )
    arrivals: Literal["even", "poisson"] = Field(
        "even",
        description="even: at equal distances; poisson: at random, as from many independent clients, with the profile "
        "as mean rate (the seed fixes them)",
    )

    @model_validator(mode="after")
    def _one_kind_of_profile(self) -> RateProfile:
        if (self.total is None) == (self.recorded is None):
            raise ValueError("needs either 'total' or 'recorded'")
        if self.recorded is not None and self.arrivals != "even":
            raise ValueError("recorded arrivals are sent as they came: take out 'arrivals', or write 'total'")
        return self


class DefectShares(Part):
    """Messages that are meant to go wrong; which ones is fixed by the seed."""

    poison: Fraction | None = Field(
        None, description="per cent that every reader with `dead_letters` fails to process, at each delivery"
    )
    oversize: Fraction | None = Field(
        None, description="per cent that are twice as large as the channel takes (`max_size`)"
    )


class Load(Part):
    """Publishers of one channel."""

    to: Name = Field(description="the channel")
    publishers: Count = Field(1, description="publishing clients")
    mode: Literal["guaranteed", "direct"] = Field(
        "guaranteed", description="guaranteed: each message is acknowledged; direct: sent without acknowledgement"
    )
    message: Message
    rate: RateProfile
    defects: DefectShares | None = Field(None, description="messages that are meant to go wrong; default none")
    replay: Annotated[str | None, NOT_YET] = Field(None, description="an archive that is sent instead")


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

    @property
    def recordings(self) -> dict[str, str]:
        """Recorded arrivals: file as the scenario names it → packed times (``recording``). ``load`` fills it."""
        return self._recordings

    @property
    def actions(self) -> list[Action]:
        """All that may happen to brokers and clients: by the timeline, and by chance."""
        return [*self.timeline, *([] if self.chaos is None else self.chaos.menu)]

    def site_of(self, channel: str) -> str:
        """The site of a channel."""
        return self.channels[channel].site or self.sites[0]


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
