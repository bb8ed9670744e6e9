from __future__ import annotations

from dataclasses import replace

import pytest
from confluent_kafka.admin import AdminClient

from crep.harness.brokers.contract import REDELIVERED_NOT_OFFERED, Admin, BrokerError, Endpoint, Json, MappingFile
from crep.harness.brokers.mapping import load_mapping
from crep.harness.brokers.registry import DEFAULT_MAPPINGS
from crep.harness.brokers.streams import SinkSpec, SourceSpec
from crep.harness.deployment import Deployment
from tests.brokers.contract.bench import Bench, batch, eventually, reader, send_all
from tests.brokers.contract.streaming import NOWHERE
from tests.brokers.contract.suite import BrokerContract, BulkContract
from tests.brokers.contract.system import SystemUnderTest


class Kafka(SystemUnderTest):
    """A local Kafka, with the engines' clients on one of two libraries."""

    system = "kafka"
    client: str

    @pytest.fixture
    def mapping(self) -> MappingFile:
        mapping = load_mapping(DEFAULT_MAPPINGS[self.system])
        asked = {"client": self.client}
        return replace(mapping, publisher=mapping.publisher | asked, subscriber=mapping.subscriber | asked)

    def test_the_library_that_was_asked_for_is_the_one_that_is_used_and_named(self, bench: Bench) -> None:
        bench.provision(reader("billing"))
        publisher, member = bench.publisher(), bench.member("billing").ready()
        for client in (publisher, member.subscriber):
            assert client.effective_settings()["client"].startswith(self.client)
            assert "fallback" not in [event.kind for event in client.events()]

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
        return {"topic": "nobody", "topic_header": "crep-topic", "topic_in_header": False}

    def place(self, objects: Json) -> tuple[SourceSpec, SinkSpec, str]:
        topic = objects["topic"]
        source = SourceSpec(NOWHERE, "crep-source", (topic,), objects["groups"]["billing"])
        return source, SinkSpec(NOWHERE, "crep-sink"), topic


@pytest.mark.kafka
class TestApi(Kafka, BulkContract):
    client = "api"


@pytest.mark.kafka
class TestKafka(Kafka, BrokerContract):
    client = "native"

    def test_messages_with_headers_go_through_the_public_client_which_says_so(self, bench: Bench) -> None:
        bench.provision(reader("billing", topic_filter="a/*"))
        publisher = bench.publisher()
        assert publisher.effective_settings()["client"].startswith("api (native cannot be used: its messages have")
        assert [event.kind for event in publisher.events()] == ["fallback"]
        subscriber = bench.member("billing").ready().subscriber
        assert subscriber.effective_settings()["client"].startswith("api (native cannot be used: it reads the headers")
        assert [event.kind for event in subscriber.events()] == ["fallback"]

    def test_payloads_are_those_of_the_batch_however_many_keys_lengths_and_batches_there_are(
        self, bench: Bench
    ) -> None:
        bench.provision(reader("billing"))
        member, publisher = bench.member("billing").ready(), bench.publisher()
        sent = [batch(100 * size, 100, size) for size in (8, 9, 40, 1000, 70_000)]
        for messages in sent:
            send_all(publisher, messages)
        eventually(lambda: len(member.received) == 500)
        assert sorted(member.received) == sorted(body for messages in sent for body in messages.bodies)

    def test_a_failure_at_a_later_channel_removes_the_topics_of_the_earlier_ones(
        self, bench: Bench, admin: Admin, endpoint: Endpoint
    ) -> None:
        channels = [replace(bench.channel, name="fine"), replace(bench.channel, name="not a topic name")]
        with pytest.raises(BrokerError, match="not a topic name"):
            admin.provision(bench.run_id, channels, bench.mapping)
        there = AdminClient({"bootstrap.servers": str(endpoint.bootstrap)}).list_topics(timeout=10.0).topics
        assert [topic for topic in there if bench.run_id in topic] == []
