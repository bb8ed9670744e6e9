"""Brokers of a trial's own, each behind a proxy: a message VPN of the emulator, or a Kafka of one node."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from crep.harness.brokers.contract import Endpoint
from crep.harness.config.targets import Target
from crep.harness.deployment import Deployment, deploy
from crep.harness.proxy import Links, LinkSpec, ProxyProcess, Rule, Stall
from tests.emulator.process import Emulator, running
from tests.enrichment.live import new_topics, new_vpn, solace, target_of

_STALL = "stall"
VPN = "trial"


class Side(Protocol):
    """One broker: how clients reach it, and what can be done to it."""

    @property
    def endpoint(self) -> Endpoint:
        """For test clients."""

    @property
    def target(self) -> Mapping[str, Any]:
        """For the bridge: what can be stalled."""

    def kill(self) -> None:
        """SIGKILL."""

    def start(self) -> None:
        """Again, at the same place; returns when it serves."""

    def stall(self) -> None:
        """From now on nothing passes."""

    def heal(self) -> None:
        """What was held up passes."""


class _Stalling:
    """What a proxy does for a side."""

    def __init__(self, links: Links) -> None:
        self._links = links

    def stall(self) -> None:
        nodes = frozenset(spec.node for spec in self._links.specs)
        self._links.apply(Rule(_STALL, None, nodes, None, "both", Stall()))

    def heal(self) -> None:
        self._links.clear(_STALL)


class SolaceSide(_Stalling):
    """One emulator. Test clients go past the proxy, so that a stall concerns the bridge alone."""

    def __init__(self, emulator: Emulator, proxy: ProxyProcess) -> None:
        super().__init__(proxy.links())
        self._emulator = emulator
        self._port = proxy.links().specs[0].listen

    @property
    def endpoint(self) -> Endpoint:
        return solace(self._emulator, VPN)

    @property
    def target(self) -> Mapping[str, Any]:
        through = replace(self.endpoint, smf=f"tcp://127.0.0.1:{self._port}")
        return target_of(through, self._emulator.ready["semp"])

    def queue(self, name: str, *subscriptions: str, **attributes: Any) -> None:
        """Make an open queue."""
        self._emulator.queue(name, *subscriptions, vpn=VPN, **attributes)

    def kill(self) -> None:
        self._emulator.kill()

    def start(self) -> None:
        self._emulator.start()


class KafkaSide(_Stalling):
    """One Kafka, whose proxy all clients go through: it is the address that the broker tells them."""

    def __init__(self, deployment: Deployment) -> None:
        assert deployment.links is not None
        super().__init__(deployment.links)
        self._deployment = deployment

    @property
    def endpoint(self) -> Endpoint:
        return self._deployment.endpoint()

    @property
    def target(self) -> Mapping[str, Any]:
        return target_of(self.endpoint)

    def topic(self, name: str, partitions: int = 4) -> None:
        """Make a topic."""
        new_topics(self.endpoint)(name, partitions)

    def kill(self) -> None:
        self._deployment.kill_node(self._deployment.nodes[0])

    def start(self) -> None:
        self._deployment.start_node(self._deployment.nodes[0])


@contextmanager
def solace_side(folder: Path, name: str) -> Iterator[SolaceSide]:
    """An emulator with one message VPN."""
    home = folder / name
    home.mkdir()
    with running(home / "data", "--sync", "batch") as emulator:
        new_vpn(emulator, VPN)
        proxy = ProxyProcess()
        port = int(str(emulator.ready["smf"]).rpartition(":")[2])
        proxy.start([LinkSpec(name, "client", 0, ("127.0.0.1", port))])
        try:
            yield SolaceSide(emulator, proxy)
        finally:
            proxy.stop()


@contextmanager
def kafka_side(folder: Path, name: str) -> Iterator[KafkaSide]:
    """A Kafka of one node, profile quick."""
    target = Target(name=f"kafka-{name}", system="kafka", source="local", profile="quick")
    deployment = deploy(target, folder / name, proxied=True)
    deployment.start(lambda _: None)
    try:
        yield KafkaSide(deployment)
    finally:
        deployment.stop()
