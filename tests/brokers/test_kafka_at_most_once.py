"""Positions that an at-most-once group could not commit. A scripted consumer, since a commit cannot be made to fail.

Each promise is kept on both libraries: ``Scripted`` hands out objects, ``ScriptedNative`` the addresses of messages.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from confluent_kafka import KafkaError, TopicPartition

from crep.harness.brokers.contract import Endpoint, ReaderSpec, SubscriberSpec
from crep.harness.brokers.kafka import reading, subscriber
from crep.harness.brokers.kafka.native import subscriber as native
from crep.harness.brokers.kafka.native.consumer import NO_MESSAGES, Pointers
from crep.harness.brokers.kafka.native.library import MESSAGE
from crep.harness.brokers.kafka.native.subscriber import NativeKafkaSubscriber
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

    def close(self) -> None:
        pass

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


class ScriptedNative(Scripted):
    """The same, with messages as librdkafka lays them out in memory; keeps account of who has them."""

    def __init__(self, *messages: Received) -> None:
        super().__init__(*messages)
        self.memory = np.zeros(len(messages), MESSAGE)
        self.payload = np.frombuffer(b"x", np.uint8)
        self.given: list[int] = []
        self.returned: list[int] = []

    def take(self, _most: int, timeout: float) -> Pointers:
        message = self.poll(timeout)
        if message is None:
            return NO_MESSAGES
        number = len(self.given)
        self.memory[number] = (0, 0, message.partition(), self.payload.ctypes.data, 1, 0, 0, message.offset(), 0)
        self.given.append(self.memory.ctypes.data + number * MESSAGE.itemsize)
        return np.array(self.given[-1:], np.uint64)

    def release(self, messages: Pointers) -> None:
        self.returned += messages.tolist()


@pytest.fixture(params=["api", "native"])
def library(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    clock = SimpleNamespace(now=100.0, monotonic=lambda: clock.now, monotonic_ns=lambda: round(clock.now * 1e9))
    for module in (reading, subscriber, native):
        monkeypatch.setattr(module, "time", clock)
    return clock


Receiving = Callable[..., tuple[Any, Scripted]]


@pytest.fixture
def receiving(library: str) -> Iterator[Receiving]:
    """A subscriber of the library in turn, on a scripted consumer; at the end every message has been given back."""
    made: list[Any] = []

    def receive(*messages: Received) -> tuple[Any, Scripted]:
        scripted = Scripted(*messages) if library == "api" else ScriptedNative(*messages)
        one: Any = (KafkaSubscriber if library == "api" else NativeKafkaSubscriber)(SPEC)
        one._consumer, scripted.on_commit = scripted, one._on_commit
        made.append(one)
        return one, scripted

    yield receive
    for one in made:
        scripted = one._consumer
        one.close()
        if isinstance(scripted, ScriptedNative):
            assert sorted(scripted.given) == sorted(scripted.returned)


def test_what_could_not_be_committed_is_dropped_and_committed_when_the_cluster_is_back(
    receiving: Receiving, clock: SimpleNamespace
) -> None:
    member, scripted = receiving(Received(3, 41))
    assert len(member.receive(10, 0)) == 0
    clock.now += 60.0
    scripted.failing = False
    assert len(member.receive(10, 0)) == 0  # nothing more ever comes: the positions go alone
    assert scripted.committed == {3: 42}


def test_a_message_is_not_handed_over_when_only_its_own_partition_was_refused(
    receiving: Receiving, clock: SimpleNamespace
) -> None:
    member, scripted = receiving(Received(3, 41))
    scripted.failing, scripted.refused_partition = False, 3
    assert len(member.receive(10, 0)) == 0
    assert [event.kind for event in member.events()] == ["error"]


def test_a_commit_without_an_answer_holds_up_nobody_and_is_not_overtaken(receiving: Receiving) -> None:
    member, scripted = receiving(Received(3, 41), Received(3, 42))
    scripted.failing = False
    scripted.answering = False
    started = time.monotonic()
    assert len(member.receive(10, 0)) == 0
    assert len(member.receive(10, 0)) == 0
    assert time.monotonic() - started < 10.0
    assert scripted.attempts == 1
    scripted.answering = True
    deadline = time.monotonic() + 10.0
    while scripted.committed != {3: 43} and time.monotonic() < deadline:
        assert len(member.receive(10, 0)) == 0
        time.sleep(0.05)
    assert scripted.committed == {3: 43}


def test_positions_are_committed_again_by_time_and_once(receiving: Receiving, clock: SimpleNamespace) -> None:
    member, scripted = receiving(Received(3, 41))
    for _ in range(50):
        member.receive(10, 0)
        clock.now += 0.1
    assert 4 <= scripted.attempts <= 6
    scripted.failing = False
    clock.now += 1.0
    for _ in range(5):
        member.receive(10, 0)
        clock.now += 1.0
    assert 5 <= scripted.attempts <= 7


def test_an_old_position_never_follows_a_newer_one(receiving: Receiving, clock: SimpleNamespace) -> None:
    member, scripted = receiving(Received(3, 41), Received(3, 42))
    member.receive(10, 0)
    scripted.failing = False
    assert len(member.receive(10, 0)) == 1
    for _ in range(3):
        clock.now += 10.0
        member.receive(10, 0)
    assert scripted.committed == {3: 43}
    assert scripted.attempts == 2


def test_positions_of_a_partition_that_moved_to_another_member_are_forgotten(
    receiving: Receiving, clock: SimpleNamespace
) -> None:
    member, scripted = receiving(Received(3, 41), Received(4, 7))
    member.receive(10, 0)
    member.receive(10, 0)
    member._on_revoke(scripted, [TopicPartition(TOPIC, 3)])
    scripted.failing = False
    clock.now += 10.0
    member.receive(10, 0)
    assert scripted.committed == {4: 8}


def test_what_came_while_a_commit_was_waited_for_is_dropped_with_its_partition(receiving: Receiving) -> None:
    member, scripted = receiving(Received(3, 41), Received(4, 7))
    scripted.failing = scripted.answering = False
    assert len(member.receive(10, 0)) == 0  # the second message comes while the commit is waited for
    member._on_revoke(scripted, [TopicPartition(TOPIC, 4)])
    scripted.answering = True
    assert len(member.receive(10, 0)) == 0
    assert not scripted.messages
    member._on_revoke(scripted, [])
