"""The three brokers that work is measured on, with fresh native objects for each measurement."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from bench import noop
from crep.harness.brokers.contract import (
    ChannelSpec,
    Durability,
    Endpoint,
    Json,
    MappingFile,
    Provisioned,
    PublisherSpec,
    ReaderSpec,
    SubscriberSpec,
)
from crep.harness.brokers.mapping import load_mapping
from crep.harness.brokers.registry import DEFAULT_MAPPINGS, adapter
from crep.harness.config.targets import Target
from crep.harness.deployment import deploy

CHANNEL = "orders"
TOPICS = ("orders/eu", "orders/us")
KEYS = 1000
READERS = tuple(ReaderSpec(name, "group", 1, "at-least-once") for name in ("engine", "bare"))
"""Both read every message of a channel, each at its own place, so that both can be measured on the same messages."""
RECONNECT_S = 60.0

KAFKA = Target(
    name="kafka-bench",
    system="kafka",
    source="local",
    profile="default",
    mapping=None,
    port=0,
    settings={"group.initial.rebalance.delay.ms": 0},
)
"""The vendor's settings; but a group's first member does not wait 3 s for others, which no figure is about."""
EMULATOR = Target(name="solace-bench", system="solace", source="embedded", profile="quick", mapping=None, port=0)


@dataclass(frozen=True)
class Broker:
    """One running broker. ``durability`` is the lightest class that it offers: the client is to be the bottleneck."""

    name: str
    emulated: bool
    endpoint: Endpoint
    mapping: MappingFile
    durability: Durability

    @contextmanager
    def channel(self, readers: tuple[ReaderSpec, ...] = READERS) -> Iterator[Channel]:
        """A fresh channel, removed at the end."""
        number = secrets.randbits(32)
        spec = ChannelSpec(CHANNEL, TOPICS, KEYS, readers, self.durability)
        admin = adapter(self.endpoint.system).admin(self.endpoint)
        try:
            provisioned = admin.provision(f"{number:08x}", [spec], self.mapping)
            try:
                yield Channel(self, number, provisioned, spec)
            finally:
                admin.remove(provisioned)
        finally:
            admin.close()


@dataclass(frozen=True)
class Channel:
    """Native objects of one measurement; ``number`` is the run number of its stamps."""

    broker: Broker
    number: int
    provisioned: Provisioned
    spec: ChannelSpec

    @property
    def objects(self) -> Json:
        """The channel's native objects."""
        return self.provisioned.objects[CHANNEL]

    def delivering(self, count: int, size: int) -> Channel:
        """For the no-op broker, which stores nothing: what its subscriber is to deliver."""
        objects = {"count": count, "size": size, "run": self.number}
        return replace(self, provisioned=replace(self.provisioned, objects={CHANNEL: objects}))

    def publisher(self, name: str) -> PublisherSpec:
        """One guaranteed publisher with the mapping's settings."""
        return PublisherSpec(
            endpoint=self.broker.endpoint,
            name=f"{name}-{self.number:08x}",
            channel=CHANNEL,
            objects=self.objects,
            topics=TOPICS,
            guaranteed=True,
            settings=self.broker.mapping.publisher,
            reconnect_for_s=RECONNECT_S,
        )

    def subscriber(self, name: str) -> SubscriberSpec:
        """The member of reader ``name`` (``engine`` or ``bare``) with the mapping's settings."""
        return SubscriberSpec(
            endpoint=self.broker.endpoint,
            name=f"{name}-reader-{self.number:08x}",
            channel=CHANNEL,
            reader=next(reader for reader in READERS if reader.name == name),
            member=0,
            objects=self.objects,
            settings=self.broker.mapping.subscriber,
            reconnect_for_s=RECONNECT_S,
        )


NO_OP = Broker(
    name="no-op",
    emulated=False,
    endpoint=Endpoint(system=noop.SYSTEM, target="no-op"),
    mapping=MappingFile("no-op", 1, noop.SYSTEM, "nothing", {}, {}, {}),
    durability=Durability(1, "none"),
)


@contextmanager
def running(target: Target, progress: Callable[[str], None]) -> Iterator[Broker]:
    """Start a local broker and end it again.

    Raises:
        EnvironmentFailure: it cannot be started.
    """
    deployment = deploy(target)
    deployment.start(progress)
    try:
        yield Broker(
            name={"kafka": "Apache Kafka", "solace": "Solace emulator"}[target.system],
            emulated=target.source == "embedded",
            endpoint=deployment.endpoint(),
            mapping=load_mapping(DEFAULT_MAPPINGS[target.system]),
            durability=Durability(1, "memory" if target.system == "kafka" else "disk"),
        )
    finally:
        deployment.stop()
