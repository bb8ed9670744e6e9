"""The bulk publisher on the vendor's public API: the calling thread sends, the library's window pushes back."""

from __future__ import annotations

import time
from queue import Empty, SimpleQueue

import numpy as np
from solace.messaging.config.solace_properties import message_properties
from solace.messaging.errors.pubsubplus_client_error import (
    IllegalArgumentError,
    IllegalStateError,
    InvalidDataTypeError,
    PublisherOverflowError,
    PubSubPlusClientError,
    PubSubPlusCoreClientError,
)
from solace.messaging.publisher.direct_message_publisher import DirectMessagePublisher
from solace.messaging.publisher.persistent_message_publisher import (
    MessagePublishReceiptListener,
    PersistentMessagePublisher,
    PublishReceipt,
)
from solace.messaging.resources.topic import Topic

from crep.harness.brokers.contract import Batch, BrokerError, Outcome, Outcomes, PublisherSpec
from crep.harness.brokers.solace.client import ApiClient, Patience
from crep.harness.brokers.solace.errors import given_up, reason_of
from crep.harness.brokers.solace.service import connect

_WINDOW = 255  # of the library, fixed
# The library cannot compose the message (topic, type of a property, body): offering it again would change nothing.
_BAD_MESSAGE = (IllegalArgumentError, InvalidDataTypeError, PubSubPlusCoreClientError)
PUBLISH_FAILURES = (PubSubPlusClientError, *_BAD_MESSAGE)
"""All that ``publish`` raises. It means that nothing was sent."""
_Value = str | int | float | bool | bytearray
_Result = tuple[int, Outcome, int, str | None]  # sequence, outcome, monotonic ns, reason


class Receipts(MessagePublishReceiptListener):  # type: ignore[misc]
    """Called on the library's receipt thread, one call per message."""

    def __init__(self) -> None:
        self.results: SimpleQueue[_Result] = SimpleQueue()

    def on_publish_receipt(self, publish_receipt: PublishReceipt) -> None:
        """Keep the outcome."""
        now = time.monotonic_ns()
        if publish_receipt.is_persisted:
            self.results.put((publish_receipt.user_context, Outcome.ACKNOWLEDGED, now, None))
            return
        error = publish_receipt.exception
        self.results.put((publish_receipt.user_context, given_up(error), now, reason_of(error)))


def is_given_up(failure: Exception, patience: Patience, number: int) -> bool:
    """Whether a message whose ``publish`` raised is refused for good; else it is to be offered again.

    Not while the window is full or the library connects again. A general error comes where the connection is lost just
    now, which the publisher does not know yet: then for 5 s at most.
    """
    if isinstance(failure, PublisherOverflowError | IllegalStateError):
        patience.renew()
        return False
    return isinstance(failure, _BAD_MESSAGE) or patience.over(number)


