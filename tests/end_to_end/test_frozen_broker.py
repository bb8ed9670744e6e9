"""A stall is never hidden: a real Kafka is frozen under load, and crep's figures are held against paper and a witness.

The witness is a consumer of its own that reads every message and knows only where the stamp has its intended time.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from crep.harness.brokers.contract import Endpoint
from crep.harness.deployment import Deployment
from tests.end_to_end.outside import Crep

pytestmark = [pytest.mark.kafka, pytest.mark.end_to_end, pytest.mark.alone]

SCENARIO = """\
scenario: frozen
durability: {copies: 1, sync: memory}
channels:
  orders:
    topics: "orders/{region:eu,us}"
    keys: 100
    readers: {billing: {share: group, members: 1, delivery: at-least-once}}
load:
  - {to: orders, publishers: 1, mode: guaranteed, message: {size: 1 KiB}, rate: {total: [{hold: RATE, for: FOR}]}}
measure: {warm_up: 2 s, drain: 40 s, repeat: 1, seed: 7, lateness: 60 s}
expect:
  - billing.lost == 0
"""
INTENDED = struct.Struct("<16xq")  # of the stamp (docs/method.md): bytes 16 to 24


@dataclass
class Witness:
    """Reads a topic from its beginning in a thread, until told to end."""

    bootstrap: str
    topic: str
    partitions: int
    seen: list[tuple[int, int]] = field(default_factory=list)  # intended, received (CLOCK_MONOTONIC ns)
    _end: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        settings = {"bootstrap.servers": self.bootstrap, "group.id": "witness", "enable.auto.commit": False}
        consumer = Consumer(settings | {"fetch.queue.backoff.ms": 1})
        consumer.assign([TopicPartition(self.topic, n, OFFSET_BEGINNING) for n in range(self.partitions)])
        while not self._end.is_set():
            first = consumer.poll(0.1)
            messages = [] if first is None else [first, *consumer.consume(2000, 0)]
            now_ns = time.monotonic_ns()
            self.seen += [(INTENDED.unpack_from(one.value())[0], now_ns) for one in messages if one.error() is None]
        consumer.close()

    def latencies_s(self, t0_ns: int) -> list[float]:
        """Of all messages that were meant to be sent from ``t0_ns`` on."""
        self._end.set()
        self._thread.join(10.0)
        return [(received - intended) / 1e9 for intended, received in self.seen if intended >= t0_ns]


def document(folder: Path, has: str, within_s: float = 60.0) -> dict[str, Any]:
    """``run.json`` of the only run, as soon as it has a value there."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        for path in folder.glob("results/*/2*/*/*/1/run.json"):
            found: dict[str, Any] = json.loads(path.read_text())
            if found.get(has):
                return found
        time.sleep(0.05)
    raise AssertionError(f"no run with {has!r} within {within_s:.0f} s")


@contextmanager
def without_collections() -> Iterator[None]:
    """A collection over all that a test session holds would make the witness late, as it would an engine."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@without_collections()
def frozen_run(
    crep: Crep, deployment: Deployment, endpoint: Endpoint, *, rate: int, for_s: int, at_s: float, freeze_s: float
) -> tuple[dict[str, Any], list[float], float]:
    """Run, freeze the broker meanwhile; return the latency summary, the witness's latencies and the frozen seconds."""
    (crep.folder / "frozen.yaml").write_text(SCENARIO.replace("RATE", f"{rate}/s").replace("FOR", f"{for_s} s"))
    kafka = {"bootstrap": endpoint.bootstrap}
    client = {"queue.buffering.max.messages": 10_000}
    target = {"system": "kafka", "source": "address", "kafka": kafka, "client": client}
    (crep.folder / "crep-targets.yaml").write_text(json.dumps({"targets": {"real": target}}))
    process = crep.start("run", "frozen.yaml", "--on", "real", "--no-report")
    try:
        objects = document(crep.folder, "sites")["sites"]["bus"]["objects"]["orders"]
        witness = Witness(str(endpoint.bootstrap), objects["topic"], objects["partitions"])
        t0_ns = document(crep.folder, "t0_ns")["t0_ns"]
        pid = deployment.node_pid(deployment.nodes[0])
        assert pid is not None
        time.sleep(max(0.0, (t0_ns - time.monotonic_ns()) / 1e9 + at_s))
        os.kill(pid, signal.SIGSTOP)
        stopped_s = time.monotonic()
        try:
            time.sleep(freeze_s)
        finally:
            os.kill(pid, signal.SIGCONT)
            frozen_s = time.monotonic() - stopped_s
        assert process.wait(120) == 0, process.communicate()
    finally:
        process.kill()
        process.communicate()
    found = document(crep.folder, "results")
    [latency] = [one for one in found["results"]["latencies"] if one["metric"] == "latency"]
    latencies = witness.latencies_s(t0_ns)
    assert latency["samples"] == len(latencies) == rate * for_s
    return latency, latencies, frozen_s


def test_a_broker_that_stands_still_for_a_second_shows_a_maximum_of_a_second(
    crep: Crep, kafka_deployment: Deployment, kafka_endpoint: Endpoint
) -> None:
    latency, witnessed, frozen_s = frozen_run(
        crep, kafka_deployment, kafka_endpoint, rate=1000, for_s=6, at_s=2.5, freeze_s=1.01
    )
    assert latency["max_ms"] >= 1000.0
    assert latency["max_ms"] >= (frozen_s - 0.01) * 1000
    assert latency["max_ms"] / 1000 == pytest.approx(max(witnessed), abs=0.1)


def test_a_stall_that_fills_the_clients_buffers_makes_as_many_messages_late_as_paper_says(
    crep: Crep, kafka_deployment: Deployment, kafka_endpoint: Endpoint
) -> None:
    """3 of 24 s: what was meant to be sent in the first 2 of them is later than 1 s, 2/24 = 8.3 %, or more.

    The client holds 10,000 messages, one second of the load: beyond that it cannot take what is due.
    """
    latency, witnessed, frozen_s = frozen_run(
        crep, kafka_deployment, kafka_endpoint, rate=10_000, for_s=24, at_s=8.0, freeze_s=3.01
    )
    share = latency["later_than"]["1 s"]
    assert share >= (frozen_s - 1.0) / 24 - 0.001
    assert share >= 2 / 24
    late = sum(one > 1.0 for one in witnessed) / len(witnessed)
    latest = {"crep": latency["max_ms"] / 1000, "witness": max(witnessed), "frozen": frozen_s}
    assert share == pytest.approx(late, abs=0.01), f"seconds at most: {latest}"
