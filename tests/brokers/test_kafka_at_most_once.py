"""Positions that an at-most-once group could not commit. A scripted consumer, since a commit cannot be made to fail."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from confluent_kafka import KafkaError, TopicPartition

from crep.harness.brokers.contract import Endpoint, ReaderSpec, SubscriberSpec
from crep.harness.brokers.kafka import subscriber as module
from crep.harness.brokers.kafka.subscriber import KafkaSubscriber

TOPIC = "crep-r1-orders"
OBJECTS = {"topic": TOPIC, "partitions": 6, "topic_header": "crep-topic", "groups": {"billing": "g"}, "turns": {}}
READER = ReaderSpec("billing", "group", 2, "at-most-once")
SPEC = SubscriberSpec(Endpoint("kafka", "k", bootstrap="k:9092"), "c0", "orders", READER, 0, OBJECTS, {}, 60.0)


class Received:
    """A message at one place of the topic."""

    def __init__(self, partition: int, offset: int) -> None:
        self._place = partition, offset

    def error(self) -> None:
        return None

    def topic(self) -> str:
        return TOPIC

    def partition(self) -> int:
        return self._place[0]

    def offset(self) -> int:
        return self._place[1]

    def headers(self) -> None:
        return None

    def value(self) -> bytes:
        return b"x"


class Scripted:
    """A consumer that hands out ``messages`` and refuses to commit while ``failing``."""

    def __init__(self, *messages: Received) -> None:
        self.messages = list(messages)
        self.failing = True
        self.refused_partition: int | None = None
        self.attempts = 0
        self.committed: dict[int, int] = {}
        self.answering = True
        self.asked: list[TopicPartition] = []
        self.on_commit: Callable[[KafkaError | None, list[SimpleNamespace]], None]

    def poll(self, _timeout: float) -> Received | None:
        if self.asked and self.answering:
            self.answer()
            return None
        return self.messages.pop(0) if self.messages else None

    def consume(self, _count: int, _timeout: float) -> list[Received]:
        return []

    def commit(self, offsets: list[TopicPartition], asynchronous: bool) -> None:
        assert asynchronous
        assert not self.asked, "two commits at a time"
        self.attempts += 1
        self.asked = offsets

    def answer(self) -> None:
        asked, self.asked = self.asked, []
        if self.failing:
            self.on_commit(KafkaError(KafkaError.COORDINATOR_NOT_AVAILABLE), [])
            return
        refused = KafkaError(KafkaError.OFFSET_METADATA_TOO_LARGE)
        self.committed |= {p.partition: p.offset for p in asked if p.partition != self.refused_partition}
        places = [SimpleNamespace(error=refused if p.partition == self.refused_partition else None) for p in asked]
        self.on_commit(None, places)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    clock = SimpleNamespace(now=100.0, monotonic=lambda: clock.now, monotonic_ns=lambda: round(clock.now * 1e9))
    monkeypatch.setattr(module, "time", clock)
    return clock


def receiving(*messages: Received) -> tuple[KafkaSubscriber, Scripted]:
    subscriber, scripted = KafkaSubscriber(SPEC), Scripted(*messages)
    subscriber._consumer, scripted.on_commit = scripted, subscriber._on_commit
    return subscriber, scripted


def test_what_could_not_be_committed_is_dropped_and_committed_when_the_cluster_is_back(clock: SimpleNamespace) -> None:
    subscriber, scripted = receiving(Received(3, 41))
    assert len(subscriber.receive(10, 0)) == 0
    clock.now += 60.0
    scripted.failing = False
    assert len(subscriber.receive(10, 0)) == 0  # nothing more ever comes: the positions go alone
    assert scripted.committed == {3: 42}


def test_a_message_is_not_handed_over_when_only_its_own_partition_was_refused(clock: SimpleNamespace) -> None:
    subscriber, scripted = receiving(Received(3, 41))
    scripted.failing, scripted.refused_partition = False, 3
    assert len(subscriber.receive(10, 0)) == 0
    assert [event.kind for event in subscriber.events()] == ["error"]


def test_a_commit_without_an_answer_holds_up_nobody_and_is_not_overtaken() -> None:
    subscriber, scripted = receiving(Received(3, 41), Received(3, 42))
    scripted.failing = False
    scripted.answering = False
    started = time.monotonic()
    assert len(subscriber.receive(10, 0)) == 0
    assert len(subscriber.receive(10, 0)) == 0
    assert time.monotonic() - started < 10.0
    assert scripted.attempts == 1
    scripted.answering = True
    deadline = time.monotonic() + 10.0
    while scripted.committed != {3: 43} and time.monotonic() < deadline:
        assert len(subscriber.receive(10, 0)) == 0
        time.sleep(0.05)
    assert scripted.committed == {3: 43}


def test_positions_are_committed_again_by_time_and_once(clock: SimpleNamespace) -> None:
    subscriber, scripted = receiving(Received(3, 41))
    for _ in range(50):
        subscriber.receive(10, 0)
        clock.now += 0.1
    assert 4 <= scripted.attempts <= 6
    scripted.failing = False
    clock.now += 1.0
    for _ in range(5):
        subscriber.receive(10, 0)
        clock.now += 1.0
    assert 5 <= scripted.attempts <= 7


def test_an_old_position_never_follows_a_newer_one(clock: SimpleNamespace) -> None:
    subscriber, scripted = receiving(Received(3, 41), Received(3, 42))
    subscriber.receive(10, 0)
    scripted.failing = False
    assert len(subscriber.receive(10, 0)) == 1
    for _ in range(3):
        clock.now += 10.0
        subscriber.receive(10, 0)
    assert scripted.committed == {3: 43}
    assert scripted.attempts == 2


def test_positions_of_a_partition_that_moved_to_another_member_are_forgotten(clock: SimpleNamespace) -> None:
    subscriber, scripted = receiving(Received(3, 41), Received(4, 7))
    subscriber.receive(10, 0)
    subscriber.receive(10, 0)
    subscriber._on_revoke(scripted, [TopicPartition(TOPIC, 3)])
    scripted.failing = False
    clock.now += 10.0
    subscriber.receive(10, 0)
    assert scripted.committed == {4: 8}
