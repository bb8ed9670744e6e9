"""What becomes of a message that the library does not send. A scripted publisher, since a race cannot be ordered."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from solace.messaging.errors.pubsubplus_client_error import (
    IllegalArgumentError,
    IllegalStateError,
    InvalidDataTypeError,
    PublisherOverflowError,
    PubSubPlusClientError,
)
from solace.messaging.publisher.persistent_message_publisher import PublishReceipt

from crep.harness.brokers.contract import Batch, Endpoint, Outcome, PublisherSpec
from crep.harness.brokers.solace import client as waiting
from crep.harness.brokers.solace import publisher as sending
from crep.harness.brokers.solace.publisher import SolacePublisher

OBJECTS = {"topic_prefix": "crep/r1/orders", "key_property": None}
SPEC = PublisherSpec(
    Endpoint("solace", "somewhere", smf="tcp://broker:55555"), "p0", "orders", OBJECTS, ("a",), True, {}, 60.0
)


class Scripted:
    """A ready publisher of the library; each call of ``publish`` meets the next answer, None being a success."""

    def __init__(self, *answers: Exception | None) -> None:
        self.answers = list(answers)
        self.sent: list[int] = []

    def is_ready(self) -> bool:
        return True

    def publish(self, _message: bytearray, _topic: object, sequence: int, _properties: object) -> None:
        answer = self.answers.pop(0) if self.answers else None
        if answer is not None:
            raise answer
        self.sent.append(sequence)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    clock = SimpleNamespace(now=100.0, monotonic=lambda: clock.now, monotonic_ns=lambda: round(clock.now * 1e9))
    for module in (waiting, sending):
        monkeypatch.setattr(module, "time", clock)
    return clock


def publishing(*answers: Exception | None) -> tuple[SolacePublisher, Scripted]:
    publisher, scripted = SolacePublisher(SPEC), Scripted(*answers)
    publisher._publisher = scripted
    return publisher, scripted


def batch(count: int) -> Batch:
    zeros = np.zeros(count, dtype=np.uint32)
    return Batch(np.arange(count, dtype=np.uint64), [b"x"] * count, zeros, zeros)


@pytest.mark.parametrize(
    "raced", [PubSubPlusClientError("Unable to publish message"), IllegalStateError("down"), PublisherOverflowError("")]
)
def test_a_message_that_was_never_sent_is_left_to_be_offered_again(raced: Exception) -> None:
    publisher, scripted = publishing(None, raced)
    assert publisher.send_batch(batch(3), 0) == 1
    assert len(publisher.poll(0).sequence) == 0
    assert publisher.send_batch(batch(3), 1) == 2
    assert scripted.sent == [0, 1, 2]


@pytest.mark.parametrize("bad", [IllegalArgumentError("topic too long"), InvalidDataTypeError("not a type")])
def test_a_bad_message_is_rejected_at_once_and_the_next_one_is_sent(bad: Exception) -> None:
    publisher, scripted = publishing(bad)
    assert publisher.send_batch(batch(2), 0) == 2
    outcomes = publisher.poll(0)
    assert (outcomes.sequence.tolist(), outcomes.outcome.tolist()) == ([0], [Outcome.REJECTED])
    assert outcomes.reasons == {0: str(bad)}
    assert scripted.sent == [1]


def test_one_message_that_can_never_be_sent_does_not_hold_up_the_others_for_ever(clock: SimpleNamespace) -> None:
    refusal = PubSubPlusClientError("Unable to publish message")
    publisher, scripted = publishing(refusal, refusal, refusal)
    assert publisher.send_batch(batch(2), 0) == 0
    clock.now += 4.9
    assert publisher.send_batch(batch(2), 0) == 0
    clock.now += 0.1
    assert publisher.send_batch(batch(2), 0) == 2
    assert publisher.poll(0).outcome.tolist() == [Outcome.REJECTED]
    assert scripted.sent == [1]


def test_a_message_is_given_its_own_time_and_not_that_of_an_earlier_one(clock: SimpleNamespace) -> None:
    refusal = PubSubPlusClientError("Unable to publish message")
    publisher, _ = publishing(refusal, None, refusal)
    assert publisher.send_batch(batch(2), 0) == 0
    clock.now += 60.0
    assert publisher.send_batch(batch(2), 0) == 1
    assert len(publisher.poll(0).sequence) == 0


def test_the_time_of_an_outage_does_not_count_against_a_message(clock: SimpleNamespace) -> None:
    refusal = PubSubPlusClientError("Unable to publish message")
    publisher, _ = publishing(refusal, IllegalStateError("not connected"), refusal)
    for _ in range(3):
        assert publisher.send_batch(batch(1), 0) == 0
        clock.now += 30.0
    assert len(publisher.poll(0).sequence) == 0


@pytest.mark.parametrize(
    ("sub_code", "outcome"), [("SPOOL_OVER_QUOTA", Outcome.REJECTED), ("COMMUNICATION_ERROR", Outcome.UNKNOWN)]
)
def test_a_failed_receipt_says_rejected_only_where_the_broker_refused(sub_code: str, outcome: Outcome) -> None:
    publisher, _ = publishing()
    publisher.send_batch(batch(1), 0)
    error = PubSubPlusClientError({"sub_code": f"SOLCLIENT_SUBCODE_{sub_code}", "error_info_contents": "no"})
    receipt = PublishReceipt(bytearray(b"x"), error, 0, False, 0)
    publisher._receipts.on_publish_receipt(receipt)
    outcomes = publisher.poll(0)
    assert (outcomes.outcome.tolist(), outcomes.reasons) == ([outcome], {0: "no"})
