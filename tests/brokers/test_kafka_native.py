"""What reads the C library's memory, and what is done where the library is not as declared."""

from __future__ import annotations

import ctypes
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from confluent_kafka import KafkaException, TopicPartition
from hypothesis import given, settings
from hypothesis import strategies as st

from crep.harness.brokers.contract import BrokerError, Endpoint, ReaderSpec, SubscriberSpec
from crep.harness.brokers.kafka import KafkaAdapter
from crep.harness.brokers.kafka.native import subscriber as module
from crep.harness.brokers.kafka.native.consumer import NO_MESSAGES, NativeConsumer, Pointers
from crep.harness.brokers.kafka.native.library import (
    MESSAGE,
    Library,
    NativeClientUnavailable,
    Place,
    Places,
    load,
    opened,
    require_known,
)
from crep.harness.brokers.kafka.native.memory import FIRST, process_memory, structures_at
from crep.harness.brokers.kafka.native.subscriber import NativeKafkaSubscriber

TOPIC = "crep-r1-orders"
OBJECTS = {"topic": TOPIC, "partitions": 6, "topic_header": "crep-topic", "groups": {"billing": "g"}, "turns": {}}
READER = ReaderSpec("billing", "group", 1, "at-least-once")
SPEC = SubscriberSpec(Endpoint("kafka", "k", bootstrap="127.0.0.1:9"), "c0", "orders", READER, 0, OBJECTS, {}, 60.0)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2**64 - 1), st.integers(-(2**31), 2**31 - 1)), max_size=20))
def test_structures_are_gathered_from_wherever_they_lie(values: list[tuple[int, int]]) -> None:
    memory = np.zeros(len(values), MESSAGE)
    for at, (word, number) in enumerate(values):
        memory["length"][at], memory["partition"][at] = word, number
    pointers = (memory.ctypes.data + MESSAGE.itemsize * np.arange(len(values))[::-1]).astype(np.uint64)
    found = structures_at(pointers, MESSAGE)
    assert found["length"].tolist() == [word for word, _ in values][::-1]
    assert found["partition"].tolist() == [number for _, number in values][::-1]


def test_the_memory_of_the_process_is_seen_where_it_is() -> None:
    text = ctypes.create_string_buffer(b"seen")
    start = ctypes.addressof(text) - FIRST
    assert process_memory()[start : start + 4].tobytes() == b"seen"


@pytest.mark.parametrize("version", ["2.2.0", "3.0.0", "", "2", "two.three"])
def test_a_version_that_is_not_declared_is_not_used(version: str) -> None:
    with pytest.raises(NativeClientUnavailable, match=f"version {version!r}"):
        require_known(version)


def test_a_file_that_is_no_library_is_not_used(tmp_path: Path) -> None:
    file = tmp_path / "librdkafka.so"
    file.write_bytes(b"no library")
    with pytest.raises(NativeClientUnavailable, match="cannot be opened"):
        opened(file)


def test_without_the_library_the_public_client_receives_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Library:
        raise NativeClientUnavailable("librdkafka has no function rd_kafka_commit")

    monkeypatch.setattr(module, "load", missing)
    subscriber = KafkaAdapter().subscriber(SPEC)
    assert subscriber.effective_settings()["client"] == (
        "api (native cannot be used: librdkafka has no function rd_kafka_commit)"
    )


def test_an_unreachable_broker_is_named_and_a_refused_setting_too() -> None:
    subscriber = NativeKafkaSubscriber(SPEC)
    subscriber._consumer = subscriber._client(subscriber._properties)
    with pytest.raises(KafkaException):
        subscriber._consumer.has_topic(TOPIC, 0.2)
    subscriber._serve(0.5)
    assert [event.kind for event in subscriber.events()][:1] == ["down"]
    subscriber.close()
    subscriber.close()
    with pytest.raises(BrokerError, match=r"refused its settings.*nonsense"):
        subscriber._client({"nonsense": 1})


class Holding:
    """A consumer of two batches, one of them with an error; keeps account of what was given back."""

    def __init__(self, memory: np.ndarray[Any, Any], batches: list[list[int]]) -> None:
        self._memory, self._batches = memory, batches
        self.given: list[int] = []
        self.returned: list[int] = []

    def take(self, _most: int, _timeout_s: float) -> Pointers:
        if not self._batches:
            return NO_MESSAGES
        numbers = np.array(self._batches.pop(0))
        taken = (self._memory.ctypes.data + MESSAGE.itemsize * numbers).astype(np.uint64)
        self.given += taken.tolist()
        return taken

    def release(self, messages: Pointers) -> None:
        self.returned += messages.tolist()

    def close(self) -> None:
        pass


