"""Who leads the quorum: the answer of the protocol guide is read, and a live node names itself."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crep.harness.brokers.contract import BrokerError, Endpoint, NotSupported
from crep.harness.brokers.kafka.admin import KafkaAdmin
from crep.harness.brokers.kafka.quorum import Quorum, parse_quorum
from crep.harness.deployment.ports import free_port

LOG = b"__cluster_metadata"
NOTHING_FETCHED = -1


def answer(
    leader: int, voters: dict[int, int], *, error: int = 0, partition_error: int = 0, correlation: int = 13
) -> bytes:
    """A version 0 answer; ``voters``: node id → log end offset."""
    ends = b"".join(struct.pack(">iq", node, end) + b"\0" for node, end in voters.items())
    partition = struct.pack(">ihiiq", 0, partition_error, leader, 5, 1000) + bytes([len(voters) + 1]) + ends + b"\1\0"
    topic = bytes([len(LOG) + 1]) + LOG + b"\2" + partition + b"\0"
    return struct.pack(">i", correlation) + b"\0" + struct.pack(">h", error) + b"\2" + topic + b"\0"


def test_the_leader_and_the_voters_that_follow_it_are_read() -> None:
    assert parse_quorum(answer(102, {101: 900, 102: 1000, 103: 0})) == Quorum(102, frozenset({101, 102, 103}))


def test_a_voter_that_has_fetched_nothing_does_not_follow() -> None:
    assert parse_quorum(answer(102, {101: NOTHING_FETCHED, 102: 1000})).following == {102}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (answer(1, {1: 1}, error=6), "error 6"),
        (answer(1, {1: 1}, partition_error=3), "error 3"),
        (answer(1, {1: 1}, correlation=7), "another correlation id"),
        (answer(-1, {1: 1}), "no leader"),
    ],
)
def test_what_is_no_answer_to_the_question_is_refused(wrong: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_quorum(wrong)


@given(st.integers(0, 60))
def test_a_truncated_answer_is_refused(kept: int) -> None:
    whole = answer(102, {101: 900, 102: 1000})
    with pytest.raises(ValueError, match="truncated"):
        parse_quorum(whole[: min(kept, len(whole) - 10)])


def test_a_cluster_with_a_login_is_not_asked_and_the_reason_is_said() -> None:
    admin = KafkaAdmin(Endpoint("kafka", "theirs", bootstrap="127.0.0.1:1", username="crep"))
    with pytest.raises(NotSupported, match="login"):
        admin.controller()


def test_a_cluster_that_does_not_answer_is_named() -> None:
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(BrokerError, match=address):
        KafkaAdmin(Endpoint("kafka", "theirs", bootstrap=address)).controller()


@pytest.mark.kafka
def test_a_single_node_leads_its_own_quorum(kafka_endpoint: Endpoint) -> None:
    assert KafkaAdmin(kafka_endpoint).controller() == "1"
