"""The no-op broker does nothing, but keeps the contract: every message acknowledged once, or delivered intact."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from bench import engine
from bench.brokers import NO_OP, Channel
from crep.harness.brokers.contract import Batch, Outcome
from crep.harness.brokers.registry import adapter
from crep.harness.load.stamp import parse
from crep.harness.metrics.history import INTACT


@pytest.fixture
def channel() -> Iterator[Channel]:
    with NO_OP.channel() as one:
        yield one


def test_all_that_is_taken_is_acknowledged_once(channel: Channel) -> None:
    publisher = adapter(NO_OP.endpoint.system).publisher(channel.publisher("engine"))
    publisher.open()
    batch = Batch(np.arange(5, dtype=np.uint64), [b""] * 5, np.zeros(5, np.uint32), np.zeros(5, np.uint32))
    assert publisher.send_batch(batch, 2) == 3
    outcomes = publisher.poll(0)
    assert outcomes.sequence.tolist() == [2, 3, 4]
    assert set(outcomes.outcome.tolist()) == {Outcome.ACKNOWLEDGED}
    assert len(publisher.poll(0).sequence) == 0


def test_what_it_delivers_passes_the_engines_checks_and_ends(channel: Channel) -> None:
    subscriber = adapter(NO_OP.endpoint.system).subscriber(channel.delivering(1500, 64).subscriber("engine"))
    came = [subscriber.receive(1000, 0.0) for _ in range(3)]
    assert [len(deliveries) for deliveries in came] == [1000, 500, 0]
    records = parse(
        came[1].bodies, None, run=channel.number, received_ns=came[1].received_ns, redelivered=came[1].redelivered
    )
    assert set(records["fault"].tolist()) == {INTACT}
    assert {len(body) for body in came[0].bodies} == {64}


def test_the_engine_itself_can_be_measured_on_it(channel: Channel) -> None:
    assert engine.publish(channel, 2000, 100) > 0
    assert engine.receive(channel.delivering(2000, 100), 2000, distinct=False) > 0
