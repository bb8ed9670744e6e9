"""Look for lost messages in a reader's queue, its dead message queue and, where there is one, the VPN's replay log.

A queue keeps nothing that was acknowledged, so a message that is in none of the two may have been there. Only a replay
log tells more: it keeps what the VPN took, whatever became of it afterwards (the vendor's documentation, *Message
Replay*). It is replayed into a queue of its own with the reader's subscription; the reader's queue is not touched.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from solace.messaging.errors.pubsubplus_client_error import PubSubPlusClientError
from solace.messaging.messaging_service import MessagingService
from solace.messaging.receiver.inbound_message import InboundMessage
from solace.messaging.resources.queue import Queue

from crep.harness.brokers.contract import BrokerError, Endpoint, Json
from crep.harness.brokers.locating import Location, Sought, identity_of
from crep.harness.brokers.solace.errors import reason_of
from crep.harness.brokers.solace.events import EventLog
from crep.harness.brokers.solace.messages import queue_of
from crep.harness.brokers.solace.native.byte_property import user_properties
from crep.harness.brokers.solace.semp import NOT_FOUND, NOT_SUPPORTED, Semp, SempError, path_of
from crep.harness.brokers.solace.service import TERMINATE_MS, bounded, connect, properties_of

_QUIET_MS = 1000  # a browser has no end: a second without a message is taken for it
_DISCARDS = {
    "maxMsgSpoolUsageExceededDiscardedMsgCount": "its quota was full",
    "maxTtlExpiredDiscardedMsgCount": "their time to live was over",
    "maxRedeliveryExceededDiscardedMsgCount": "they had been delivered too often",
    "maxMsgSizeExceededDiscardedMsgCount": "they were too large",
    "disabledDiscardedMsgCount": "its ingress was shut",
}

Places = dict[bytes, str]
"""Identity → the broker's id of the message."""


def locate(
    endpoint: Endpoint, layout: Json, reader: str, sought: Sequence[Sought], within_s: float
) -> dict[bytes, Location]:
    """Where each message is, by identity.

    Raises:
        BrokerError: the broker does not answer, or refuses.
    """
    queue = layout["queues"][reader]
    owners = frozenset(one.owner for one in sought)
    deadline = time.monotonic() + within_s
    semp = Semp(endpoint)
    try:
        search = _Search(endpoint, semp, owners, deadline)
        with search.connected() as service:
            dead = {} if not queue["dead_letter_queue"] else search.browse(service, _queue(queue["dead_letter_queue"]))
            stored = search.browse(service, queue_of(queue))
            logged = search.replayed(service, queue)
        discards = search.discards(queue["name"])
        return {one.identity: _place(one, queue, stored, dead, logged, discards) for one in sought}
    finally:
        semp.close()


def _place(one: Sought, queue: Json, stored: Places, dead: Places, logged: Places | None, discards: str) -> Location:
    if one.identity in dead:
        return Location("dead-lettered", f"queue {queue['dead_letter_queue']}, {dead[one.identity]}")
    if one.identity in stored:
        return Location("stored", f"queue {queue['name']}, {stored[one.identity]}")
    if logged is None:
        return Location("not-found", f"queue {queue['name']}", discards or "no replay log tells whether it was stored")
    if one.identity in logged:
        why = discards or "the broker took it, and the queue does not have it any more"
        return Location("stored", f"replay log, {logged[one.identity]}", why)
    return Location("never-stored", "replay log, read to its end")


def _queue(name: str) -> Queue:
    return Queue.durable_exclusive_queue(name)


class _Search:
    """One look into a VPN, bounded as a whole."""

    def __init__(self, endpoint: Endpoint, semp: Semp, owners: frozenset[bytes], deadline: float) -> None:
        self._endpoint, self._semp, self._owners, self._deadline = endpoint, semp, owners, deadline
        self._vpn = path_of("msgVpns", endpoint.vpn)

    @contextmanager
    def connected(self) -> Iterator[MessagingService]:
        """A connection of its own."""
        name = f"crep-locate-{uuid.uuid4().hex}"
        service = connect(self._endpoint, name, properties_of(self._endpoint, {}, 1.0), EventLog())
        try:
            yield service
        finally:
            bounded(service.disconnect)

    def browse(self, service: MessagingService, queue: Queue) -> Places:
        """What lies in a queue, of these owners."""
        found: Places = {}
        try:
            browser = service.create_message_queue_browser_builder().build(queue)
            browser.start()
            try:
                while (raw := browser.receive_message(_QUIET_MS)) is not None:
                    self._note(raw, found)
                    if time.monotonic() > self._deadline:
                        raise BrokerError(f"queue {queue.get_name()!r} could not be browsed to its end in time")
            finally:
                bounded(lambda: browser.terminate(TERMINATE_MS))
        except PubSubPlusClientError as error:
            raise BrokerError(f"the broker refuses to browse {queue.get_name()!r}: {reason_of(error)}") from error
        return found

    def replayed(self, service: MessagingService, queue: Json) -> Places | None:
        """What the replay log holds for the reader's subscription; None where there is no log (or none to be seen)."""
        try:
            logs = self._semp.get_all(f"monitor/{self._vpn}/replayLogs")
        except SempError as error:
            if error.code in (NOT_FOUND, NOT_SUPPORTED):
                return None
            raise
        if not logs:
            return None
        scratch = f"crep-locate-{uuid.uuid4().hex}"
        body = {"queueName": scratch, "permission": "consume", "ingressEnabled": True, "egressEnabled": True}
        self._semp.post(f"config/{self._vpn}/queues", body)
        try:
            at = path_of("queues", scratch)
            subscription = {"subscriptionTopic": queue["subscription"]}
            self._semp.post(f"config/{self._vpn}/{at}/subscriptions", subscription)
            self._semp.act(f"action/{self._vpn}/{at}/startReplay", {"replayLogName": logs[0]["replayLogName"]})
            return self._consume(service, scratch)
        finally:
            self._semp.delete(f"config/{self._vpn}/{path_of('queues', scratch)}")

    def _consume(self, service: MessagingService, scratch: str) -> Places:
        """Take all that is replayed into a queue of our own: it counts as replayed only once it was sent."""
        receiver = service.create_persistent_message_receiver_builder().build(_queue(scratch))
        receiver.start()
        found: Places = {}
        try:
            while time.monotonic() < self._deadline:
                raw = receiver.receive_message(_QUIET_MS)
                if raw is not None:
                    self._note(raw, found)
                    receiver.ack(raw)
                    continue
                state = self._semp.get(f"monitor/{self._vpn}/{path_of('queues', scratch)}")["data"].get("replayState")
                if state == "failed":
                    raise BrokerError("the broker could not replay its log for the search")
                if state in ("complete", "pending-complete"):
                    return found
            raise BrokerError("the replay log could not be read in time")
        finally:
            bounded(lambda: receiver.terminate(TERMINATE_MS))

    def _note(self, raw: InboundMessage, found: Places) -> None:
        identity = identity_of(self._owners, raw.get_payload_as_bytes() or b"", _values(raw))
        if identity is not None:
            found.setdefault(identity, str(raw.get_replication_group_message_id()))

    def discards(self, queue: str) -> str:
        """What the broker itself counts as discarded from the queue; empty where nothing was."""
        data = self._semp.get(f"monitor/{self._vpn}/{path_of('queues', queue)}")["data"]
        seen = [f"{int(data[name]):,} because {why}" for name, why in _DISCARDS.items() if data.get(name)]
        return f"the queue discarded messages: {', '.join(seen)}" if seen else ""


def _values(raw: InboundMessage) -> list[object]:
    return list(user_properties(raw).values())
