"""Promises of ``Messages`` and ``Inspect``."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from crep.harness.brokers.contract import Admin, Message, NotSupported, Outcome
from crep.harness.brokers.locating import Sought
from tests.brokers.contract.bench import (
    CHANNEL,
    FULL,
    TOPICS,
    Bench,
    batch,
    eventually,
    numbers,
    reader,
    send_all,
    topic_of,
)
from tests.brokers.contract.system import SystemUnderTest


class OneByOne(SystemUnderTest):
    """Promises of ``Messages`` and ``Inspect``."""

    def test_a_message_keeps_all_its_properties(self, bench: Bench) -> None:
        provisioned = bench.provision(reader("billing"))
        messages = bench.messages(provisioned)
        assert messages.publish(CHANNEL, FULL).outcome is Outcome.ACKNOWLEDGED
        got = messages.receive(CHANNEL, "billing", 15.0)
        assert got is not None
        assert replace(got, redelivered=None, priority=None) == FULL
        messages.settle(got, "accept")
        assert messages.receive(CHANNEL, "billing", 0.5) is None

    def test_a_failed_message_comes_again_and_an_accepted_one_does_not(self, bench: Bench) -> None:
        provisioned = bench.provision(reader("billing"))
        messages = bench.messages(provisioned)
        messages.publish(CHANNEL, Message(TOPICS[0], b"once more", key="1"))
        first = messages.receive(CHANNEL, "billing", 15.0)
        assert first is not None
        messages.settle(first, "fail")
        second = messages.receive(CHANNEL, "billing", 15.0)
        assert second is not None
        assert second.payload == b"once more"
        messages.settle(second, "accept")
        assert messages.receive(CHANNEL, "billing", 0.5) is None

    def test_what_a_client_had_drawn_and_nobody_took_stays_for_the_next_one_and_its_end_is_quiet(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        trouble: list[object] = []
        monkeypatch.setattr(threading, "excepthook", trouble.append)
        provisioned = bench.provision(reader("billing"))
        first, second = bench.messages(provisioned), bench.messages(provisioned)
        for payload in (b"one", b"two", b"three"):
            first.publish(CHANNEL, Message(TOPICS[0], payload, key="1"))
        taken = first.receive(CHANNEL, "billing", 15.0)
        assert taken is not None
        first.settle(taken, "accept")
        first.close()
        left = [second.receive(CHANNEL, "billing", 15.0) for _ in range(2)]
        assert [one.payload for one in left if one is not None] == [b"two", b"three"]
        assert trouble == []

    def test_a_rejected_message_goes_to_the_dead_letters_or_is_refused_with_the_reason(
        self, bench: Bench, admin: Admin
    ) -> None:
        provisioned = bench.provision(reader("billing", dead_letters_after=3), reader("audit"))
        messages = bench.messages(provisioned)
        messages.publish(CHANNEL, Message(TOPICS[0], b"poison", key="1"))
        poison = messages.receive(CHANNEL, "billing", 15.0)
        assert poison is not None
        messages.settle(poison, "reject")
        eventually(lambda: admin.observe(provisioned).readers[f"{CHANNEL}.billing"].dead_lettered == 1)
        without = messages.receive(CHANNEL, "audit", 15.0)
        assert without is not None
        with pytest.raises(NotSupported, match="dead_letters"):
            messages.settle(without, "reject")

    def test_a_stored_message_is_found_by_its_identity_and_stays(self, bench: Bench, admin: Admin) -> None:
        provisioned = bench.provision(reader("billing", topic_filter=">"))  # who filters by topic is told the topic
        send_all(bench.publisher(), batch(0, 30))
        inspect = bench.broker.inspect(bench.endpoint, provisioned)
        found = inspect.find(CHANNEL, "billing", (17).to_bytes(8, "big"))
        assert found is not None
        assert numbers([found.payload]) == [17]
        assert found.topic == topic_of(17)
        assert inspect.find(CHANNEL, "billing", b"there is no such thing") is None
        assert admin.observe(provisioned).readers[f"{CHANNEL}.billing"].backlog == 30

    def test_a_lost_message_is_located_in_the_brokers_own_storage(self, bench: Bench, admin: Admin) -> None:
        provisioned = bench.provision(reader("billing"))
        messages, owner = bench.messages(provisioned), b"run+publ"
        for number in (0, 1, 2, 4):
            body = owner + number.to_bytes(8, "little") + b" and more"
            assert messages.publish(CHANNEL, Message(TOPICS[0], body, key="7")).outcome is Outcome.ACKNOWLEDGED
        sought = {n: Sought(owner + n.to_bytes(8, "little"), key=ord("7")) for n in (2, 3)}
        inspect = bench.broker.inspect(bench.endpoint, provisioned)
        found = inspect.locate(CHANNEL, "billing", list(sought.values()), 30.0)
        stored, never = found[sought[2].identity], found[sought[3].identity]
        assert stored.state == "stored"
        assert stored.where
        assert never.state in ("never-stored", "not-found")  # a queue does not tell what it never had
        assert admin.observe(provisioned).readers[f"{CHANNEL}.billing"].backlog == 4
