"""The plan: all that a run needs to know of a scenario, resolved and checked; plain, frozen data.

``plan(scenario)`` makes it. What belongs to one publisher is a ``PublisherPlan`` of its own (``publisher_plan``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from crep.harness.brokers.contract import ChannelSpec, Durability, ReaderSpec
from crep.harness.scenario.actions.base import Json
from crep.harness.scenario.actions.clients import most_members
from crep.harness.scenario.actions.messages import Replay
from crep.harness.scenario.assignment import Assignment
from crep.harness.scenario.daily import Daily
from crep.harness.scenario.defects import Defects
from crep.harness.scenario.documents import Documents
from crep.harness.scenario.expectation import Expectation
from crep.harness.scenario.load_model import Load
from crep.harness.scenario.load_rules import measured_s, profile_of
from crep.harness.scenario.model import Definition, Scenario, can_fail, logical_readers
from crep.harness.scenario.publisher_plan import PublisherPlan
from crep.harness.scenario.rules import expectations
from crep.harness.scenario.sizes import Sizes
from crep.harness.scenario.timeline_rules import happenings, where
from crep.harness.scenario.topics import selection
from crep.harness.scenario.via_rules import forwarding

Carrier = Literal["payload", "property"]

CONTROL_AT_LEAST_S = 10.0  # METHOD rule 13: a baseline is at least 10 s long
CONTROL_AT_MOST_S = 12.0


@dataclass(frozen=True)
class TimelineEvent:
    """Something that is done at a declared time (seconds relative to t0), with all that its fault needs to know.

    ``node`` is the word for the nodes (``node_words``), None where the site's only node is meant or no node at all.
    ``channel`` is that of the readers or publishers, or the channel itself. ``heal_after_s`` counts from the injection:
    0 where it is done at once, None where it lasts to the end of the run.
    """

    index: int
    at_s: float
    action: str
    site: str
    node: str | None = None
    channel: str | None = None
    readers: tuple[str, ...] = ()  # logical ones
    publishers: tuple[int, ...] = ()  # numbers, unique in the run
    heal_after_s: float | None = 0.0
    parameters: Mapping[str, Json] = field(default_factory=dict)
    written: Mapping[str, Json] = field(default_factory=dict)  # as an entry of a timeline

    @property
    def ends_s(self) -> float:
        """When the event is over, as declared."""
        return self.at_s + (self.heal_after_s or 0.0)


@dataclass(frozen=True)
class ServicePlan:
    """A service that fills ``channel`` from ``source``: a bridge, or a command of the user's.

    ``kept`` says of each topic of the source whether its messages go on; what they then are called stands in the
    channel's spec, at the same place.
    """

    channel: str
    site: str
    source: str
    source_site: str
    kept: tuple[bool, ...]
    in_order: bool  # whether a reader behind it asks for order per key
    bridge: str | None = None  # as the scenario names the file
    route: str | None = None
    command: tuple[str, ...] = ()
    transform: str = ""  # in words


@dataclass(frozen=True)
class ReplayPlan:
    """A channel that is captured for the whole run, because the timeline asks for some of it again."""

    channel: str
    site: str
    keep_s: float  # the longest window that is asked for


@dataclass(frozen=True)
class Plan:
    """One run. ``channels`` is keyed by site; readers with ``share: all`` are expanded into their members."""

    scenario: str
    channels: dict[str, tuple[ChannelSpec, ...]]
    publishers: tuple[PublisherPlan, ...]
    timeline: tuple[TimelineEvent, ...]
    expectations: tuple[Expectation, ...]
    warm_up_s: float
    measured_s: float
    drain_s: float
    lateness_s: float
    reconnect_s: float
    carrier: Carrier
    seed: int
    repeat: int
    pin: Literal["auto", "off"] = "auto"  # brokers and clients to cores of their own (METHOD rule 17)
    daily: Daily | None = None  # the volume that is asked for
    services: tuple[ServicePlan, ...] = ()  # between channels
    replays: tuple[ReplayPlan, ...] = ()  # the control run captures too: its load is the same

    def publishers_of(self, channel: str) -> tuple[PublisherPlan, ...]:
        """The channel's publishers, by their place in it."""
        mine = [publisher for publisher in self.publishers if publisher.channel == channel]
        return tuple(sorted(mine, key=lambda publisher: publisher.channel_index))

    def service_of(self, channel: str) -> ServicePlan | None:
        """The service that fills the channel; None where publishers do."""
        return next((service for service in self.services if service.channel == channel), None)

    def feeders_of(self, channel: str) -> tuple[PublisherPlan, ...]:
        """The publishers whose messages come into the channel, by a service too; by their place."""
        service = self.service_of(channel)
        return self.publishers_of(channel if service is None else service.source)

    def documents_before(self, channel: str) -> Documents | None:
        """What was published, where a service makes other payloads of it before it comes into the channel."""
        feeders = self.feeders_of(channel)
        return feeders[0].documents if feeders and self.service_of(channel) is not None else None

    def selected(self, channel: ChannelSpec, reader: ReaderSpec) -> NDArray[np.bool_]:
        """For each topic that its feeders publish to whether the reader is to get what is published there."""
        wanted = selection(reader.topic_filter, channel.topics)
        service = self.service_of(channel.name)
        return wanted if service is None else wanted & np.array(service.kept, np.bool_)


