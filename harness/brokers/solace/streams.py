"""Streams over Solace on the vendor's public API: one flow on a queue, one persistent publisher."""

from __future__ import annotations

import time
from collections.abc import Sequence
from queue import Empty

from solace.messaging.config.message_acknowledgement_configuration import Outcome as Settlement
from solace.messaging.errors.pubsubplus_client_error import PubSubPlusClientError
from solace.messaging.messaging_service import MessagingService
from solace.messaging.publisher.persistent_message_publisher import PersistentMessagePublisher
from solace.messaging.receiver.inbound_message import InboundMessage
from solace.messaging.receiver.persistent_message_receiver import PersistentMessageReceiver
from solace.messaging.resources.queue import Queue
from solace.messaging.resources.topic import Topic

from crep.harness.brokers.contract import BrokerError, Message, Outcome
from crep.harness.brokers.solace.client import ApiClient, Patience
from crep.harness.brokers.solace.errors import reason_of
from crep.harness.brokers.solace.messages import from_inbound, to_properties
from crep.harness.brokers.solace.publisher import PUBLISH_FAILURES, Receipts, is_given_up
from crep.harness.brokers.solace.rebinding import FlowLoss, RebindingClient
from crep.harness.brokers.solace.service import connect
from crep.harness.brokers.streams import GiveBack, Sent, SinkSpec, SourceSpec

_MS = 1000


class SolaceSource(RebindingClient):
    """A flow on one queue, bound again when the broker has ended it. See ``streams.Source``.

    The broker itself hands what is not accepted to another client, so nothing is given back here.
    """

    def __init__(self, spec: SourceSpec) -> None:
        if len(spec.places) != 1:
            raise BrokerError(f"{spec.name}: a Solace source reads one queue, not {len(spec.places)}")
        super().__init__(spec, {}, f"source {spec.name!r} (queue {spec.places[0]!r})")
        self._spec = spec
        self._layout = {"topic_prefix": spec.topic_prefix.removesuffix("/"), "key_property": spec.key_property}
        self._receiver: PersistentMessageReceiver | None = None

    def open(self, give_back: GiveBack | None = None) -> None:
        """See ``Source``."""
        del give_back
        spec = self._spec
        self._service = connect(spec.endpoint, spec.name, self._properties, self._log)
        try:
            self._start(self._service)
        except PubSubPlusClientError as error:
            self.close()
            raise BrokerError(
                f"Solace at {spec.endpoint.smf} refuses queue {spec.places[0]!r}: {reason_of(error)}"
            ) from error

    def _start(self, service: MessagingService) -> None:
        builder = service.create_persistent_message_receiver_builder()
        builder = builder.with_required_message_outcome_support(Settlement.FAILED, Settlement.REJECTED)
        # For an existing queue the library takes the access type from the broker; this one only names it.
        self._worker = self._receiver = builder.build(Queue.durable_non_exclusive_queue(self._spec.places[0]))
        self._receiver.start()
        self._receiver.set_termination_notification_listener(FlowLoss(self._log))

    def receive(self, max_messages: int, timeout_s: float) -> list[Message]:
        """See ``Source``; while nothing is to be taken the flow's window holds the rest back."""
        if max_messages <= 0:
            time.sleep(timeout_s)
            return []
        self._open_receiver()
        if not self._flow_is_there(timeout_s):
            return []
        receiver = self._open_receiver()
        taken: list[Message] = []
        wait_ms = max(0, int(timeout_s * _MS))
        try:
            while len(taken) < max_messages:
                raw = receiver.receive_message(wait_ms)
                if raw is None:
                    break
                taken.append(from_inbound(raw, self._layout, (receiver, raw)))
                wait_ms = 0
        except PubSubPlusClientError as error:
            if not taken:
                self._flow_ended(error)
        return taken

    def accept(self, messages: Sequence[Message]) -> None:
        """See ``Source``; while the connection is down it stays stored and comes again."""
        self._settle(messages, Settlement.ACCEPTED)

    def fail(self, messages: Sequence[Message]) -> None:
        """See ``Source``."""
        self._settle(messages, Settlement.FAILED)

    def _settle(self, messages: Sequence[Message], how: Settlement) -> None:
        bound = self._open_receiver()
        for message in messages:
            match message.token:
                case (PersistentMessageReceiver() as receiver, InboundMessage() as raw):
                    if receiver is not bound:
                        continue  # of a flow that was ended: it comes again
                case _:
                    raise BrokerError("only a message that was received from this source can be settled here")
            try:
                receiver.settle(raw, how)
            except PubSubPlusClientError as error:
                self._log.note("error", f"not settled: {reason_of(error)}")

    def backlog(self) -> int | None:
        """A client is not told; the broker's SEMP interface is (``Admin.observe``)."""
        return None

    def _open_receiver(self) -> PersistentMessageReceiver:
        if self._receiver is None:
            raise BrokerError(f"source {self._spec.name!r} is not open")
        return self._receiver


