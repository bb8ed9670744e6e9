"""Which errors of the library prove that no log holds a message."""

from __future__ import annotations

import logging

import pytest
from confluent_kafka import KafkaError

from crep.harness.brokers.contract import Outcome
from crep.harness.brokers.kafka.client import ConnectionWatch, given_up


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (KafkaError.MSG_SIZE_TOO_LARGE, Outcome.REJECTED),
        (KafkaError.INVALID_RECORD, Outcome.REJECTED),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, Outcome.REJECTED),
        (KafkaError._UNKNOWN_TOPIC, Outcome.REJECTED),
        (KafkaError._MSG_TIMED_OUT, Outcome.UNKNOWN),
        (KafkaError._PURGE_INFLIGHT, Outcome.UNKNOWN),
        (KafkaError._PURGE_QUEUE, Outcome.UNKNOWN),  # it may wait there for its second attempt
        (
            KafkaError.NOT_ENOUGH_REPLICAS,
            Outcome.UNKNOWN,
        ),  # of a second attempt, perhaps
        (KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND, Outcome.UNKNOWN),
        (KafkaError.REQUEST_TIMED_OUT, Outcome.UNKNOWN),
    ],
)
def test_a_message_is_rejected_only_with_proof_that_it_was_not_stored(code: int, outcome: Outcome) -> None:
    assert given_up(KafkaError(code)) is outcome


def test_the_connection_that_is_lost_to_one_of_several_brokers_is_told_once_and_not_each_attempt_at_a_new_one() -> None:
    watch = ConnectionWatch()
    log = watch.options()["logger"]
    for line in (
        "127.0.0.1:9092/2: Disconnected: connection closed by peer: receive 0 after POLLIN (after 4742ms in state UP)",
        "127.0.0.1:9092/2: Disconnected: connection reset by peer (after 37ms in state APIVERSION_QUERY)",
        "127.0.0.1:9092/2: Connect to ipv4#127.0.0.1:9092 failed: Connection refused (after 0ms in state CONNECT)",
    ):
        log.log(logging.ERROR, "%s [%s] %s", "FAIL", "rdkafka#producer-1", f"[thrd:127.0.0.1:9092/2]: {line}")
    log.log(logging.INFO, "%s [%s] %s", "GETPID", "rdkafka#producer-1", "no coordinator (after 3ms in state UP)")
    [event] = watch.take()
    assert event.kind == "disconnected"
    assert "127.0.0.1:9092/2" in event.text
    assert watch.connected, "the other brokers are still there"
