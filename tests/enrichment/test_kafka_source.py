"""Kafka as the source: to Solace and to Kafka, in the order of each key, while members come and go."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from crep.harness.brokers.contract import Endpoint
from tests.emulator.process import Emulator, running
from tests.enrichment.live import Collector, Feeder, bridging, new_topics, new_vpn, solace, target_of

pytestmark = pytest.mark.kafka

COUNT, RATE, IN_FLIGHT = 4000, 2000.0, 1000
BRIDGE = """
bridge: trial
sites: {{kafka: {{target: kafka}}, external: {{target: external}}}}
routes:
  orders:
    from: {{site: kafka, topic: {tag}-in, group: {tag}, settings: {{session.timeout.ms: 6000}}}}
    to: {{site: {site}, topic: "{topic}"}}
    dead_letters: {{site: {site}, topic: {tag}-dead}}
    in_flight: {in_flight}
    steps: [{{compute: {{twice: body.n * 2}}}}]
"""


@pytest.fixture
def tag(kafka_endpoint: Endpoint, tmp_path: Path) -> str:
    tag = f"from-kafka-{time.monotonic_ns()}"
    for place in ("in", "out", "dead"):
        new_topics(kafka_endpoint)(f"{tag}-{place}")
    return tag


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with running(tmp_path_factory.mktemp("external") / "data") as emulator:
        new_vpn(emulator, "external")
        emulator.queue("arrived", "ext/>", vpn="external")
        yield emulator


def in_order(out: Collector) -> None:
    for key in map(str, range(10)):
        order = out.collected.first_order(key)
        assert order == sorted(order)


@pytest.mark.emulator
def test_to_solace_each_message_arrives_with_its_key_through_a_kill(
    kafka_endpoint: Endpoint, emulator: Emulator, tag: str, tmp_path: Path
) -> None:
    external = solace(emulator, "external")
    out, feeder = Collector(external, "arrived"), Feeder(kafka_endpoint, f"{tag}-in", COUNT, RATE)
    with bridging(tmp_path) as bridge:
        file = BRIDGE.format(tag=tag, site="external", topic="ext/{region}/{type}", in_flight=IN_FLIGHT)
        file = file.replace("6000", "6000, group.instance.id: one")  # its successor reads on at once
        bridge.write(
            file, {"kafka": target_of(kafka_endpoint), "external": target_of(external, emulator.ready["semp"])}
        )
        out.start()
        feeder.start()
        bridge.start()
        out.some(COUNT // 4, 30)
        bridge.kill()
        bridge.start()
        feeder.join(60)
        numbers = out.until(COUNT, 60).numbers
        assert bridge.stop() == 0, bridge.log
    out.end()
    assert set(numbers) == feeder.acknowledged
    assert numbers.total() - COUNT <= IN_FLIGHT
    in_order(out)
    assert out.collected.messages[0].topic == "ext/eu/new"


def test_a_member_that_comes_and_goes_overtakes_nothing_and_doubles_nothing(
    kafka_endpoint: Endpoint, tag: str, tmp_path: Path
) -> None:
    out = Collector(kafka_endpoint, f"{tag}-out")
    feeder = Feeder(kafka_endpoint, f"{tag}-in", 100_000, RATE)
    with bridging(tmp_path, "first") as first, bridging(tmp_path, "second") as second:
        for bridge in (first, second):
            file = BRIDGE.format(tag=tag, site="kafka", topic=f"{tag}-out", in_flight=IN_FLIGHT)
            bridge.write(file, {"kafka": target_of(kafka_endpoint), "external": target_of(kafka_endpoint)})
        out.start()
        first.start()
        feeder.start()
        out.some(500, 30)
        second.start()
        second.has_forwarded(300, 60)
        assert second.stop() == 0, second.log
        feeder.finish()
        feeder.join(60)
        numbers = out.until(feeder.count, 60).numbers
        assert first.stop() == 0, first.log
    out.end()
    assert set(numbers) == feeder.acknowledged
    assert set(numbers.values()) == {1}
    in_order(out)
    assert second.ledger["orders"]["acknowledged"] >= 300
    assert first.ledger["orders"]["acknowledged"] + second.ledger["orders"]["acknowledged"] == feeder.count
