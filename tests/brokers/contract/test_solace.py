from __future__ import annotations

from dataclasses import replace

import pytest

from crep.harness.brokers.contract import REDELIVERED_YES, Admin, Endpoint, Json, MappingFile, Message, Outcome
from crep.harness.brokers.locating import Sought
from crep.harness.brokers.mapping import load_mapping
from crep.harness.brokers.registry import DEFAULT_MAPPINGS
from crep.harness.brokers.solace.semp import Semp
from crep.harness.brokers.streams import SinkSpec, SourceSpec
from crep.harness.deployment import Deployment
from tests.brokers.contract.bench import CHANNEL, TOPICS, Bench, batch, eventually, reader, send_all
from tests.brokers.contract.streaming import NOWHERE
from tests.brokers.contract.suite import BrokerContract, BulkContract
from tests.brokers.contract.system import SystemUnderTest


class Solace(SystemUnderTest):
    """The emulator, with the engines' clients on one of the vendor's two libraries."""

    system = "solace"
    client: str

    @pytest.fixture
    def mapping(self) -> MappingFile:
        mapping, chosen = load_mapping(DEFAULT_MAPPINGS[self.system]), {"client": self.client}
        return replace(mapping, publisher=mapping.publisher | chosen, subscriber=mapping.subscriber | chosen)

    def test_the_library_that_was_asked_for_is_the_one_that_is_used_and_named(self, bench: Bench) -> None:
        bench.provision(reader("billing"))
        assert bench.publisher().effective_settings()["client"].startswith(self.client)
        member = bench.member("billing").ready()
        assert member.subscriber.effective_settings()["client"].startswith(self.client)
        assert "fallback" not in [event.kind for event in member.subscriber.events()]

    def test_direct_messages_that_were_sent_reach_the_broker_though_their_publisher_is_closed_at_once(
        self, bench: Bench, admin: Admin
    ) -> None:
        """Not asked of Kafka: a broker that is not ready for a fresh topic drops what asks for no acknowledgement."""
        provisioned = bench.provision(reader("billing"))
        publisher = bench.publisher(guaranteed=False)
        assert set(send_all(publisher, batch(0, 20_000)).values()) == {Outcome.SENT}
        publisher.close()
        eventually(lambda: admin.observe(provisioned).readers[f"{CHANNEL}.billing"].backlog == 20_000, 30.0)

    @pytest.fixture
    def endpoint(self, emulator_endpoint: Endpoint) -> Endpoint:
        return emulator_endpoint

    @pytest.fixture
    def deployment(self, emulator_deployment: Deployment) -> Deployment:
        return emulator_deployment

    def redelivery_flags(self) -> set[int]:
        return {REDELIVERED_YES}

    def unreachable(self) -> tuple[Endpoint, str]:
        return Endpoint("solace", "nowhere", smf="tcp://127.0.0.1:9", semp="http://127.0.0.1:9"), "127.0.0.1:9"

    def objects_of_nobody(self) -> dict[str, object]:
        return {"topic_prefix": "crep/nobody", "queues": {}, "direct": {}, "key_property": None}

    def place(self, objects: Json) -> tuple[SourceSpec, SinkSpec, str]:
        source = SourceSpec(NOWHERE, "crep-source", (objects["queues"]["billing"]["name"],))
        return source, SinkSpec(NOWHERE, "crep-sink"), f"{objects['topic_prefix']}/orders/eu/new"


@pytest.mark.emulator
class TestNativeClient(Solace, BrokerContract):
    client = "native"

    def test_a_replay_log_tells_what_a_queue_has_forgotten(
        self, bench: Bench, admin: Admin, endpoint: Endpoint
    ) -> None:
        semp, logs = Semp(endpoint), f"config/msgVpns/{endpoint.vpn}/replayLogs"
        log = {"replayLogName": "crep-log", "ingressEnabled": True, "egressEnabled": True, "maxSpoolUsage": 100}
        semp.post(logs, log)
        try:
            provisioned = bench.provision(reader("billing"))
            messages, owner = bench.messages(provisioned), b"run+publ"
            for number in (0, 1):
                message = Message(TOPICS[0], owner + number.to_bytes(8, "little") + b" and more", key="7")
                assert messages.publish(CHANNEL, message).outcome is Outcome.ACKNOWLEDGED
                taken = messages.receive(CHANNEL, "billing", 15.0)
                assert taken is not None
                messages.settle(taken, "accept")
            eventually(lambda: admin.observe(provisioned).readers[f"{CHANNEL}.billing"].backlog == 0)
            sought = [Sought(owner + n.to_bytes(8, "little"), key=7) for n in (1, 2)]
            found = bench.broker.inspect(endpoint, provisioned).locate(CHANNEL, "billing", sought, 30.0)
            assert found[sought[0].identity].state == "stored"
            assert found[sought[0].identity].where.startswith("replay log, rmid")
            assert found[sought[1].identity].state == "never-stored"
        finally:
            semp.delete(f"{logs}/crep-log")
            semp.close()


@pytest.mark.emulator
class TestApiClient(Solace, BulkContract):
    client = "api"
