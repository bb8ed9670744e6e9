"""A disk that is full, by a limit on the files of a broker's process: what the broker makes of it is told."""

from __future__ import annotations

import resource
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from crep.harness.brokers.contract import Outcome
from crep.harness.brokers.mapping import load_mapping
from crep.harness.brokers.registry import DEFAULT_MAPPINGS, adapter
from crep.harness.deployment import Deployment
from crep.harness.faults.fill_disk import FillDisk
from tests.brokers.contract.bench import Bench, batch, eventually, numbers, reader, send_all
from tests.faults.staging import stage


def bench_of(deployment: Deployment) -> Iterator[Bench]:
    broker, endpoint = adapter(deployment.system), deployment.endpoint()
    admin = broker.admin(endpoint)
    bench = Bench(broker, endpoint, admin, load_mapping(DEFAULT_MAPPINGS[deployment.system]))
    yield bench
    bench.close()
    admin.close()


@pytest.fixture
def solace(emulator_deployment: Deployment) -> Iterator[Bench]:
    yield from bench_of(emulator_deployment)


@pytest.fixture
def kafka(kafka_deployment: Deployment) -> Iterator[Bench]:
    yield from bench_of(kafka_deployment)


def wait(fault: FillDisk, within_s: float) -> None:
    eventually(fault.healed, within_s)


@pytest.mark.emulator
def test_the_emulator_refuses_what_it_cannot_store_and_goes_on_when_there_is_room(
    solace: Bench, emulator_deployment: Deployment
) -> None:
    solace.provision(reader("billing"))
    publisher = solace.publisher()
    before = send_all(publisher, batch(0, 10))
    fault = FillDisk(stage(emulator_deployment, "fill-disk", parameters={"room_bytes": 4096}))
    fault.aim()
    fault.inject()
    assert fault.confirmed()
    meanwhile = Counter(send_all(publisher, batch(10, 100, 1000)).values())
    assert meanwhile[Outcome.REJECTED] > 0
    assert set(meanwhile) <= {Outcome.ACKNOWLEDGED, Outcome.REJECTED}
    fault.heal()
    wait(fault, 10.0)
    assert not fault.confirmed()
    assert fault.subject == "solace-1 (went on)"

    def taken() -> bool:  # it looks for room twice a second
        return set(send_all(publisher, batch(next(fresh), 1)).values()) == {Outcome.ACKNOWLEDGED}

    fresh = iter(range(1000, 10_000))
    eventually(taken)
    member = solace.member("billing").ready()
    kept = len(before) + meanwhile[Outcome.ACKNOWLEDGED]
    eventually(lambda: len(set(numbers(member.received)) & set(range(110))) == kept)


@pytest.mark.kafka
def test_a_kafka_that_cannot_write_ends_is_started_again_and_has_every_acknowledged_message(
    kafka: Bench, kafka_deployment: Deployment
) -> None:
    kafka.provision(reader("billing"))
    publisher = kafka.publisher()
    acknowledged = {n for n, outcome in send_all(publisher, batch(0, 50)).items() if outcome == Outcome.ACKNOWLEDGED}
    [node] = kafka_deployment.nodes
    fault = FillDisk(stage(kafka_deployment, "fill-disk", parameters={"room_bytes": 65_536}))
    fault.aim()
    fault.inject()
    assert fault.confirmed()
    messages, taken, deadline = batch(50, 2000, 1000), 0, time.monotonic() + 30.0
    while kafka_deployment.node_pid(node) is not None and time.monotonic() < deadline:
        taken += publisher.send_batch(messages, taken)
        some = publisher.poll(0.1)
        acknowledged |= set(some.sequence[some.outcome == Outcome.ACKNOWLEDGED].tolist())
    assert kafka_deployment.node_pid(node) is None
    assert fault.confirmed()
    fault.heal()
    wait(fault, 60.0)
    assert fault.subject == f"{node} (ended when it could not write)"
    pid = kafka_deployment.node_pid(node)
    assert pid is not None
    assert resource.prlimit(pid, resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    rest = publisher.drain(60.0)
    acknowledged |= set(rest.sequence[rest.outcome == Outcome.ACKNOWLEDGED].tolist())
    member = kafka.member("billing").ready()
    eventually(lambda: set(numbers(member.received)) >= acknowledged, 60.0)
