"""Look into a reader's queue with a browser: nothing is consumed."""

from __future__ import annotations

import time
import uuid

from solace.messaging.errors.pubsubplus_client_error import PubSubPlusClientError
from solace.messaging.messaging_service import MessagingService
from solace.messaging.receiver.inbound_message import InboundMessage

from crep.harness.brokers.contract import Endpoint, Json, Message, NotSupported, Provisioned
from crep.harness.brokers.solace.errors import reason_of
from crep.harness.brokers.solace.events import EventLog
from crep.harness.brokers.solace.messages import from_inbound, queue_of
from crep.harness.brokers.solace.service import TERMINATE_MS, bounded, connect, properties_of

_QUIET_MS = 1000  # a browser has no end: a second without a message is taken for it
_SCAN_S = 30.0


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
        name = f"crep-inspect-{uuid.uuid4().hex}"
        service = connect(self._endpoint, name, properties_of(self._endpoint, {}, 1.0), EventLog())
        try:
            return self._browse(service, queue, layout, identity, limit)
        except PubSubPlusClientError as error:
            raise NotSupported(f"the broker refuses to browse {queue['name']!r}: {reason_of(error)}") from error
        finally:
            bounded(service.disconnect)

    def _browse(
        self, service: MessagingService, queue: Json, layout: Json, identity: bytes, limit: int
    ) -> Message | None:
        browser = service.create_message_queue_browser_builder().build(queue_of(queue))
        browser.start()
        try:
            deadline = time.monotonic() + _SCAN_S
            for _ in range(limit):
                raw = browser.receive_message(_QUIET_MS)
                if raw is None or time.monotonic() > deadline:
                    return None
                if _contains(raw, identity):
                    return from_inbound(raw, layout)
            return None
        finally:
            bounded(lambda: browser.terminate(TERMINATE_MS))


def _contains(raw: InboundMessage, identity: bytes) -> bool:
    if identity in (raw.get_payload_as_bytes() or b""):
        return True
    values = (raw.get_properties() or {}).values()
    return any(isinstance(value, bytes | bytearray) and identity in value for value in values)
