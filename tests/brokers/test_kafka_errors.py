"""Which errors of the library prove that no log holds a message."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError

from crep.harness.brokers.contract import Outcome
from crep.harness.brokers.kafka.client import given_up


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
