"""Promises of ``Admin``: native objects, facts, backlog."""

from __future__ import annotations

import pytest

from crep.harness.brokers.contract import CAPABILITIES, Admin, BrokerError, Durability, NotSupported
from tests.brokers.contract.bench import CHANNEL, Bench, batch, eventually, reader, send_all
from tests.brokers.contract.system import SystemUnderTest


class Administration(SystemUnderTest):
    """Promises of ``Admin``: native objects, facts, backlog."""

    def test_provision_is_idempotent_and_names_carry_the_run(self, bench: Bench, admin: Admin) -> None:
        first = bench.provision(reader("billing"), reader("audit", share="exclusive", members=2))
        again = admin.provision(first.run_id, [bench.channel], bench.mapping)
        assert again == first
        assert first.run_id in str(first.objects[CHANNEL])
        assert first.durability[CHANNEL]["copies"] == 1
        assert first.durability[CHANNEL]["sync"] == "disk"
        assert first.durability[CHANNEL]["known"] in ("configured", "documented", "verified")

    def test_remove_leaves_nothing_and_may_be_called_again(self, bench: Bench, admin: Admin) -> None:
        provisioned = bench.provision(reader("billing"))
        admin.remove(provisioned)
        admin.remove(provisioned)
        orphan = bench.subscriber("billing", 0)
        with pytest.raises(BrokerError):
            orphan.open()
        orphan.close()

    def test_a_class_that_the_broker_cannot_reach_is_refused_with_the_reason(self, bench: Bench) -> None:
        with pytest.raises(NotSupported, match="copies"):
            bench.provision(reader("billing"), durability=Durability(7, "disk"))
        with pytest.raises(NotSupported, match="none"):
            bench.provision(reader("billing"), durability=Durability(1, "none"))

    def test_facts_say_product_evidence_settings_and_client(self, admin: Admin) -> None:
        facts = admin.facts()
        assert facts.product
        assert facts.version
        assert facts.recognised_by
        assert facts.genuineness in ("genuine", "emulated", "mock")
        assert facts.configuration
        assert facts.caps
        assert any(character.isdigit() for character in facts.client)

    def test_capabilities_are_the_closed_set_each_with_its_how(self, admin: Admin) -> None:
        capabilities = admin.capabilities()
        assert tuple(sorted(capabilities)) == tuple(sorted(CAPABILITIES))
        assert all(capability.how for capability in capabilities.values())

    def test_backlog_is_what_was_published_minus_what_was_acknowledged(self, bench: Bench, admin: Admin) -> None:
        provisioned = bench.provision(reader("billing"), reader("audit", share="exclusive"))
        send_all(bench.publisher(), batch(0, 120))
        state = admin.observe(provisioned).readers
        assert (state[f"{CHANNEL}.billing"].backlog, state[f"{CHANNEL}.audit"].backlog) == (120, 120)
        member = bench.member("billing").ready()
        eventually(lambda: len(member.received) >= 120)
        eventually(lambda: admin.observe(provisioned).readers[f"{CHANNEL}.billing"].backlog == 0)
        assert admin.observe(provisioned).readers[f"{CHANNEL}.billing"].connections == 1
        assert admin.observe(provisioned).readers[f"{CHANNEL}.audit"].backlog == 120
