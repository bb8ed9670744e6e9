"""Look into a reader's queue with a browser: nothing is consumed."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterator, Sequence

from solace.messaging.errors.pubsubplus_client_error import PubSubPlusClientError
from solace.messaging.messaging_service import MessagingService
from solace.messaging.receiver.inbound_message import InboundMessage
from solace.messaging.receiver.queue_browser import MessageQueueBrowser
from solace.messaging.resources.queue import Queue

from crep.harness.brokers.contract import BrokerError, Endpoint, Json, Message, NotSupported, Provisioned
from crep.harness.brokers.dead_letters import DeadLetter, DeadLetters
from crep.harness.brokers.locating import Location, Sought, carries
from crep.harness.brokers.solace.errors import reason_of
from crep.harness.brokers.solace.events import EventLog
from crep.harness.brokers.solace.locate import locate
from crep.harness.brokers.solace.messages import from_inbound, queue_of
from crep.harness.brokers.solace.native.byte_property import byte_property_of, user_properties
from crep.harness.brokers.solace.semp import Semp, path_of
from crep.harness.brokers.solace.service import TERMINATE_MS, bounded, connect, properties_of

_QUIET_MS = 1000  # a browser has no end: a second without a message is taken for it
_SCAN_S = 30.0
_GIVEN_UP = re.compile(r"max(RedeliveryExceeded|TtlExpired)(Discarded|ToDmq|ToDmqFailed)MsgCount")


class SolaceInspect:
    """Browses from the oldest message on."""

    def __init__(self, endpoint: Endpoint, provisioned: Provisioned) -> None:
        self._endpoint, self._provisioned = endpoint, provisioned

    def find(self, channel: str, reader: str, identity: bytes, limit: int = 100_000) -> Message | None:
        """The first stored message whose body or properties contain ``identity``.

        Raises:
            NotSupported: the reader has no queue, or the broker refuses to browse it (a partitioned queue).
        """
        layout = self._provisioned.objects[channel]
        queue = layout["queues"].get(reader)
        if queue is None:
            raise NotSupported(f"reader {channel}.{reader} is at-most-once: nothing is stored for it")
        service = self._connected()
        try:
            return self._browse(service, queue, layout, identity, limit)
        except PubSubPlusClientError as error:
            raise NotSupported(f"the broker refuses to browse {queue['name']!r}: {reason_of(error)}") from error
        finally:
            bounded(service.disconnect)

    def dead_letters(self, channel: str, reader: str, limit: int, stamp_property: str | None) -> DeadLetters:
        """Browse the reader's dead message queue. The broker tells no reason with a message; its counters are by cause.

        What has expired and lies in no queue of the reader's was discarded, or is in the VPN's own dead message queue.
        """
        queue = self._provisioned.objects[channel]["queues"][reader]
        semp = Semp(self._endpoint)
        try:
            vpn = path_of("msgVpns", self._endpoint.vpn)
            data = semp.get(f"monitor/{vpn}/{path_of('queues', queue['name'])}")["data"]
            dead = queue["dead_letter_queue"]
            depth = 0
            if dead is not None:
                depth = int(semp.get(f"monitor/{vpn}/{path_of('queues', dead)}")["collections"]["msgs"]["count"])
        finally:
            semp.close()
        counted = {name: int(count) for name, count in data.items() if _GIVEN_UP.fullmatch(name)}
        expired = sum(count for name, count in counted.items() if name.startswith("maxTtlExpired"))
        letters = self._letters(dead, min(limit, depth), stamp_property) if depth else ()
        return DeadLetters(dead, letters, len(letters) == depth, counted, None if dead is not None else expired)

    def _letters(self, dead: str, count: int, stamp_property: str | None) -> tuple[DeadLetter, ...]:
        service = self._connected()
        try:
            browser = service.create_message_queue_browser_builder().build(Queue.durable_exclusive_queue(dead))
            browser.start()
            try:
                return tuple(_letter(raw, stamp_property) for raw in _browsed(browser, count))
            finally:
                bounded(lambda: browser.terminate(TERMINATE_MS))
        except PubSubPlusClientError as error:
            raise BrokerError(f"the broker refuses to browse {dead!r}: {reason_of(error)}") from error
        finally:
            bounded(service.disconnect)

    def _connected(self) -> MessagingService:
        name = f"crep-inspect-{uuid.uuid4().hex}"
        return connect(self._endpoint, name, properties_of(self._endpoint, {}, 1.0), EventLog())

    def locate(self, channel: str, reader: str, sought: Sequence[Sought], within_s: float) -> dict[bytes, Location]:
        """Browse queue and dead message queue, read the replay log where there is one (``locate``).

        Raises:
            NotSupported: the reader has no queue.
            BrokerError: the broker does not answer, or refuses.
        """
        layout = self._provisioned.objects[channel]
        if reader not in layout["queues"]:
            raise NotSupported(f"reader {channel}.{reader} is at-most-once: nothing is stored for it")
        return locate(self._endpoint, layout, reader, sought, within_s)

    def _browse(
        self, service: MessagingService, queue: Json, layout: Json, identity: bytes, limit: int
    ) -> Message | None:
        browser = service.create_message_queue_browser_builder().build(queue_of(queue))
        browser.start()
        try:
            found = (raw for raw in _browsed(browser, limit) if _contains(raw, identity))
            return next((from_inbound(raw, layout) for raw in found), None)
        finally:
            bounded(lambda: browser.terminate(TERMINATE_MS))


def _browsed(browser: MessageQueueBrowser, limit: int) -> Iterator[InboundMessage]:
    """Messages from the oldest on, ``limit`` at most, within a bounded time."""
    deadline = time.monotonic() + _SCAN_S
    for _ in range(limit):
        raw = browser.receive_message(_QUIET_MS)
        if raw is None or time.monotonic() > deadline:
            return
        yield raw


def _letter(raw: InboundMessage, stamp_property: str | None) -> DeadLetter:
    stamp = None if stamp_property is None else byte_property_of(raw, stamp_property)
    return DeadLetter(bytes(raw.get_payload_as_bytes() or b""), stamp)


def _contains(raw: InboundMessage, identity: bytes) -> bool:
    if carries(identity, bytes(raw.get_payload_as_bytes() or b""), ()):
        return True
    return carries(identity, b"", user_properties(raw).values())
