"""Solace for the three services, by the vendor's Python API: a queue to read, topics to write."""

from __future__ import annotations

import os
import time
from typing import Any, NamedTuple

from solace.messaging.messaging_service import MessagingService, RetryStrategy
from solace.messaging.publisher.persistent_message_publisher import MessagePublishReceiptListener, PublishReceipt
from solace.messaging.receiver.inbound_message import InboundMessage
from solace.messaging.resources.queue import Queue
from solace.messaging.resources.topic import Topic

KEY = "JMSXGroupID"  # the partition key of a partitioned queue


class Order(NamedTuple):
    """A message: ``properties`` are user properties, ``handle`` is what ``done`` settles it by."""

    topic: str
    key: str | bytes | None
    body: bytes
    properties: dict[str, Any]
    handle: InboundMessage | None = None


def _connected(side: str) -> MessagingService:
    properties = {
        "solace.messaging.transport.host": os.environ[f"{side}_SMF"],
        "solace.messaging.service.vpn-name": os.environ[f"{side}_VPN"],
        "solace.messaging.authentication.basic.username": os.environ.get(f"{side}_USERNAME", "default"),
        "solace.messaging.authentication.basic.password": os.environ.get(f"{side}_PASSWORD", ""),
    }
    retry = RetryStrategy.parametrized_retry(60, 1000)
    builder = MessagingService.builder().from_properties(properties).with_reconnection_retry_strategy(retry)
    return builder.build(f"orders-{side.lower()}-{os.getpid()}").connect()


class Reader:
    """Reads a queue. What is not ``done`` when the process ends comes again."""

    def __init__(self, side: str = "CREP_FROM") -> None:
        self._prefix = os.environ.get(f"{side}_TOPIC_PREFIX", "")
        self._service = _connected(side)
        queue = Queue.durable_non_exclusive_queue(os.environ[f"{side}_QUEUE"])
        self._receiver = self._service.create_persistent_message_receiver_builder().build(queue)
        self._receiver.start()

    def next(self, timeout_s: float) -> Order | None:
        """The next message, None when none came."""
        message = self._receiver.receive_message(max(1, int(timeout_s * 1000)))
        if message is None:
            return None
        found = message.get_properties() or {}
        properties = {name: bytes(value) if isinstance(value, bytearray) else value for name, value in found.items()}
        topic = str(message.get_destination_name()).removeprefix(self._prefix)
        return Order(topic, properties.pop(KEY, None), message.get_payload_as_bytes() or b"", properties, message)

    def done(self, orders: list[Order]) -> None:
        """These are processed: the broker may forget them."""
        for order in orders:
            self._receiver.ack(order.handle)

    def close(self) -> None:
        """Disconnect."""
        self._receiver.terminate(1000)
        self._service.disconnect()


class _Receipts(MessagePublishReceiptListener):  # type: ignore[misc]  # the library has no types
    def __init__(self) -> None:
        self.stored = 0
        self.refused: list[str] = []

    def on_publish_receipt(self, receipt: PublishReceipt) -> None:
        """The broker has answered, on a thread of the library."""
        if receipt.exception is not None:
            self.refused.append(str(receipt.exception))
        else:
            self.stored += 1


class Writer:
    """Writes persistent messages; ``settled`` returns when the broker has acknowledged everything."""

    def __init__(self, side: str = "CREP_TO") -> None:
        self._prefix = os.environ.get(f"{side}_TOPIC_PREFIX", "")
        self._service = _connected(side)
        self._publisher = self._service.create_persistent_message_publisher_builder().build()
        self._receipts = _Receipts()
        self._publisher.start()
        self._publisher.set_message_publish_receipt_listener(self._receipts)
        self._sent = 0

    def send(self, order: Order) -> None:
        """Hand over; waits while the client's buffer is full."""
        key = order.key.hex() if isinstance(order.key, bytes) else order.key  # a partition key is text
        given = order.properties if key is None else {**order.properties, KEY: key}
        properties = {name: bytearray(value) if isinstance(value, bytes) else value for name, value in given.items()}
        topic = Topic.of(self._prefix + order.topic)
        self._publisher.publish(bytearray(order.body), topic, self._sent, properties)
        self._sent += 1

    def settled(self) -> None:
        """Everything is stored, or this raises: then nothing that it came from may be ``done``."""
        deadline = time.monotonic() + 60
        while self._receipts.stored < self._sent and not self._receipts.refused and time.monotonic() < deadline:
            time.sleep(0.001)
        if self._receipts.stored < self._sent:
            left = self._sent - self._receipts.stored
            raise RuntimeError(f"{left} messages are not stored; refused: {self._receipts.refused[:3]}")

    def close(self) -> None:
        """Disconnect."""
        self._publisher.terminate(1000)
        self._service.disconnect()
