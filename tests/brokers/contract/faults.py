"""Promises while a broker is away."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from crep.harness.brokers.contract import (
    Adapter,
    BrokerError,
    ChannelSpec,
    Durability,
    MappingFile,
    Outcome,
    PublisherSpec,
)
from crep.harness.deployment import Deployment
from tests.brokers.contract.bench import (
    CHANNEL,
    KEYS,
    RECONNECT_S,
    TOPICS,
    Bench,
    as_dict,
    batch,
    eventually,
    numbers,
    reader,
    send_all,
)
from tests.brokers.contract.system import SystemUnderTest


class Faults(SystemUnderTest):
    """Promises while a broker is away."""

    def test_an_unreachable_broker_is_named_in_time(self, broker: Adapter, mapping: MappingFile) -> None:
        nowhere, address = self.unreachable()
        channel = ChannelSpec(CHANNEL, TOPICS, KEYS, (reader("billing"),), Durability(1, "disk"))
        publisher = broker.publisher(
            PublisherSpec(nowhere, "p", CHANNEL, self.objects_of_nobody(), TOPICS, True, mapping.publisher, RECONNECT_S)
        )
        with ThreadPoolExecutor() as threads:
            started = time.monotonic()
            failing = [
                threads.submit(broker.admin(nowhere).provision, "nobody", [channel], mapping),
                threads.submit(publisher.open),
            ]
            for one in failing:
                with pytest.raises(BrokerError, match=address):
                    one.result(30.0)
        assert time.monotonic() - started < 20.0
        publisher.close()

    def test_acknowledged_messages_outlive_a_kill_and_clients_come_back(
        self, bench: Bench, deployment: Deployment
    ) -> None:
        bench.provision(reader("billing"))
        member = bench.member("billing").ready()
        publisher = bench.publisher()
        outcomes = send_all(publisher, batch(0, 100))
        node = deployment.nodes[0]
        deployment.kill_node(node)
        messages, taken = batch(100, 100), 0
        taken = publisher.send_batch(messages, 0)  # into the outage: some clients take messages now, some later
        deployment.start_node(node)
        deadline = time.monotonic() + RECONNECT_S
        while taken < 100:
            assert time.monotonic() < deadline, "the publisher took nothing more after the restart"
            taken += publisher.send_batch(messages, taken)
            outcomes |= as_dict(publisher.poll(0.02))
        outcomes |= as_dict(publisher.drain(RECONNECT_S))
        acknowledged = {sequence for sequence, outcome in outcomes.items() if outcome == Outcome.ACKNOWLEDGED}
        assert len(acknowledged) >= 190, (Counter(outcomes.values()), publisher.events())
        eventually(lambda: set(numbers(member.received)) >= acknowledged, RECONNECT_S)
        kinds = [event.kind for event in publisher.events()]
        assert "down" in kinds
        assert "reconnected" in kinds
