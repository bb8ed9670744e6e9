"""Client quotas: the answer of the protocol guide is read, and a live cluster's are found among its caps."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crep.harness.brokers.contract import Endpoint
from crep.harness.brokers.kafka.admin import KafkaAdmin
from crep.harness.brokers.kafka.quotas import (
    ClientQuota,
    ask_quotas,
    check_altered,
    parse_quotas,
    set_client_quota,
)


def text(value: str | None) -> bytes:
    return struct.pack(">h", -1) if value is None else struct.pack(">h", len(value)) + value.encode()


def answer(*entries: bytes, error: int = 0, why: str | None = None, correlation: int = 11) -> bytes:
    head = struct.pack(">iih", correlation, 0, error) + text(why)
    return head + struct.pack(">i", len(entries) or -1) + b"".join(entries)


def entry(entity: dict[str, str | None], limits: dict[str, float]) -> bytes:
    who = struct.pack(">i", len(entity)) + b"".join(text(kind) + text(name) for kind, name in entity.items())
    return who + struct.pack(">i", len(limits)) + b"".join(text(k) + struct.pack(">d", v) for k, v in limits.items())


def test_every_limit_of_every_entity_is_read() -> None:
    found = parse_quotas(
        answer(
            entry({"client-id": None}, {"producer_byte_rate": 1e6, "consumer_byte_rate": 2e6}),
            entry({"user": "alice", "client-id": "x"}, {"request_percentage": 50.0}),
        )
    )
    assert found == (
        ClientQuota("client-id default", "producer_byte_rate", 1e6),
        ClientQuota("client-id default", "consumer_byte_rate", 2e6),
        ClientQuota("user alice, client-id x", "request_percentage", 50.0),
    )


def test_no_quota_is_no_quota() -> None:
    assert parse_quotas(answer()) == ()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (answer(error=31, why="Cluster authorization failed."), "Cluster authorization failed"),
        (answer(error=35), "error 35"),
        (answer(correlation=12), "another correlation id"),
        (answer(entry({"user": "a"}, {"producer_byte_rate": 1.0}))[:-3], "truncated"),
    ],
)
def test_a_refusal_and_a_damaged_answer_are_told_apart_from_no_quota(data: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_quotas(data)


@given(st.integers(0, 60))
def test_a_cut_answer_never_passes(length: int) -> None:
    whole = answer(entry({"client-id": None}, {"producer_byte_rate": 1e6}))
    if length < len(whole):
        with pytest.raises(ValueError, match="truncated"):
            parse_quotas(whole[:length])


def altered(*entries: tuple[int, str | None], correlation: int = 11) -> bytes:
    """An answer to AlterClientQuotas: error code and text of each client id."""
    entity = struct.pack(">i", 1) + text("client-id") + text("x")
    parts = [struct.pack(">h", error) + text(why) + entity for error, why in entries]
    return struct.pack(">iii", correlation, 0, len(parts)) + b"".join(parts)


def test_a_quota_that_was_not_set_is_told() -> None:
    check_altered(altered((0, None), (0, None)))
    with pytest.raises(ValueError, match="client-id x: Cluster authorization failed"):
        check_altered(altered((0, None), (31, "Cluster authorization failed.")))
    with pytest.raises(ValueError, match="another correlation id"):
        check_altered(altered((0, None), correlation=12))
    with pytest.raises(ValueError, match="truncated"):
        check_altered(altered((0, None))[:-3])


@pytest.mark.kafka
def test_a_quota_of_a_live_cluster_is_among_its_caps(kafka_endpoint: Endpoint) -> None:
    assert ask_quotas(kafka_endpoint) == ()
    set_client_quota(kafka_endpoint, ["somebody"], 123456.0)
    try:
        admin = KafkaAdmin(kafka_endpoint)
        capped = admin.facts().caps
        admin.close()
    finally:
        set_client_quota(kafka_endpoint, ["somebody"], None)
    assert capped["client quota producer_byte_rate (client-id somebody)"] == "123456"
