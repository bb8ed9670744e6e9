"""The bulk subscriber on the vendor's public API: one flow on a reader's queue, or one direct subscription."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray
from solace.messaging.config.message_acknowledgement_configuration import Outcome as Settlement
from solace.messaging.errors.pubsubplus_client_error import PubSubPlusClientError
from solace.messaging.messaging_service import MessagingService
from solace.messaging.receiver.direct_message_receiver import DirectMessageReceiver
from solace.messaging.receiver.inbound_message import InboundMessage
from solace.messaging.receiver.persistent_message_receiver import PersistentMessageReceiver
from solace.messaging.resources.share_name import ShareName
from solace.messaging.resources.topic_subscription import TopicSubscription

from crep.harness.brokers.contract import (
    REDELIVERED_NO,
    REDELIVERED_NOT_OFFERED,
    REDELIVERED_YES,
    BrokerError,
    Deliveries,
    Json,
    SubscriberSpec,
)
from crep.harness.brokers.solace.errors import reason_of
from crep.harness.brokers.solace.messages import queue_of
from crep.harness.brokers.solace.native.byte_property import byte_property_of
from crep.harness.brokers.solace.rebinding import FlowLoss, RebindingClient
from crep.harness.brokers.solace.service import connect

_MS = 1000


class SolaceSubscriber(RebindingClient):
    """One messaging service with one receiver."""

    def __init__(self, spec: SubscriberSpec) -> None:
        super().__init__(spec, {}, f"reader {spec.reader.name!r}")
        self._spec = spec
        self._queue: Json | None = spec.objects["queues"].get(spec.reader.name)
        self._direct: Json | None = spec.objects["direct"].get(spec.reader.name)
        self._receiver: PersistentMessageReceiver | DirectMessageReceiver | None = None

    def open(self) -> None:
        """Connect, then bind to the queue or subscribe. Returns when the broker has confirmed.

        Raises:
            BrokerError: no connection within 10 s, the login or the bind was refused.
        """
        spec = self._spec
        self._service = connect(spec.endpoint, spec.name, self._properties, self._log)
        try:
            self._start(self._service)
        except PubSubPlusClientError as error:
            self.close()
            what = f"queue {self._queue['name']!r}" if self._queue else f"subscription of reader {spec.reader.name!r}"
            raise BrokerError(f"Solace at {spec.endpoint.smf} refuses {what}: {reason_of(error)}") from error

    def _start(self, service: MessagingService) -> None:
        self._worker = self._receiver = self._build(service)
        self._receiver.start()
        self._receiver.set_termination_notification_listener(FlowLoss(self._log))

    def _may_bind_again(self) -> bool:
        return self._queue is not None

    def _build(self, service: MessagingService) -> PersistentMessageReceiver | DirectMessageReceiver:
        if self._queue is not None:
            builder = service.create_persistent_message_receiver_builder()
            if self._spec.reader.dead_letters_after is not None:
                builder = builder.with_required_message_outcome_support(Settlement.FAILED)
            return builder.with_message_client_acknowledgement().build(queue_of(self._queue))
        if self._direct is None:
            raise BrokerError(f"nothing was provisioned for reader {self._spec.reader.name!r}")
        share = self._direct["share_name"]
        wanted = [TopicSubscription.of(self._direct["subscription"])]
        direct = service.create_direct_message_receiver_builder().with_subscriptions(wanted)
        return direct.build(ShareName.of(share) if share else None)

    def ready(self, timeout_s: float) -> None:
        """A confirmed bind or subscription receives all that is published from then on: `open` waited for it."""
        self._open_receiver()

    def receive(self, max_messages: int, timeout_s: float) -> Deliveries:
        """Wait for a first message, then take what else is in the library's buffer.

        Raises:
            BrokerError: the connection is lost for good, or there was no flow for as long as it is tried for.
        """
        self._open_receiver()
        messages: list[InboundMessage] = []
        received: list[int] = []
        if not self._flow_is_there(timeout_s):
            return self._deliveries(messages, received)
        receiver = self._open_receiver()
        wait_ms = max(0, int(timeout_s * _MS))
        try:
            while len(messages) < max_messages:
                message = receiver.receive_message(wait_ms)
                if message is None:
                    break
                received.append(time.monotonic_ns())
                messages.append(message)
                wait_ms = 0
        except PubSubPlusClientError as error:
            if not messages:
                self._flow_ended(error)
        return self._deliveries(messages, received)

    def _deliveries(self, messages: list[InboundMessage], received: list[int]) -> Deliveries:
        stamp_property = self._spec.stamp_property
        if self._queue is None:
            redelivered = [REDELIVERED_NOT_OFFERED] * len(messages)
        else:
            redelivered = [REDELIVERED_YES if message.is_redelivered() else REDELIVERED_NO for message in messages]
        return Deliveries(
            [bytes(message.get_payload_as_bytes() or b"") for message in messages],
            None if stamp_property is None else [byte_property_of(message, stamp_property) for message in messages],
            np.array(received, dtype=np.int64),
            np.array(redelivered, dtype=np.uint8),
            _Taken(messages, self._open_receiver()) if self._queue is not None else None,
        )

    def tend(self) -> None:
        """Nothing: the library has threads of its own."""

    def acknowledge(self, deliveries: Deliveries) -> None:
        """Settle each message. One that cannot be settled (the connection is down) stays stored and comes again."""
        if deliveries.token is None:
            return
        assert isinstance(deliveries.token, _Taken)  # noqa: S101 - made in _deliveries
        receiver = deliveries.token.receiver
        for message in deliveries.token:
            try:
                receiver.ack(message)
            except PubSubPlusClientError as error:
                self._log.note("error", f"not acknowledged: {reason_of(error)}")

    def settle(self, deliveries: Deliveries, failed: NDArray[np.intp]) -> None:
        """As ``acknowledge``, but those at the places ``failed`` the broker delivers again, or dead-letters."""
        assert isinstance(deliveries.token, _Taken)  # noqa: S101 - made in _deliveries
        receiver = deliveries.token.receiver
        refused = set(failed.tolist())
        for place, message in enumerate(deliveries.token):
            try:
                receiver.settle(message, Settlement.FAILED if place in refused else Settlement.ACCEPTED)
            except PubSubPlusClientError as error:
                self._log.note("error", f"not settled: {reason_of(error)}")

    def _open_receiver(self) -> PersistentMessageReceiver | DirectMessageReceiver:
        if self._receiver is None:
            raise BrokerError(f"subscriber {self._spec.name!r} is not open")
        return self._receiver


class _Taken(list[InboundMessage]):
    """Messages, and the receiver that they came by: on another one's flow they cannot be settled."""

    def __init__(self, messages: list[InboundMessage], receiver: PersistentMessageReceiver) -> None:
        super().__init__(messages)
        self.receiver = receiver