def test_messages_are_kept_until_the_next_receive_and_given_back_once_errors_too() -> None:
    payloads = [np.frombuffer(word, np.uint8) for word in (b"a", b"bcd", b"words of an error", b"", b"e")]
    memory = np.zeros(5, MESSAGE)
    memory["err"] = [0, 0, -195, 0, 0]
    memory["partition"], memory["offset"] = [1, 0, 0, 1, 1], [7, 3, -1001, 8, 9]
    memory["payload"], memory["length"] = [payload.ctypes.data for payload in payloads], list(map(len, payloads))
    memory["payload"][3] = 0  # a message without a payload has no address either
    subscriber, holding = NativeKafkaSubscriber(SPEC), Holding(memory, [[0, 1, 2], [3, 4]])
    subscriber._consumer = holding  # type: ignore[assignment]
    first = subscriber.receive(10, 0)
    assert list(first.bodies) == [b"a", b"bcd"]
    assert holding.returned == []
    assert subscriber._settlement.acknowledge(0) == {(TOPIC, 0): 4, (TOPIC, 1): 8}
    assert [event.kind for event in subscriber.events()] == ["error"]
    second = subscriber.receive(10, 0)
    assert holding.returned == holding.given[:3]
    assert list(second.bodies) == [b"", b"e"]
    assert second.received_ns.tolist() == [second.received_ns[0]] * 2
    subscriber.close()
    assert holding.returned == holding.given


class Recorded:
    """The library's calls of a rebalance."""

    def __init__(self, protocol: bytes) -> None:
        self._protocol = protocol
        self.made: list[tuple[str, bool]] = []

    def rebalance_protocol(self, _handle: int) -> bytes:
        return self._protocol

    def assign(self, _handle: int, places: object) -> int:
        self.made.append(("assign", places is not None))
        return 0

    def incremental_assign(self, _handle: int, _places: object) -> int:
        self.made.append(("incremental_assign", True))
        return 0

    def incremental_unassign(self, _handle: int, _places: object) -> int:
        self.made.append(("incremental_unassign", True))
        return 0


def _ignored(*_told: object) -> None:
    """Of an error or a line of the log."""


@pytest.mark.parametrize(
    ("protocol", "made"),
    [
        (b"EAGER", [("assign", True), ("assign", False)]),
        (b"COOPERATIVE", [("incremental_assign", True), ("incremental_unassign", True)]),
    ],
)
def test_what_moves_is_told_and_then_assigned_as_the_protocol_wants(
    protocol: bytes, made: list[tuple[str, bool]]
) -> None:
    told: list[tuple[str, list[tuple[str, int]]]] = []
    consumer = NativeConsumer(load(), {"group.id": "g"}, failed=_ignored, logged=_ignored, committed=None)
    recorded = Recorded(protocol)
    real = consumer._calls
    places = Places(1, 1, ctypes.pointer(Place(topic=TOPIC.encode(), partition=3)))
    consumer._on_assign = lambda _, moved: told.append(("on", [(one.topic, one.partition) for one in moved]))
    consumer._on_revoke = lambda _, moved: told.append(("off", [(one.topic, one.partition) for one in moved]))
    consumer._calls = recorded  # type: ignore[assignment]
    for code in (-175, -174):
        consumer._rebalanced(0, code, ctypes.pointer(places), None)
    assert told == [("on", [(TOPIC, 3)]), ("off", [(TOPIC, 3)])]
    assert recorded.made == made
    consumer._calls = real
    consumer.close()


def test_what_a_callback_raises_is_raised_by_the_call_that_it_ran_in() -> None:
    consumer = NativeConsumer(load(), {"group.id": "g"}, failed=_ignored, logged=_ignored, committed=None)

    def refuse(_consumer: object, _partitions: object) -> None:
        raise KafkaException("no")

    consumer._on_assign = refuse
    consumer._rebalanced(0, -175, None, None)
    with pytest.raises(KafkaException, match="no"):
        consumer.take(10, 0)
    assert len(consumer.take(10, 0)) == 0
    consumer.close()


def test_the_answer_to_a_commit_is_its_first_failure() -> None:
    answers: list[int | None] = []
    consumer: Any = SimpleNamespace(
        _committed=lambda error: answers.append(None if error is None else error.code()), _library=load()
    )
    items = (Place * 2)(Place(topic=b"t", partition=0), Place(topic=b"t", partition=1, err=12))
    places = Places(2, 2, items)
    for code, told in ((0, None), (0, ctypes.pointer(places)), (16, ctypes.pointer(places))):
        NativeConsumer._commit_answered(consumer, 0, code, told, None)
    assert answers == [None, 12, 16]


def test_places_travel_to_the_library_with_their_offsets() -> None:
    consumer = NativeConsumer(load(), {"group.id": "g"}, failed=_ignored, logged=_ignored, committed=None)
    seen: list[tuple[bytes, int, int]] = []

    def look(_handle: int, places: Any) -> int:
        seen.extend(
            (item.topic, item.partition, item.offset) for item in places.contents.items[: places.contents.count]
        )
        return 0

    consumer._with_places([TopicPartition("t", 3, 42), TopicPartition("u", 0, 7)], look)
    assert seen == [(b"t", 3, 42), (b"u", 0, 7)]
    consumer.close()
