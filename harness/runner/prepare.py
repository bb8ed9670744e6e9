"""From a plan and running brokers to tasks for the engines: names, objects, settings."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace

from crep.harness.brokers.contract import (
    Adapter,
    Admin,
    ChannelSpec,
    Endpoint,
    Facts,
    MappingFile,
    Order,
    Provisioned,
    PublisherSpec,
    ReaderSpec,
    SubscriberSpec,
)
from crep.harness.brokers.mapping import load_mapping
from crep.harness.brokers.registry import DEFAULT_MAPPINGS, adapter
from crep.harness.config.targets import Target
from crep.harness.deployment.contract import Deployment
from crep.harness.load.engines import PublisherTask, SubscriberTask
from crep.harness.scenario.defects import Poison
from crep.harness.scenario.plan import Plan, ReplayPlan, ServicePlan
from crep.harness.scenario.via_rules import READER

STAMP_PROPERTY = "crep-stamp"
"""Name of the header or user property that carries the stamp where ``measure.carrier`` is ``property``."""

GIVEN_UP, REPLAYED = "given-up", "replayed"


def new_run_id() -> str:
    """Eight hexadecimal digits; as a number it is the ``run`` field of every stamp."""
    return secrets.token_hex(4)


@dataclass(frozen=True)
class Site:
    """One broker of the run, provisioned. ``channels`` are the scenario's; more may stand there (``with_services``)."""

    name: str
    target: Target
    deployment: Deployment
    adapter: Adapter
    admin: Admin
    endpoint: Endpoint
    mapping: MappingFile
    facts: Facts
    channels: tuple[ChannelSpec, ...]
    provisioned: Provisioned


def provision(
    run_id: str, plan: Plan, targets: Mapping[str, Target], deployments: Mapping[str, Deployment]
) -> list[Site]:
    """Create the native objects of every site.

    Raises:
        NotSupported: a target cannot reach the durability class or the sharing that the scenario asks for.
        BrokerError: a broker could not be reached or refused. What was created before is removed again.
    """
    sites: list[Site] = []
    try:
        for name, channels in plan.channels.items():
            wanted = with_services(name, channels, plan)
            sites.append(_provision_site(run_id, name, channels, wanted, targets[name], deployments[name]))
    except BaseException:
        for site in sites:
            site.admin.remove(site.provisioned)
            site.admin.close()
        raise
    return sites


def with_services(site: str, channels: tuple[ChannelSpec, ...], plan: Plan) -> tuple[ChannelSpec, ...]:
    """What is to stand on a site: its channels, with the services as readers of what they take; for each service that
    publishes there a channel of its own for what it gives up, and for each replay one for what comes again."""
    wanted = [
        replace(
            channel,
            readers=(
                *channel.readers,
                *(_reader(one) for one in plan.services if one.source == channel.name),
                *(_capture(one) for one in plan.replays if one.channel == channel.name),
            ),
        )
        for channel in channels
    ]
    for service in plan.services:
        if service.site == site:
            durability = next(channel.durability for channel in channels if channel.name == service.channel)
            kept = ReaderSpec(GIVEN_UP, "group", 1, "at-least-once")
            wanted.append(ChannelSpec(given_up_channel(service), (GIVEN_UP,), 1, (kept,), durability))
    for replay in plan.replays:
        if replay.site == site:
            channel = next(channel for channel in channels if channel.name == replay.channel)
            read = ReaderSpec(REPLAYED, "group", 1, "at-least-once", topic_filter=">")
            wanted.append(replace(channel, name=replayed_channel(replay.channel), readers=(read,), expires=False))
    return tuple(wanted)


def _reader(service: ServicePlan) -> ReaderSpec:
    """A service as a reader: it wants every message, with its topic."""
    order: Order = "per-key" if service.in_order else "none"
    return ReaderSpec(reader_of(service), "group", 1, "at-least-once", topic_filter=">", order=order)


def _capture(replay: ReplayPlan) -> ReaderSpec:
    """A capture as a reader: it wants every message, with its topic."""
    return ReaderSpec(capture_of(replay), "group", 1, "at-least-once", topic_filter=">")


def capture_of(replay: ReplayPlan) -> str:
    """What a capture is called as a reader of its channel."""
    return f"{READER}{replayed_channel(replay.channel)}"


def replayed_channel(channel: str) -> str:
    """The channel of what comes again of another one; its one reader is called ``REPLAYED``."""
    return f"{channel}-{REPLAYED}"


def reader_of(service: ServicePlan) -> str:
    """What a service is called as a reader of the channel that it takes."""
    return f"{READER}{service.channel}"


def given_up_channel(service: ServicePlan) -> str:
    """The channel of what a service gives up: its one topic and its one reader are called ``GIVEN_UP``."""
    return f"{service.channel}-{GIVEN_UP}"


def _provision_site(
    run_id: str,
    name: str,
    channels: tuple[ChannelSpec, ...],
    wanted: tuple[ChannelSpec, ...],
    target: Target,
    deployment: Deployment,
) -> Site:
    system = adapter(target.system)
    endpoint = deployment.endpoint()
    mapping = load_mapping(target.mapping or DEFAULT_MAPPINGS[target.system])
    admin = system.admin(endpoint)
    try:
        facts = admin.facts()
        provisioned = admin.provision(run_id, wanted, mapping)
    except BaseException:
        admin.close()
        raise
    return Site(name, target, deployment, system, admin, endpoint, mapping, facts, channels, provisioned)


def tasks(run_id: str, plan: Plan, sites: list[Site]) -> tuple[list[PublisherTask], list[SubscriberTask]]:
    """One task for each publishing client and for each member of each reader."""
    site_of = {channel.name: (site, channel) for site in sites for channel in site.channels}
    stamp_property = STAMP_PROPERTY if plan.carrier == "property" else None
    publishers = []
    for publisher in plan.publishers:
        site, channel = site_of[publisher.channel]
        spec = PublisherSpec(
            endpoint=site.endpoint,
            name=f"crep-{run_id}-p{publisher.publisher}",
            channel=channel.name,
            objects=site.provisioned.objects[channel.name],
            topics=channel.topics,
            guaranteed=publisher.guaranteed,
            settings={**site.mapping.publisher, **site.target.client},
            reconnect_for_s=plan.reconnect_s,
            stamp_property=stamp_property,
            ttl_ms=publisher.ttl_ms,
            properties=publisher.properties,
        )
        publishers.append(PublisherTask(plan=publisher, spec=spec))
    subscribers = [
        SubscriberTask(
            spec=SubscriberSpec(
                endpoint=site.endpoint,
                name=f"crep-{run_id}-{channel.name}-{reader.name}-{member}",
                channel=channel.name,
                reader=reader,
                member=member,
                objects=site.provisioned.objects[channel.name],
                settings={**site.mapping.subscriber, **site.target.client},
                reconnect_for_s=plan.reconnect_s,
                stamp_property=stamp_property,
            ),
            poison=_poison(plan, channel, reader),
            documents=plan.documents_before(channel.name),
        )
        for site, channel in site_of.values()
        for reader in channel.readers
        for member in range(reader.members)
    ]
    return publishers, subscribers


def _poison(plan: Plan, channel: ChannelSpec, reader: ReaderSpec) -> Poison | None:
    """What a reader is to fail at; None where it has no dead letter place, or nothing is poison."""
    shares = {one.publisher: one.defects.poison for one in plan.feeders_of(channel.name) if one.defects.poison}
    return Poison(plan.seed, shares) if shares and reader.dead_letters_after is not None else None
