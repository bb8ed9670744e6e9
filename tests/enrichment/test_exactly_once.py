"""Exactly once, Kafka to Kafka: a reader of committed messages sees each once, whatever happens to the bridge."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from crep.harness.brokers.contract import Endpoint, Message, Outcome
from crep.harness.brokers.registry import adapter
from crep.harness.brokers.streams import SinkSpec
from tests.enrichment.live import Bridge, Collector, Feeder, bridging, new_topics, target_of

pytestmark = pytest.mark.kafka

RATE = 2000.0
BRIDGE = """
bridge: once
sites: {{bus: {{target: bus}}}}
routes:
  orders:
    from: {{site: bus, topic: {tag}-in, group: {tag}, settings: {{session.timeout.ms: 6000{settings}}}}}
    to: {{site: bus, topic: {tag}-out, settings: {{batch.size: 2000}}}}
    dead_letters: {{site: bus, topic: {tag}-dead}}
    exactly_once: true
    steps: [{{compute: {{twice: body.n * 2}}}}]
"""
STATIC = ", group.instance.id: one"
"""The one that comes after a killed member takes its place at once, instead of when the session has ended."""


@dataclass
class Setting:
    """Topics, a reader of each, and as many bridges as a test starts."""

    endpoint: Endpoint
    folder: Path
    tag: str
    out: Collector
    dead: Collector
    ending: ExitStack
    bridges: list[Bridge] = field(default_factory=list)

    def bridge(self, instance: str, settings: str = "") -> Bridge:
        """A process that has its own name, not started."""
        bridge = self.ending.enter_context(bridging(self.folder, instance))
        bridge.write(BRIDGE.format(tag=self.tag, settings=settings), {"bus": target_of(self.endpoint)})
        self.bridges.append(bridge)
        return bridge

    def feeder(self, count: int, broken_every: int = 0) -> Feeder:
        """Not started."""
        return Feeder(self.endpoint, f"{self.tag}-in", count, RATE, broken_every)

    def exact(self, feeder: Feeder) -> None:
        """Each that was acknowledged to the feeder came out once, or lies with the dead once; in order for each key."""
        self.out.until(feeder.count - len(feeder.broken), 60)
        self.dead.until(len(feeder.broken), 20)
        assert not feeder.doubtful
        numbers = self.out.collected.numbers
        assert set(numbers) == feeder.acknowledged - feeder.broken
        assert set(numbers.values()) == {1}
        assert sorted(str(m.message_id) for m in self.dead.collected.messages) == sorted(
            f"m-{number}" for number in feeder.broken
        )
        for key in map(str, range(10)):
            order = self.out.collected.first_order(key)
            assert order == sorted(order)


@pytest.fixture
def setting(kafka_endpoint: Endpoint, tmp_path: Path) -> Iterator[Setting]:
    tag = f"once-{tmp_path.name[-30:]}-{time.monotonic_ns()}".replace("_", "-")
    for place, limit in (("in", 1_000_000), ("out", 3_000), ("dead", 1_000_000)):
        new_topics(kafka_endpoint, **{"max.message.bytes": limit})(f"{tag}-{place}")
    with ExitStack() as ending:
        out, dead = Collector(kafka_endpoint, f"{tag}-out"), Collector(kafka_endpoint, f"{tag}-dead")
        for one in (out, dead):
            one.start()
            ending.callback(one.end)
        yield Setting(kafka_endpoint, tmp_path, tag, out, dead, ending)


def test_killed_in_the_middle_twice_each_message_is_there_once(setting: Setting) -> None:
    bridge, feeder = setting.bridge("one", STATIC), setting.feeder(8000, broken_every=100)
    bridge.start()
    feeder.start()
    for seen in (500, 2500):
        setting.out.some(seen, 30)
        bridge.kill()
        bridge.start()
    feeder.join(60)
    setting.exact(feeder)
    assert bridge.stop() == 0, bridge.log
    ledger = bridge.ledger["orders"]
    assert ledger["received"] == ledger["acknowledged"] + sum(ledger["dead_lettered"].values()) + ledger["given_back"]


def test_a_member_that_stood_still_for_too_long_commits_nothing_when_it_goes_on(setting: Setting) -> None:
    still, other, feeder = setting.bridge("still"), setting.bridge("other"), setting.feeder(4000)
    still.start()
    feeder.start()
    setting.out.some(500, 30)
    still.signal(signal.SIGSTOP)
    other.start()
    feeder.join(60)
    setting.out.some(feeder.count, 30)  # by the other one, once the group has given up on the member that stands still
    still.signal(signal.SIGCONT)
    time.sleep(1.0)
    setting.exact(feeder)
    assert still.stop() == 0, still.log
    assert other.stop() == 0, other.log


def test_a_process_under_the_name_of_another_puts_an_end_to_that_one_and_says_so(setting: Setting) -> None:
    first, second, feeder = setting.bridge("same"), setting.bridge("same"), setting.feeder(100_000)
    first.start()
    feeder.start()
    setting.out.some(500, 30)
    second.start()
    assert first.ended(30) == 3
    feeder.finish()
    feeder.join(60)
    setting.exact(feeder)
    assert "another process has taken over the transactional id 'crep-bridge-once-orders-sink-same'" in first.log
    assert "--instance" in first.log
    assert second.stop() == 0, second.log


def test_what_the_broker_refuses_becomes_a_dead_letter_and_the_messages_around_it_arrive_once(
    setting: Setting,
) -> None:
    sink = adapter("kafka").sink(SinkSpec(setting.endpoint, "feeder"))
    sink.open()
    for number in range(300):
        payload = b'{"n": %d, "fill": "%s"}' % (number, b"x" * (4000 if number % 100 == 50 else 10))
        assert sink.send(Message(f"{setting.tag}-in", payload, str(number % 10), message_id=f"m-{number}"), number)
    assert all(sent.outcome is Outcome.ACKNOWLEDGED for sent in sink.drain(20))
    sink.close()
    bridge = setting.bridge("one")
    bridge.start()
    setting.out.until(297, 40)
    setting.dead.until(3, 20)
    assert bridge.stop() == 0, bridge.log
    assert setting.out.collected.numbers == {number: 1 for number in range(300) if number % 100 != 50}
    dead = setting.dead.collected.messages
    assert sorted(str(m.message_id) for m in dead) == ["m-150", "m-250", "m-50"]
    assert {m.properties["crep-dead-step"] for m in dead} == {"sink"}
    assert {"too large" in str(m.properties["crep-dead-reason"]) for m in dead} == {True}
    ledger = bridge.ledger["orders"]
    assert (ledger["acknowledged"], ledger["dead_lettered"]) == (297, {"sink": 3})
    assert ledger["given_back"] > 0
