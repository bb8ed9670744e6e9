"""The bare loops of confluent-kafka: ``produce`` with a delivery callback, and ``poll`` followed by ``consume``."""

from __future__ import annotations

import time

from confluent_kafka import Consumer, KafkaError, Message, Producer

from bench.bare import WITHIN_S, Clock, key, say_ready, settle_memory
from bench.brokers import KEYS
from crep.harness.brokers.contract import BrokerError, PublisherSpec, SubscriberSpec
from crep.harness.brokers.kafka.client import connection

_BATCH = 1000
_FLUSH_S = 60.0


def publish(spec: PublisherSpec, count: int, size: int) -> dict[str, float]:
    """``count`` messages of ``size`` bytes, each with a key and a callback."""
    producer = Producer(connection(spec.endpoint, spec.name) | dict(spec.settings) | {"acks": "all"})
    topic, payload, keys = str(spec.objects["topic"]), bytes(size), [n.to_bytes(4, "big") for n in range(KEYS)]
    producer.list_topics(topic, timeout=10.0)
    clock = Clock()

    def delivered(error: KafkaError | None, _message: Message) -> None:
        if error is None:
            clock.count += 1
            if clock.count == count:
                clock.last_ns = time.monotonic_ns()

    settle_memory()
    clock.start()
    for number in range(count):
        while True:
            try:
                producer.produce(topic, payload, keys[key(number)], on_delivery=delivered)
                break
            except BufferError:
                producer.poll(0.001)
        if number % _BATCH == 0:
            producer.poll(0)
    producer.flush(_FLUSH_S)
    return clock.did(count)


def receive(spec: SubscriberSpec, count: int, size: int) -> dict[str, float]:
    """``count`` waiting messages, offsets committed by the library; from first to last."""
    group = f"{spec.objects['groups'][spec.reader.name]}"
    settings = {"group.id": group, "auto.offset.reset": "earliest"}
    consumer = Consumer(connection(spec.endpoint, spec.name) | dict(spec.settings) | settings)
    clock = Clock()
    assigned: list[bool] = []
    consumer.subscribe([str(spec.objects["topic"])], on_assign=lambda *_: assigned.append(True))
    deadline = time.monotonic() + WITHIN_S
    early = None
    while not assigned and early is None and time.monotonic() < deadline:
        early = consumer.poll(0.05)
    settle_memory()
    say_ready()
    while clock.count < count and time.monotonic() < deadline:
        first = early or consumer.poll(0.1)
        early = None
        if first is None:
            continue
        if not clock.count:
            clock.start()
        messages = [first, *consumer.consume(_BATCH - 1, 0)]
        clock.last_ns = time.monotonic_ns()
        for message in messages:
            if message.error() is not None:
                raise BrokerError(message.error().str())
            if len(message.value()) == size:
                clock.count += 1
    consumer.close()
    return clock.did(count)
