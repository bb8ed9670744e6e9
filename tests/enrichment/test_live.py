"""Solace → Solace and Solace → Kafka through everything that can go wrong: the ledger is exact each time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from crep.harness.brokers.contract import Endpoint
from crep.harness.proxy import LinkSpec, ProxyProcess, Rule, Stall
from tests.emulator.process import Emulator, running
from tests.enrichment.live import Bridge, Collector, Feeder, bridging, customers, new_vpn, solace, target_of

pytestmark = pytest.mark.emulator

COUNT, RATE = 3000, 2000.0
STALL_S = 5.0
IN_FLIGHT = 1000
BRIDGE = """
bridge: trial
sites: {{internal: {{target: internal}}, external: {{target: external}}}}
lookups:
  customers: {{table: customers.csv, key: id, reload: 200 ms}}
routes:
  orders:
    from: {{site: internal, queue: orders}}
    to: {{site: external, topic: "{topic}"}}
    dead_letters: {{site: internal, topic: dead/orders}}
    in_flight: {in_flight}
    steps:
      - lookup: {{in: customers, by: customer_id, into: customer}}
"""


@dataclass
class Setting:
    """Everything of one test."""

    inside: Emulator
    outside: Emulator | None
    bridge: Bridge
    feeder: Feeder
    out: Collector
    dead: Collector


@pytest.fixture(scope="module")
def inside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with running(tmp_path_factory.mktemp("inside") / "data", "--sync", "batch") as emulator:
        new_vpn(emulator, "internal")
        new_vpn(emulator, "external")
        yield emulator


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with running(tmp_path_factory.mktemp("outside") / "data", "--sync", "batch") as emulator:
        new_vpn(emulator, "external")
        yield emulator


@pytest.fixture(scope="module")
def proxy(outside: Emulator) -> Iterator[ProxyProcess]:
    """Between the bridge and the sink."""
    proxy = ProxyProcess()
    proxy.start([LinkSpec("outside", "client", 0, ("127.0.0.1", int(outside.ready["smf"].rpartition(":")[2])))])
    yield proxy
    proxy.stop()


@pytest.fixture
def places(inside: Emulator) -> Iterator[None]:
    inside.queue("orders", "orders/>", vpn="internal")
    inside.queue("dead", "dead/>", vpn="internal")
    yield
    for queue in ("orders", "dead"):
        inside.semp("DELETE", f"config/msgVpns/internal/queues/{queue}")


@pytest.fixture
def setting(
    inside: Emulator, outside: Emulator, proxy: ProxyProcess, places: None, tmp_path: Path
) -> Iterator[Setting]:
    """Solace → Solace between two brokers."""
    outside.queue("arrived", "ext/>", vpn="external")
    through = target_of(
        solace(outside, "external", smf=f"tcp://127.0.0.1:{proxy.links().specs[0].listen}"), outside.ready["semp"]
    )
    yield from _set_up(
        tmp_path, inside, outside, through, solace(outside, "external"), "arrived", "ext/{region}/{type}"
    )
    outside.semp("DELETE", "config/msgVpns/external/queues/arrived")


def _set_up(
    folder: Path,
    inside: Emulator,
    outside: Emulator | None,
    through: Mapping[str, Any],
    external: Endpoint,
    place: str,
    topic: str,
) -> Iterator[Setting]:
    internal = solace(inside, "internal")
    customers(folder, "first")
    with bridging(folder) as bridge:
        bridge.write(
            BRIDGE.format(topic=topic, in_flight=IN_FLIGHT),
            {
                "internal": target_of(internal, inside.ready["semp"]),
                "external": through,
            },
        )
        feeder = Feeder(internal, "orders/eu/new", COUNT, RATE)
        out, dead = Collector(external, place), Collector(internal, "dead")
        out.start()
        dead.start()
        yield Setting(inside, outside, bridge, feeder, out, dead)
        out.end()
        dead.end()


def forward(setting: Setting, fault: Callable[[], None], *, broken: int = 0) -> None:
    """Start bridge and feeder, let the fault come after half a second, wait until all has arrived, stop the bridge."""
    setting.bridge.start()
    setting.feeder.start()
    time.sleep(0.5)
    fault()
    setting.feeder.join(90)
    assert len(setting.feeder.acknowledged) == COUNT
    setting.out.until(COUNT - broken, 60)
    if broken:
        setting.dead.until(broken, 30)
    assert setting.bridge.stop() == 0, setting.bridge.log


def exact(setting: Setting, *, doubled_at_most: int, broken: frozenset[int] = frozenset()) -> None:
    """Everything that was acknowledged to the feeder came out once (or was dead-lettered), in order for each key."""
    numbers = setting.out.collected.numbers
    assert set(numbers) == setting.feeder.acknowledged - broken
    assert numbers.total() - len(numbers) <= doubled_at_most
    for key in map(str, range(10)):
        order = setting.out.collected.first_order(key)
        assert order == sorted(order)


def nothing() -> None:
    """No fault."""


def test_without_a_fault_each_message_is_forwarded_once_with_what_was_looked_up(setting: Setting) -> None:
    forward(setting, nothing)
    exact(setting, doubled_at_most=0)
    first = setting.out.collected.messages[0]
    assert first.topic == "ext/eu/new"
    assert b'"name":"first-0"' in first.payload
    assert setting.bridge.ledger["orders"] == {
        "received": COUNT,
        "redelivered": 0,
        "split_extra": 0,
        "acknowledged": COUNT,
        "filtered": {},
        "dead_lettered": {},
        "resent": 0,
        "given_back": 0,
        "in_flight": 0,
    }


def test_the_sink_may_be_killed_and_come_back(setting: Setting) -> None:
    assert setting.outside is not None

    def fault() -> None:
        setting.outside.kill()  # type: ignore[union-attr]
        time.sleep(1.0)
        setting.outside.start()  # type: ignore[union-attr]

    forward(setting, fault)
    exact(setting, doubled_at_most=IN_FLIGHT)


def test_the_source_may_be_killed_and_come_back(setting: Setting) -> None:
    def fault() -> None:
        setting.inside.kill()
        time.sleep(1.0)
        setting.inside.start()

    forward(setting, fault)
    exact(setting, doubled_at_most=IN_FLIGHT)


@pytest.mark.parametrize("round_", range(2))
def test_a_killed_bridge_loses_nothing_and_doubles_at_most_what_was_in_flight(setting: Setting, round_: int) -> None:
    def fault() -> None:
        time.sleep(0.3 * round_)
        setting.bridge.kill()
        setting.bridge.start()

    forward(setting, fault)
    exact(setting, doubled_at_most=IN_FLIGHT)


def test_when_nothing_passes_to_the_sink_for_five_seconds_it_is_waited_for(
    setting: Setting, proxy: ProxyProcess
) -> None:
    def fault() -> None:
        proxy.links().apply(Rule("stall", None, frozenset({"outside"}), None, "both", Stall()))
        time.sleep(STALL_S)
        assert len(setting.out.collected.numbers) < COUNT
        proxy.links().clear("stall")

    forward(setting, fault)
    exact(setting, doubled_at_most=IN_FLIGHT)


def test_poison_messages_go_to_the_dead_letters_and_the_rest_goes_on(setting: Setting) -> None:
    setting.feeder._broken_every = 100
    broken = frozenset(number for number in range(COUNT) if setting.feeder.is_broken(number))
    forward(setting, nothing, broken=len(broken))
    exact(setting, doubled_at_most=0, broken=broken)
    assert {m.message_id for m in setting.dead.collected.messages} == {f"m-{number}" for number in broken}
    assert setting.bridge.ledger["orders"]["dead_lettered"] == {"decode": len(broken)}


def test_a_lookup_file_that_changes_is_taken_in_while_messages_flow(setting: Setting) -> None:
    forward(setting, lambda: customers(setting.bridge.folder, "second"))
    exact(setting, doubled_at_most=0)
    names = [message.payload for message in setting.out.collected.messages]
    assert b'"first-' in names[0]
    assert b'"second-' in names[-1]


@pytest.mark.kafka
def test_from_solace_to_kafka_each_message_arrives_once(
    inside: Emulator, places: None, kafka_endpoint: Endpoint, tmp_path: Path
) -> None:
    topic = f"ext-{tmp_path.name[:40]}".replace("_", "-")
    admin = AdminClient({"bootstrap.servers": kafka_endpoint.bootstrap})
    for created in admin.create_topics([NewTopic(topic, 4, 1)]).values():
        created.result(30)
    for setting in _set_up(tmp_path, inside, None, target_of(kafka_endpoint), kafka_endpoint, topic, topic):
        forward(setting, nothing)
        exact(setting, doubled_at_most=0)
        assert setting.out.collected.messages[0].content_type == "application/json"