def without_faults(original: Plan) -> Plan:
    """The control run: the same channels and publishers at their first rate, no timeline, no defects, nothing
    expected.

    It is measured for 10 to 12 s: enough for a baseline (METHOD rule 13), no longer than the run itself where that lies
    between.
    """
    measured_s = max(CONTROL_AT_LEAST_S, min(original.measured_s, CONTROL_AT_MOST_S))
    publishers = tuple(
        replace(publisher, profile=publisher.profile.held(measured_s), defects=Defects())
        for publisher in original.publishers
    )
    return replace(original, publishers=publishers, timeline=(), expectations=(), measured_s=measured_s)


def plan(scenario: Scenario) -> Plan:
    """The plan of a checked scenario. Pure: the same scenario gives the same plan."""
    definition = scenario.definition
    measure = definition.measure
    channels = {name: _channel_spec(name, definition) for name in definition.channels}
    by_site = {
        site: tuple(spec for name, spec in channels.items() if definition.site_of(name) == site)
        for site in definition.sites
    }
    return Plan(
        scenario=scenario.name,
        channels=by_site,
        publishers=tuple(_publishers(definition, channels)),
        timeline=tuple(_timeline(definition)),
        expectations=tuple(
            expectation for _, expectation in expectations(definition) if isinstance(expectation, Expectation)
        ),
        warm_up_s=measure.warm_up,
        measured_s=measured_s(definition),
        drain_s=measure.drain,
        lateness_s=measure.lateness,
        reconnect_s=measure.reconnect.for_,
        carrier=measure.carrier,
        seed=measure.seed,
        repeat=measure.repeat,
        pin=measure.pin,
        services=tuple(_services(definition)),
        replays=tuple(_replays(definition)),
        daily=None if definition.daily is None else Daily(definition.daily.messages, definition.daily.peak),
    )


