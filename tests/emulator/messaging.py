"""Short forms of what the official client can do, for tests. A receiver's end always has a grace period."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from solace.messaging.config.message_acknowledgement_configuration import Outcome
from solace.messaging.errors.pubsubplus_client_error import IncompleteMessageDeliveryError
from solace.messaging.publisher.persistent_message_publisher import MessagePublishReceiptListener
from solace.messaging.receiver.message_receiver import MessageHandler
from solace.messaging.resources.queue import Queue
from solace.messaging.resources.topic import Topic
from solace.messaging.resources.topic_subscription import TopicSubscription

GRACE_MS = 500


def eventually(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Wait for a condition, within bounds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


def direct_receiver(service: Any, *subscriptions: str) -> Any:
    """A started direct receiver."""
    topics = [TopicSubscription.of(one) for one in subscriptions]
    receiver = service.create_direct_message_receiver_builder().with_subscriptions(topics).build()
    receiver.start()
    return receiver


def direct_publisher(service: Any) -> Any:
    """A started direct publisher."""
    publisher = service.create_direct_message_publisher_builder().build()
    publisher.start()
    return publisher


def persistent_publisher(service: Any) -> Any:
    """A started persistent publisher."""
    publisher = service.create_persistent_message_publisher_builder().build()
    publisher.start()
    return publisher


def send(publisher: Any, topic: str, payload: str) -> None:
    """Publish and wait for the acknowledge."""
    publisher.publish_await_acknowledgement(bytearray(payload.encode()), Topic.of(topic), 10_000)


def receiver(service: Any, queue: str, *, exclusive: bool = True, outcomes: tuple[Outcome, ...] = ()) -> Any:
    """A started persistent receiver on a durable queue, with client acknowledgement."""
    endpoint = Queue.durable_exclusive_queue(queue) if exclusive else Queue.durable_non_exclusive_queue(queue)
    builder = service.create_persistent_message_receiver_builder().with_message_client_acknowledgement()
    if outcomes:
        builder = builder.with_required_message_outcome_support(*outcomes)
    built = builder.build(endpoint)
    built.start()
    return built


def end(source: Any) -> None:
    """End a receiver that may have messages nobody has taken: they go back to their queue."""
    with suppress(IncompleteMessageDeliveryError):
        source.terminate(GRACE_MS)


def text(message: Any) -> str:
    """The payload of a message."""
    return bytes(message.get_payload_as_bytes()).decode()


def drain(source: Any, count: int, *, acknowledge: bool = True, seconds: float = 10.0) -> list[Any]:
    """Receive up to ``count`` messages."""
    found: list[Any] = []
    deadline = time.monotonic() + seconds
    while len(found) < count and time.monotonic() < deadline:
        message = source.receive_message(200)
        if message is not None:
            found.append(message)
            if acknowledge:
                source.ack(message)
    return found


class Receipts(MessagePublishReceiptListener):
    """Collects the user contexts of acknowledged and refused messages."""

    def __init__(self) -> None:
        self.acknowledged: set[Any] = set()
        self.refused: dict[Any, Exception] = {}
        self._lock = threading.Lock()

    def on_publish_receipt(self, publish_receipt: Any) -> None:
        """Note a receipt."""
        with self._lock:
            if publish_receipt.exception is None:
                self.acknowledged.add(publish_receipt.user_context)
            else:
                self.refused[publish_receipt.user_context] = publish_receipt.exception

    @property
    def count(self) -> int:
        """Receipts so far. (No ``__len__``: the client takes an empty, hence false, listener for none.)"""
        with self._lock:
            return len(self.acknowledged) + len(self.refused)


class Collector(MessageHandler):
    """Collects and acknowledges what a receiver gets: (payload, redelivered)."""

    def __init__(self, source: Any) -> None:
        self.received: list[tuple[str, bool]] = []
        self._source = source

    def on_message(self, message: Any) -> None:
        """Note and acknowledge a message."""
        self.received.append((text(message), message.is_redelivered()))
        self._source.ack(message)

    @property
    def payloads(self) -> list[str]:
        """The payloads in order of arrival."""
        return [payload for payload, _ in list(self.received)]