class SolaceSink(ApiClient):
    """One persistent publisher whose buffer has no place: what it takes is in the library's window. See ``Sink``."""

    def __init__(self, spec: SinkSpec) -> None:
        super().__init__(spec, {})
        self._spec = spec
        self._receipts = Receipts()
        self._patience = Patience()
        self._pending = 0
        self._publisher: PersistentMessagePublisher | None = None
        self._topics: dict[str, Topic] = {}

    def open(self) -> None:
        """See ``Sink``."""
        spec = self._spec
        self._service = connect(spec.endpoint, spec.name, self._properties, self._log)
        builder = self._service.create_persistent_message_publisher_builder().on_back_pressure_reject(0)
        self._worker = self._publisher = builder.build()
        try:
            self._publisher.start()
        except PubSubPlusClientError as error:
            self.close()
            raise BrokerError(f"Solace at {spec.endpoint.smf} gives no publisher: {reason_of(error)}") from error
        self._publisher.set_message_publish_receipt_listener(self._receipts)

    def send(self, message: Message, token: int) -> bool:
        """See ``Sink``; what the library cannot compose, or refuses for 5 s, is *rejected*."""
        publisher = self._open_publisher()
        if not publisher.is_ready():
            self._see_that_it_is_tried()
            self._patience.renew()
            return False
        try:
            publisher.publish(
                bytearray(message.payload),
                self._topic(message.topic),
                token,
                to_properties(message, self._spec.key_property),
            )
        except PUBLISH_FAILURES as error:
            if not is_given_up(error, self._patience, token):
                return False
            self._receipts.results.put((token, Outcome.REJECTED, time.monotonic_ns(), reason_of(error)))
        self._pending += 1
        return True

    def _topic(self, name: str) -> Topic:
        """A topic is checked where it is made: each name once, as long as there are not too many."""
        found = self._topics.get(name)
        if found is None:
            if len(self._topics) >= 10_000:
                self._topics.clear()
            found = self._topics[name] = Topic.of(self._spec.topic_prefix + name)
        return found

    def poll(self, timeout_s: float) -> list[Sent]:
        """See ``Sink``."""
        sent: list[Sent] = []
        results = self._receipts.results
        try:
            if timeout_s > 0:
                token, outcome, _, reason = results.get(timeout=timeout_s)
                sent.append(Sent(token, outcome, reason))
            while True:
                token, outcome, _, reason = results.get_nowait()
                sent.append(Sent(token, outcome, reason))
        except Empty:
            pass
        if not sent and self._pending:
            self._see_that_it_is_tried()
        self._pending -= len(sent)
        return sent

    def _see_that_it_is_tried(self) -> None:
        """There is no connection now: is there going to be one?"""
        if self._log.given_up is not None:
            raise BrokerError(
                f"Solace at {self._spec.endpoint.smf} was out of reach for {self._spec.reconnect_for_s:g} s: "
                f"{self._log.given_up}"
            )

    def drain(self, timeout_s: float) -> list[Sent]:
        """See ``Sink``."""
        deadline = time.monotonic() + timeout_s
        sent = self.poll(0)
        while self._pending > 0 and (left := deadline - time.monotonic()) > 0:
            sent += self.poll(min(left, 0.1))
        return sent

    @property
    def pending(self) -> int:
        """See ``Sink``."""
        return self._pending

    def _open_publisher(self) -> PersistentMessagePublisher:
        if self._publisher is None:
            raise BrokerError(f"sink {self._spec.name!r} is not open")
        return self._publisher
