"""The bare forwarders: what a client program of its own would be between two brokers, with the official libraries.

Each decodes and encodes every document with orjson, as the bridge does, chooses the topic by a field of it, keeps key
and properties, and settles at the source what the sink has acknowledged: no step, no ledger, no dead letters, no hop
mark, no order to stop. From Kafka a batch is settled when the whole of it has arrived.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

import orjson
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka import Message as KafkaMessage
from solace.messaging.errors.pubsubplus_client_error import PublisherOverflowError
from solace.messaging.messaging_service import MessagingService
from solace.messaging.publisher.persistent_message_publisher import MessagePublishReceiptListener, PublishReceipt
from solace.messaging.receiver.inbound_message import InboundMessage
from solace.messaging.resources.queue import Queue
from solace.messaging.resources.topic import Topic

from bench.bare import WITHIN_S, Clock, settle_memory
from crep.harness.brokers.contract import BrokerError, Endpoint
from crep.harness.brokers.kafka.client import connection
from crep.harness.brokers.solace.service import TERMINATE_MS, properties_of
from crep.harness.brokers.streams import KEY_PROPERTY

_BATCH = 500
_WAIT_S = 0.05
_FLUSH_S = 30.0
Settle = Callable[[], None]
Arrived = Callable[[], None]


@dataclass(frozen=True)
class Between:
    """Where from (a queue, or a topic read by group ``group``), and how the topic of each document begins."""

    source: Endpoint
    place: str
    group: str
    sink: Endpoint
    topic: str


def forward(between: Between, count: int) -> dict[str, float]:
    """``count`` messages, from the first receipt to the last acknowledgement; see ``bench.bare.Clock``."""
    if between.source.system == between.sink.system == "kafka":
        return _kafka_to_kafka(between, count)
    sink = _ToKafka(between) if between.sink.system == "kafka" else _ToSolace(between)
    loop = _from_kafka if between.source.system == "kafka" else _from_solace
    try:
        return loop(between, count, sink)
    finally:
        sink.close()


class _Batch:
    """Messages of one ``consume``: how many are under way, and the offsets that they settle."""

    def __init__(self, raws: list[KafkaMessage]) -> None:
        self.left = len(raws)
        self.failure: KafkaError | None = None
        ends = {(raw.topic(), raw.partition()): raw.offset() + 1 for raw in raws}
        self.ends = [TopicPartition(topic, partition, offset) for (topic, partition), offset in ends.items()]

    def delivered(self, error: KafkaError | None, _: KafkaMessage) -> None:
        """The callback of ``produce``."""
        self.failure = self.failure or error
        self.left -= 1

    def arrived(self) -> None:
        """The same of another sink."""
        self.left -= 1


def _consumer(between: Between) -> Consumer:
    consumer = Consumer(
        {
            **connection(between.source, "bare"),
            "group.id": between.group,
            "auto.offset.reset": "earliest",
            "fetch.queue.backoff.ms": 1,
            "enable.auto.offset.store": False,
        }
    )
    consumer.subscribe([between.place])
    return consumer


def _producer(between: Between) -> Producer:
    return Producer(
        {
            **connection(between.sink, "bare"),
            "linger.ms": 5,
            "partitioner": "murmur2_random",
            "acks": "all",
            "enable.idempotence": True,
        }
    )


def _receive(consumer: Consumer) -> list[KafkaMessage]:
    raws: list[KafkaMessage] = consumer.consume(1, _WAIT_S)
    if raws:
        raws += consumer.consume(_BATCH - 1, 0)
    for raw in raws:
        if raw.error() is not None:
            raise BrokerError(raw.error().str())
    return raws


def _settle(consumer: Consumer, batches: deque[_Batch]) -> None:
    while batches and not batches[0].left:
        batch = batches.popleft()
        if batch.failure is not None:
            raise BrokerError(batch.failure.str())
        consumer.store_offsets(offsets=batch.ends)


def _kafka_to_kafka(between: Between, count: int) -> dict[str, float]:
    consumer, producer, clock = _consumer(between), _producer(between), Clock()
    batches: deque[_Batch] = deque()
    deadline = time.monotonic() + WITHIN_S
    settle_memory()
    while clock.count < count and time.monotonic() < deadline:
        raws = _receive(consumer)
        if raws and not clock.count:
            clock.start()
        batch = _Batch(raws)
        for raw in raws:
            document = orjson.loads(raw.value())
            topic = f"{between.topic}{document['region']}"
            while True:
                try:
                    producer.produce(
                        topic, orjson.dumps(document), raw.key(), headers=raw.headers(), on_delivery=batch.delivered
                    )
                    break
                except BufferError:
                    producer.poll(0.001)
        clock.count += len(raws)
        batches.append(batch)
        producer.poll(0)
        _settle(consumer, batches)
    producer.flush(_FLUSH_S)
    clock.last_ns = time.monotonic_ns()
    _settle(consumer, batches)
    did = clock.did(count - sum(batch.left for batch in batches))
    consumer.close()
    return did


class _ToKafka:
    def __init__(self, between: Between) -> None:
        self._topic, self._producer = between.topic, _producer(between)

    def send(self, document: dict[str, Any], key: str, properties: dict[str, Any], arrived: Arrived) -> None:
        def delivered(error: KafkaError | None, _: KafkaMessage) -> None:
            if error is not None:
                raise BrokerError(error.str())
            arrived()

        topic = f"{self._topic}{document['region']}"
        while True:
            try:
                self._producer.produce(topic, orjson.dumps(document), key, headers=properties, on_delivery=delivered)
                return
            except BufferError:
                self._producer.poll(0.001)

    def poll(self, wait_s: float) -> None:
        self._producer.poll(wait_s)

    def close(self) -> None:
        self._producer.flush(_FLUSH_S)


class _Receipts(MessagePublishReceiptListener):  # type: ignore[misc]
    """Called on the library's thread; the loop's own takes them."""

    def __init__(self) -> None:
        self.queue: SimpleQueue[PublishReceipt] = SimpleQueue()

    def on_publish_receipt(self, publish_receipt: PublishReceipt) -> None:
        self.queue.put(publish_receipt)


def _service(endpoint: Endpoint, name: str) -> MessagingService:
    service = MessagingService.builder().from_properties(properties_of(endpoint, {}, WITHIN_S)).build(name)
    service.connect()
    return service


class _ToSolace:
    def __init__(self, between: Between) -> None:
        self._topic, self._service = between.topic, _service(between.sink, "bare-sink")
        self._publisher = self._service.create_persistent_message_publisher_builder().on_back_pressure_reject(0).build()
        self._publisher.start()
        self._receipts = _Receipts()
        self._publisher.set_message_publish_receipt_listener(self._receipts)
        self._topics: dict[str, Topic] = {}

    def send(self, document: dict[str, Any], key: str, properties: dict[str, Any], arrived: Arrived) -> None:
        properties[KEY_PROPERTY] = key
        name = f"{self._topic}{document['region']}"
        topic = self._topics.get(name)
        if topic is None:
            topic = self._topics[name] = Topic.of(name)
        while True:
            try:
                self._publisher.publish(bytearray(orjson.dumps(document)), topic, arrived, properties)
                return
            except PublisherOverflowError:
                self.poll(0.001)

    def poll(self, wait_s: float) -> None:
        """Take what has come, and wait for the first."""
        try:
            receipt = self._receipts.queue.get(timeout=wait_s) if wait_s > 0 else self._receipts.queue.get_nowait()
            while True:
                if not receipt.is_persisted:
                    raise BrokerError(str(receipt.exception))
                receipt.user_context()
                receipt = self._receipts.queue.get_nowait()
        except Empty:
            return

    def close(self) -> None:
        self._publisher.terminate(TERMINATE_MS)
        self._service.disconnect()


def _from_kafka(between: Between, count: int, sink: _ToKafka | _ToSolace) -> dict[str, float]:
    consumer, clock = _consumer(between), Clock()
    batches: deque[_Batch] = deque()
    deadline = time.monotonic() + WITHIN_S
    settle_memory()
    while (clock.count < count or batches) and time.monotonic() < deadline:
        raws = _receive(consumer) if clock.count < count else []
        if raws and not clock.count:
            clock.start()
        batch = _Batch(raws)
        for raw in raws:
            properties = {name: value.decode() for name, value in raw.headers()}
            sink.send(orjson.loads(raw.value()), raw.key().decode(), properties, batch.arrived)
        clock.count += len(raws)
        batches.append(batch)
        sink.poll(0.0 if raws else 0.001)
        _settle(consumer, batches)
    clock.last_ns = time.monotonic_ns()
    did = clock.did(count - sum(batch.left for batch in batches))
    consumer.close()
    return did


def _from_solace(between: Between, count: int, sink: _ToKafka | _ToSolace) -> dict[str, float]:
    service, clock = _service(between.source, "bare-source"), Clock()
    builder = service.create_persistent_message_receiver_builder().with_message_client_acknowledgement()
    receiver = builder.build(Queue.durable_non_exclusive_queue(between.place))
    receiver.start()
    deadline = time.monotonic() + WITHIN_S
    taken = 0

    def arrived(message: InboundMessage) -> None:
        receiver.ack(message)
        clock.count += 1
        clock.last_ns = time.monotonic_ns()

    settle_memory()
    while clock.count < count and time.monotonic() < deadline:
        for place in range(min(_BATCH, count - taken)):
            message = receiver.receive_message(0 if place else 1)
            if message is None:
                break
            if not taken:
                clock.start()
            taken += 1
            document = orjson.loads(message.get_payload_as_bytes())
            properties = dict(message.get_properties())
            sink.send(document, properties.pop(KEY_PROPERTY), properties, lambda message=message: arrived(message))  # type: ignore[misc]
            sink.poll(0.0)
        sink.poll(0.001 if taken == count else 0.0)
    did = clock.did(count)
    receiver.terminate(TERMINATE_MS)
    service.disconnect()
    return did
