"""Kafka for the three services, by confluent-kafka: a topic to read in a group, a topic to write."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition


class Order(NamedTuple):
    """A message: ``properties`` are headers, ``handle`` is what ``done`` settles it by."""

    topic: str
    key: str | bytes | None
    body: bytes
    properties: dict[str, Any]
    handle: Message | None = None


def _settings(side: str) -> dict[str, str]:
    return {"bootstrap.servers": os.environ[f"{side}_BOOTSTRAP"], "client.id": f"orders-{side.lower()}-{os.getpid()}"}


class Reader:
    """Reads in a group. What is not ``done`` when the process ends comes again."""

    def __init__(self, side: str = "CREP_FROM") -> None:
        self._header = os.environ.get(f"{side}_TOPIC_HEADER")
        group = {"group.id": os.environ[f"{side}_GROUP"], "auto.offset.reset": "earliest", "enable.auto.commit": False}
        self._consumer = Consumer({**_settings(side), **group})
        self._consumer.subscribe([os.environ[f"{side}_TOPIC"]])

    def next(self, timeout_s: float) -> Order | None:
        """The next message, None when none came."""
        message = self._consumer.poll(timeout_s)
        if message is None:
            return None
        if (error := message.error()) is not None:
            if error.code() == KafkaError._PARTITION_EOF or error.retriable():
                return None
            raise KafkaException(error)
        properties = {name: value or b"" for name, value in message.headers() or []}
        topic = properties.pop(self._header, b"").decode() if self._header else ""
        return Order(topic or message.topic() or "", message.key(), message.value() or b"", properties, message)

    def done(self, orders: list[Order]) -> None:
        """These are processed: commit behind the last one of each partition."""
        behind: dict[tuple[str, int], int] = {}
        for order in orders:
            if (came := order.handle) is not None:
                at = (came.topic() or "", came.partition() or 0)
                behind[at] = max(behind.get(at, 0), (came.offset() or 0) + 1)
        if behind:
            self._consumer.commit(
                offsets=[TopicPartition(*at, offset) for at, offset in behind.items()], asynchronous=False
            )

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close()


class Writer:
    """Writes, in order by key; ``settled`` returns when the broker has acknowledged everything."""

    def __init__(self, side: str = "CREP_TO") -> None:
        self._topic, self._header = os.environ[f"{side}_TOPIC"], os.environ.get(f"{side}_TOPIC_HEADER")
        self._producer = Producer({**_settings(side), "acks": "all", "enable.idempotence": True, "linger.ms": 5})
        self._failed: list[str] = []

    def send(self, order: Order) -> None:
        """Hand over; waits while the client's buffer is full."""
        headers = [(name, v if isinstance(v, bytes) else str(v).encode()) for name, v in order.properties.items()]
        if self._header:
            headers.append((self._header, order.topic.encode()))
        report: Callable[[KafkaError | None, Message], None] = self._report
        while True:
            try:
                self._producer.produce(self._topic, order.body, order.key, headers=headers, on_delivery=report)
                return
            except BufferError:
                self._producer.poll(0.1)

    def _report(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._failed.append(error.str())

    def settled(self) -> None:
        """Everything is stored, or this raises: then nothing that it came from may be ``done``."""
        left = self._producer.flush(60)
        if left or self._failed:
            raise RuntimeError(f"{left} messages without an answer; refused: {self._failed[:3]}")

    def close(self) -> None:
        """Nothing is left to do after ``settled``."""
