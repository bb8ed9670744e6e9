"""The bare loops of the official Python API: ``publish`` with a receipt listener, ``receive_message`` with ``ack``."""

from __future__ import annotations

import threading
import time

from solace.messaging.messaging_service import MessagingService
from solace.messaging.publisher.persistent_message_publisher import MessagePublishReceiptListener, PublishReceipt
from solace.messaging.resources.queue import Queue
from solace.messaging.resources.topic import Topic

from bench.bare import WITHIN_S, Clock, say_ready, settle_memory
from crep.harness.brokers.contract import BrokerError, PublisherSpec, SubscriberSpec
from crep.harness.brokers.solace.service import TERMINATE_MS, properties_of

_BUFFER = 255  # messages, as the library's window
_WAIT_MS = 1000


class _Receipts(MessagePublishReceiptListener):  # type: ignore[misc]
    """Counts on the library's receipt thread."""

    def __init__(self, clock: Clock, count: int) -> None:
        self._clock, self._count = clock, count
        self.complete = threading.Event()

    def on_publish_receipt(self, publish_receipt: PublishReceipt) -> None:
        if publish_receipt.is_persisted:
            self._clock.count += 1
            self._clock.last_ns = time.monotonic_ns()
            if self._clock.count == self._count:
                self.complete.set()


def _service(spec: PublisherSpec | SubscriberSpec) -> MessagingService:
    properties = properties_of(spec.endpoint, spec.settings, spec.reconnect_for_s)
    service = MessagingService.builder().from_properties(properties).build(spec.name)
    service.connect()
    return service


def publish(spec: PublisherSpec, count: int, size: int) -> dict[str, float]:
    """``count`` persistent messages of ``size`` bytes, each with a receipt."""
    service = _service(spec)
    publisher = service.create_persistent_message_publisher_builder().on_back_pressure_wait(_BUFFER).build()
    publisher.start()
    clock = Clock()
    receipts = _Receipts(clock, count)
    publisher.set_message_publish_receipt_listener(receipts)
    topics = [Topic.of(f"{spec.objects['topic_prefix']}/{topic}") for topic in spec.topics]
    settle_memory()
    clock.start()
    for number in range(count):
        publisher.publish(bytearray(size), topics[number % len(topics)], number)
    receipts.complete.wait(WITHIN_S)
    publisher.terminate(TERMINATE_MS)
    service.disconnect()
    return clock.did(count)


def receive(spec: SubscriberSpec, count: int, size: int) -> dict[str, float]:
    """``count`` waiting messages, each acknowledged; from first to last."""
    service = _service(spec)
    queue = Queue.durable_non_exclusive_queue(spec.objects["queues"][spec.reader.name]["name"])
    builder = service.create_persistent_message_receiver_builder().with_message_client_acknowledgement()
    receiver = builder.build(queue)
    receiver.start()
    settle_memory()
    say_ready()
    clock = Clock()
    deadline = time.monotonic() + WITHIN_S
    while clock.count < count and time.monotonic() < deadline:
        message = receiver.receive_message(_WAIT_MS)
        if message is None:
            continue
        if not clock.count:
            clock.start()
        clock.last_ns = time.monotonic_ns()
        body = message.get_payload_as_bytes()
        if body is None or len(body) != size:
            raise BrokerError("a message of another size came")
        receiver.ack(message)
        clock.count += 1
    receiver.terminate(TERMINATE_MS)
    service.disconnect()
    return clock.did(count)