def _channel_spec(name: str, definition: Definition) -> ChannelSpec:
    channel = definition.channels[name]
    source = definition.channels[definition.source_of(name)]
    given_up_after = None if channel.dead_letters is None else channel.dead_letters.after_deliveries
    readers = [
        ReaderSpec(
            name=logical,
            share=reader.share,
            members=1 if reader.share == "all" else most_members(reader, written, name, definition.actions),
            at_first=None if reader.share == "all" else reader.members,
            delivery=reader.delivery,
            acknowledge=reader.acknowledge,
            processing_s=reader.processing,
            topic_filter=None if reader.filter is None else reader.filter.topic,
            order="per-key" if reader.order == "per-key" else "none",
            dead_letters_after=given_up_after if can_fail(reader) else None,
        )
        for written, reader in channel.readers.items()
        for logical in logical_readers(definition)[name][written]
    ]
    durability = Durability(definition.durability.copies, definition.durability.sync)
    return ChannelSpec(
        name,
        channel.concrete_topics if channel.via is None else forwarding(channel.via, definition).topics,
        source.key_count,
        tuple(readers),
        durability,
        max_bytes=channel.max_size,
        expires=any(load.message.ttl is not None for load in definition.loads_of(name)),
    )


def _services(definition: Definition) -> Iterator[ServicePlan]:
    for name, channel in definition.channels.items():
        via = channel.via
        if via is None:
            continue
        kept = "all" if via.keeps is None else via.keeps
        topic = "its topic" if via.topic is None else via.topic
        yield ServicePlan(
            channel=name,
            site=definition.site_of(name),
            source=via.from_,
            source_site=definition.site_of(via.from_),
            kept=tuple(forwarding(via, definition).kept.tolist()),
            in_order=any(reader.order == "per-key" for reader in channel.readers.values()),
            bridge=via.bridge,
            route=via.route,
            command=via.words,
            transform=f"{kept} of {via.from_} goes on, one message for each, under {topic}",
        )


def _replays(definition: Definition) -> Iterator[ReplayPlan]:
    windows: dict[str, float] = {}
    for action in definition.actions:
        if isinstance(action, Replay):
            windows[action.channel] = max(action.last, windows.get(action.channel, 0.0))
    for channel, keep_s in windows.items():
        yield ReplayPlan(channel, definition.site_of(channel), keep_s)


def _defects(load: Load, definition: Definition) -> Defects:
    if load.defects is None:
        return Defects()
    too_large = 2 * (definition.channels[load.to].max_size or 0)
    return Defects(load.defects.poison or 0.0, load.defects.oversize or 0.0, too_large)


def _publishers(definition: Definition, channels: dict[str, ChannelSpec]) -> Iterator[PublisherPlan]:
    of_channel = Counter[str]()
    for load in definition.load:
        of_channel[load.to] += load.publishers
    placed = Counter[str]()
    numbers = count()
    for entry, load in enumerate(definition.load):
        profile = profile_of(definition, entry)
        documents = None if load.message.file is None else definition.documents[load.message.file]
        for index in range(load.publishers):
            channel = channels[load.to]
            assignment = Assignment(
                seed=definition.measure.seed,
                publisher=placed[load.to],
                publishers=of_channel[load.to],
                keys=channel.keys,
                topics=len(channel.topics),
                skew=definition.channels[load.to].key_skew,
            )
            placed[load.to] += 1
            yield PublisherPlan(
                publisher=next(numbers),
                site=definition.site_of(load.to),
                channel=load.to,
                load=entry,
                index=index,
                of=load.publishers,
                guaranteed=load.mode == "guaranteed",
                seed=definition.measure.seed,
                profile=profile,
                assignment=assignment,
                sizes=Sizes(load.message.size_choices if documents is None else documents.size_choices),
                defects=_defects(load, definition),
                ttl_ms=None if load.message.ttl is None else max(1, round(load.message.ttl * 1000)),
                properties=dict(load.message.properties or {}),
                documents=documents,
            )


def _timeline(definition: Definition) -> Iterator[TimelineEvent]:
    """Events in the order of their times, numbered in that order."""
    for index, action in enumerate(happenings(definition)):
        place = where(action, definition)
        yield TimelineEvent(
            index=index,
            at_s=action.at,
            action=action.do,
            site=place.site,
            node=place.node,
            channel=place.channel,
            readers=place.readers,
            publishers=place.publishers,
            heal_after_s=action.heal_after_s,
            parameters=action.parameters(),
            written=action.written(),
        )
