from __future__ import annotations

from dataclasses import replace

import pytest
from confluent_kafka.admin import AdminClient

from crep.harness.brokers.contract import REDELIVERED_NOT_OFFERED, Admin, BrokerError, Endpoint
from crep.harness.deployment import Deployment
from tests.brokers.contract.bench import Bench
from tests.brokers.contract.suite import BrokerContract


@pytest.mark.kafka
class TestKafka(BrokerContract):
    system = "kafka"

    @pytest.fixture
    def endpoint(self, kafka_endpoint: Endpoint) -> Endpoint:
        return kafka_endpoint

    @pytest.fixture
    def deployment(self, kafka_deployment: Deployment) -> Deployment:
        return kafka_deployment

    def small_window(self) -> dict[str, object]:
        return {"queue.buffering.max.messages": 200}

    def redelivery_flags(self) -> set[int]:
        return {REDELIVERED_NOT_OFFERED}

    def unreachable(self) -> tuple[Endpoint, str]:
        return Endpoint("kafka", "nowhere", bootstrap="127.0.0.1:9"), "127.0.0.1:9"

    def objects_of_nobody(self) -> dict[str, object]:
        return {"topic": "nobody", "topic_header": "crep-topic"}

    def test_a_failure_at_a_later_channel_removes_the_topics_of_the_earlier_ones(
        self, bench: Bench, admin: Admin, endpoint: Endpoint
    ) -> None:
        channels = [replace(bench.channel, name="fine"), replace(bench.channel, name="not a topic name")]
        with pytest.raises(BrokerError, match="not a topic name"):
            admin.provision(bench.run_id, channels, bench.mapping)
        there = AdminClient({"bootstrap.servers": str(endpoint.bootstrap)}).list_topics(timeout=10.0).topics
        assert [topic for topic in there if bench.run_id in topic] == []
