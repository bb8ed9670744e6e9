"""A broker that is away, or shuts a queue: the bridge goes on when it is back, else it ends with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from crep.harness.brokers.contract import BrokerError, Endpoint
from crep.harness.brokers.kafka.client import ConnectionWatch
from tests.emulator.process import Emulator, running
from tests.enrichment.live import Bridge, Collector, Feeder, bridging, new_vpn, solace, target_of

BRIDGE = """
bridge: trial
sites:
  internal: {target: internal, reconnect: 1 s}
  external: {target: external, reconnect: 1 s}
routes:
  orders:
    from: {site: internal, queue: orders}
    to: {site: external, topic: "ext/{region}"}
    dead_letters: {site: external, topic: dead/orders}
  others:
    from: {site: internal, queue: others}
    to: {site: external, topic: "ext/{region}"}
    dead_letters: {site: external, topic: dead/orders}
"""
PATIENT = BRIDGE.replace("reconnect: 1 s", "reconnect: 1 min")


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with running(tmp_path_factory.mktemp("emulator") / "data") as emulator:
        new_vpn(emulator, "internal")
        new_vpn(emulator, "external")
        for queue in ("orders", "others"):
            emulator.queue(queue, f"{queue}/>", vpn="internal")
        emulator.queue("arrived", "ext/>", vpn="external")
        yield emulator


@pytest.fixture
def bridge(emulator: Emulator, tmp_path: Path) -> Iterator[Bridge]:
    with bridging(tmp_path) as bridge:
        yield bridge
    egress(emulator, open_=True)


def start(bridge: Bridge, file: str, emulator: Emulator) -> None:
    sites = {site: target_of(solace(emulator, site), emulator.ready["semp"]) for site in ("internal", "external")}
    bridge.write(file, sites)
    bridge.start()
    one = Feeder(solace(emulator, "internal"), "orders/eu", 1, 1.0)
    one.start()
    bridge.has_forwarded(1, 60)  # so its flows are bound
    one.join(60)


def egress(emulator: Emulator, *, open_: bool) -> None:
    answer = emulator.semp("PATCH", "config/msgVpns/internal/queues/orders", {"egressEnabled": open_})
    assert answer.status_code == 200


@pytest.mark.emulator
def test_a_queue_whose_egress_was_shut_is_read_on_when_it_is_open_again(emulator: Emulator, bridge: Bridge) -> None:
    feeder = Feeder(solace(emulator, "internal"), "orders/eu", 3000, 1000.0)
    out = Collector(solace(emulator, "external"), "arrived")
    out.start()
    start(bridge, PATIENT, emulator)
    feeder.start()
    out.some(500, 30)
    egress(emulator, open_=False)
    out.some(3000, 2)
    assert len(out.collected.numbers) < 3000
    egress(emulator, open_=True)
    feeder.join(30)
    numbers = out.until(3000, 30).numbers
    out.end()
    assert bridge.stop() == 0, bridge.log
    assert set(numbers) == feeder.acknowledged
    assert "source reconnected" in bridge.log


@pytest.mark.emulator
def test_a_queue_that_stays_shut_ends_the_bridge_with_the_reason_and_the_other_route_in_order(
    emulator: Emulator, bridge: Bridge
) -> None:
    start(bridge, BRIDGE, emulator)
    egress(emulator, open_=False)
    assert bridge.ended(30) == 3
    assert "queue 'orders') cannot receive" in bridge.log
    assert '"event":"failed","route":"orders"' in bridge.log
    assert '"event":"stopped","route":"others"' in bridge.log


@pytest.mark.emulator
def test_a_broker_that_does_not_come_back_ends_the_bridge_with_the_reason(bridge: Bridge, tmp_path: Path) -> None:
    with running(tmp_path / "data") as gone:
        for vpn in ("internal", "external"):
            new_vpn(gone, vpn)
        for queue in ("orders", "others"):
            gone.queue(queue, f"{queue}/>", vpn="internal")
        gone.queue("arrived", "ext/>", vpn="external")
        start(bridge, BRIDGE, gone)
        gone.kill()
        assert bridge.ended(30) == 3
    assert "Traceback" not in bridge.log
    assert '"event":"failed"' in bridge.log


def test_a_kafka_cluster_that_is_away_for_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint, watch, now = Endpoint("kafka", "t", bootstrap="127.0.0.1:1"), ConnectionWatch(), [100.0]
    monkeypatch.setattr("crep.harness.brokers.kafka.client.time.monotonic", lambda: now[0])
    for now[0] in (100.0, 109.0, 118.0, 127.0):
        watch.failed(-195, "refused")  # _TRANSPORT
        watch.see_that_it_is_worth_trying(27.0, endpoint)
    now[0] = 127.5
    with pytest.raises(BrokerError, match="out of reach for 27 s: refused"):
        watch.see_that_it_is_worth_trying(27.0, endpoint)
    now[0] = 143.0  # it is back, says its silence
    watch.see_that_it_is_worth_trying(27.0, endpoint)
    watch.failed(-195, "refused")
    now[0] = 150.0
    watch.see_that_it_is_worth_trying(27.0, endpoint)