class SolacePublisher(ApiClient):
    """One messaging service with one publisher, persistent or direct.

    Its buffer has no place at all (back pressure *reject*, capacity 0): a message is taken when the library has put it
    into its window and on the socket, so the time of sending is the true one. A message that the library gives up on
    is reported ``UNKNOWN`` with its reason.
    """

    def __init__(self, spec: PublisherSpec) -> None:
        window = {"publisher window": str(_WINDOW)} if spec.guaranteed else {}
        super().__init__(spec, window | {"back pressure": "reject, capacity 0"})
        self._spec = spec
        self._receipts = Receipts()
        self._in_flight = 0
        self._patience = Patience()
        self._publisher: PersistentMessagePublisher | DirectMessagePublisher | None = None
        prefix = spec.objects["topic_prefix"]
        self._topics = [Topic.of(f"{prefix}/{topic}") for topic in spec.topics]
        self._key_property: str | None = spec.objects["key_property"]
        self._of_every_message: dict[str, _Value] = dict(spec.properties)
        if spec.ttl_ms is not None:
            self._of_every_message[message_properties.PERSISTENT_TIME_TO_LIVE] = spec.ttl_ms

    def open(self) -> None:
        """Connect and start the publisher.

        Raises:
            BrokerError: no connection within 10 s, or the login was refused.
        """
        spec = self._spec
        self._service = connect(spec.endpoint, spec.name, self._properties, self._log)
        if spec.guaranteed:
            persistent = self._service.create_persistent_message_publisher_builder().on_back_pressure_reject(0).build()
            self._publisher = persistent
            self._start(persistent)
            persistent.set_message_publish_receipt_listener(self._receipts)
        else:
            direct = self._service.create_direct_message_publisher_builder().on_back_pressure_reject(0).build()
            self._publisher = direct
            self._start(direct)

    def _start(self, publisher: PersistentMessagePublisher | DirectMessagePublisher) -> None:
        self._worker = publisher
        try:
            publisher.start()
        except PubSubPlusClientError as error:
            self.close()
            raise BrokerError(f"Solace at {self._spec.endpoint.smf} gives no publisher: {reason_of(error)}") from error

    def send_batch(self, batch: Batch, start: int) -> int:
        """Send until the window is full or the connection is down; only a bad message is refused for good here."""
        publisher = self._open_publisher()
        sequences, topics, taken = batch.sequence.tolist(), batch.topic.tolist(), 0
        for i in range(start, len(sequences)):
            if not publisher.is_ready():
                self._patience.renew()
                break
            message, topic, properties = bytearray(batch.bodies[i]), self._topics[topics[i]], self._more(batch, i)
            try:
                if self._spec.guaranteed:
                    publisher.publish(message, topic, sequences[i], properties)
                    self._in_flight += 1
                else:
                    publisher.publish(message, topic, properties)
                    self._put(sequences[i], Outcome.SENT, None)
            except PUBLISH_FAILURES as error:
                if not is_given_up(error, self._patience, sequences[i]):
                    break  # offered again by the engine
                self._put(sequences[i], Outcome.REJECTED, reason_of(error))
            taken += 1
        return taken

    def _more(self, batch: Batch, i: int) -> dict[str, _Value] | None:
        properties = dict(self._of_every_message)
        if batch.stamps is not None and self._spec.stamp_property is not None:
            properties[self._spec.stamp_property] = bytearray(batch.stamps[i])
        if self._key_property is not None:
            properties[self._key_property] = str(batch.key[i])
        return properties or None

    def _put(self, sequence: int, outcome: Outcome, reason: str | None) -> None:
        if self._spec.guaranteed:
            self._in_flight += 1  # taken off again when the outcome is read
        self._receipts.results.put((sequence, outcome, time.monotonic_ns(), reason))

    def poll(self, timeout_s: float) -> Outcomes:
        """Outcomes as the receipt thread stamped them."""
        results: list[_Result] = []
        try:
            if timeout_s > 0:
                results.append(self._receipts.results.get(timeout=timeout_s))
            while True:
                results.append(self._receipts.results.get_nowait())
        except Empty:
            pass
        if self._spec.guaranteed:
            self._in_flight -= len(results)
        return Outcomes(
            np.array([result[0] for result in results], dtype=np.uint64),
            np.array([result[1] for result in results], dtype=np.uint8),
            np.array([result[2] for result in results], dtype=np.int64),
            {result[0]: result[3] for result in results if result[3] is not None},
        )

    def drain(self, timeout_s: float) -> Outcomes:
        """Wait for the receipts of what was taken; a direct message has its outcome already."""
        deadline = time.monotonic() + timeout_s
        parts = [self.poll(0)]
        while self._in_flight > 0 and (left := deadline - time.monotonic()) > 0:
            parts.append(self.poll(min(left, 0.1)))
        return Outcomes(
            np.concatenate([part.sequence for part in parts]),
            np.concatenate([part.outcome for part in parts]),
            np.concatenate([part.at_ns for part in parts]),
            {sequence: reason for part in parts for sequence, reason in part.reasons.items()},
        )

    def _open_publisher(self) -> PersistentMessagePublisher | DirectMessagePublisher:
        if self._publisher is None:
            raise BrokerError(f"publisher {self._spec.name!r} is not open")
        return self._publisher
