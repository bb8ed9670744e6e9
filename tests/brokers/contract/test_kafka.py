from __future__ import annotations

import pytest

from crep.harness.brokers.contract import REDELIVERED_NOT_OFFERED, Endpoint
from crep.harness.deployment import Deployment
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
