"""Consumer flows of one session: endpoints, bind, deliveries, acknowledgements, unbind."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ..core import configuration, replay
from ..core.entry import Entry
from ..core.flow import ConsumerFlow
from ..core.queue import Queue
from ..core.refusal import Refused, over_quota
from ..core.routing import TEMPORARY_QUEUE_TOPIC
from ..core.settings import QueueSettings
from ..smf import assured, frame, message
from ..smf.frame import U32, U64
from .publishing import MAX_FLOWS

if TYPE_CHECKING:
    from ..core.broker import Broker
    from ..core.client import Client
    from ..core.vpn import Vpn
    from .wire import Wire

EGRESS_LIMIT: Final = 1024 * 1024
#: Permission bits on the wire; only "all" (0x1f) was seen, the others are assumed.
_PERMISSION_BITS: Final = {"no-access": 0x00, "read-only": 0x01, "consume": 0x03, "modify-topic": 0x07, "delete": 0x1F}
_MAX_BROWSED_UNACKED: Final = 100_000
_MAX_QUOTA_MB: Final = 6_000_000
_MAX_MESSAGE_SIZE: Final = 30_000_000
_MAX_REDELIVERIES: Final = 255

Params = list[tuple[int, bytes]]


class Consuming:
    """The consuming half of a session; owner of its consumer flows."""

    def __init__(self, broker: Broker, vpn: Vpn, client: Client, wire: Wire) -> None:
        self._broker = broker
        self._vpn = vpn
        self._client = client
        self._wire = wire
        self._flows: dict[int, ConsumerFlow] = {}
        self._unanswered: dict[int, Callable[[Refused], None]] = {}  # flows with a replay in preparation; refuses one
        self._version = 4

    # -- endpoints

    def create(self, request: assured.AssuredCtrl) -> Params:
        """Create a durable queue. Raises :class:`Refused`."""
        params = request.by_type()
        name = self._queue_name(params)
        wanted = self._asked_settings(params)
        found = self._vpn.queues.get(name)
        if found is not None:
            same = found.settings.access_type == wanted.access_type
            raise Refused(400, "Endpoint Already Exists" if same else "Endpoint Property Mismatch")
        self._check_creation(durable=True)
        if self._broker.disk_full:
            raise over_quota()
        configuration.create_queue(self._broker, self._vpn, name, wanted, durable=True, managed=False)
        return []

    def delete(self, request: assured.AssuredCtrl) -> Params:
        """Delete a queue. Raises :class:`Refused`."""
        if self._broker.disk_full:
            raise over_quota()
        queue = self._vpn.queues.get(self._queue_name(request.by_type()))
        if queue is None:
            raise Refused(503, "Unknown Queue")
        if not queue.settings.allows(self._client.username, "delete"):
            raise Refused(403, "Permission Not Allowed")
        configuration.delete_queue(self._broker, self._vpn, queue)
        return []

    def _queue_name(self, params: dict[int, bytes]) -> str:
        name = frame.text(params.get(assured.QUEUE_NAME, b""))
        if assured.TOPIC_ENDPOINT_NAME in params and not name:
            raise Refused(400, "Topic Endpoints Not Supported by This Emulator")
        if not name or len(name.encode()) > 200 or any(sign in name for sign in "*?'<>&;"):
            raise Refused(400, "Queue Not Found")
        return name

    def _check_creation(self, *, durable: bool) -> None:
        profile = self._vpn.profile(self._client)
        kinds = ("all", "durable" if durable else "non-durable")
        if not (
            profile.allow_guaranteed_endpoint_create_enabled
            and profile.allow_guaranteed_endpoint_create_durability in kinds
        ):
            raise Refused(403, "Permission Not Allowed")
        self._vpn.check_room_for_queue()

    def _asked_settings(self, params: dict[int, bytes]) -> QueueSettings:
        """Settings of a queue that a client makes: open, owned by its username, the rest as asked.

        Raises :class:`Refused` beyond the bounds that SEMP has for the same. Only the first text is known to be right.
        """
        defaults = QueueSettings()
        bits = frame.number(params.get(assured.OTHERS_PERMISSIONS))
        quota = frame.number(params.get(assured.QUOTA_MB), defaults.max_msg_spool_usage)
        size = frame.number(params.get(assured.MAX_MESSAGE_SIZE), defaults.max_msg_size)
        redeliveries = frame.number(params.get(assured.MAX_REDELIVERY))
        if quota > _MAX_QUOTA_MB:
            raise Refused(400, "Quota Out Of Range")
        if size > _MAX_MESSAGE_SIZE or redeliveries > _MAX_REDELIVERIES:
            raise Refused(400, "Endpoint Property Mismatch")
        return QueueSettings(
            access_type="non-exclusive" if frame.number(params.get(assured.ACCESS_TYPE)) == 2 else "exclusive",
            egress_enabled=True,
            ingress_enabled=True,
            owner=self._client.username,
            permission=[name for name, mask in _PERMISSION_BITS.items() if mask & bits == mask][-1],
            max_msg_spool_usage=quota,
            max_msg_size=size,
            max_redelivery_count=redeliveries,
            respect_ttl_enabled=frame.number(params.get(assured.RESPECT_TTL)) == 1,
        )

    # -- bind and unbind

    def bind(
        self, request: assured.AssuredCtrl, accept: Callable[[Params], None], refuse: Callable[[Refused], None]
    ) -> None:
        """Bind a flow and accept it; nothing is sent on it before the client opens its window. Raises :class:`Refused`.

        With a replay it is accepted when that is prepared and durable, or refused when that fails: later.
        """
        params = request.by_type()
        self._version = request.version
        _refuse_what_is_not_there(params)
        if not self._vpn.profile(self._client).allow_guaranteed_msg_receive_enabled:
            raise Refused(403, "Permission Not Allowed")
        name = self._queue_name(params)
        browser = frame.number(params.get(assured.FLOW_TYPE), assured.FLOW_CONSUMER) == assured.FLOW_BROWSER
        start = start_of_replay(params)
        queue = self._vpn.queues.get(name)
        if queue is None and start is not None and _is_temporary(params):
            raise Refused(403, "Replay Not Supported on Temporary Queue")
        if queue is None:
            queue = self._make_temporary(name, params)
        self._check_bind(queue, start, browser=browser)
        number = self._broker.next_number()
        flow = ConsumerFlow(self, queue, number, browser=browser, now_ms=self._broker.now_ms())
        flow.wants_changes = frame.number(params.get(assured.WANTS_FLOW_CHANGES)) != 0
        received = params.get(assured.LAST_ID_RECEIVED)
        self._flows[number] = flow
        flow.active = queue.attach(flow, None if received is None else frame.number(received))
        window = frame.number(params.get(assured.TRANSPORT_WINDOW) or params.get(assured.WINDOW))
        if start is None:
            accept(self._bound(flow, queue, window))
            return

        def prepared() -> None:
            if self._unanswered.pop(number, None) is not None:
                accept(self._bound(flow, queue, window))

        self._unanswered[number] = refuse
        queue.tasks.afterwards(lambda: self._broker.when_durable(prepared))

    def _check_bind(self, queue: Queue, start: replay.Start | None, *, browser: bool) -> None:
        """Raise :class:`Refused` where a flow may not bind; with a start point its replay begins."""
        messages: list[replay.Logged] = []
        obstacle: Refused | None = None
        if start is not None:
            try:
                replay.check_client(queue, browser=browser)
                if self._broker.disk_full:
                    raise Refused(503, "Out of Replay Resources")
                messages = replay.plan(self._vpn, queue, start)
            except Refused as refused:
                obstacle = refused
        if len(self._flows) >= MAX_FLOWS:
            raise Refused(503, "Max Egress Flows Exceeded")
        queue.check_bind(self._client.username, browser=browser, obstacle=obstacle)
        if start is not None:
            replay.begin(queue, messages, self._broker.now_ms())

    def _make_temporary(self, name: str, params: dict[int, bytes]) -> Queue:
        if not _is_temporary(params) or not name.startswith(TEMPORARY_QUEUE_TOPIC):
            raise Refused(503, "Unknown Queue")
        self._check_creation(durable=False)
        settings = self._asked_settings(params)
        return configuration.create_queue(self._broker, self._vpn, name, settings, durable=False, managed=False)

    def _bound(self, flow: ConsumerFlow, queue: Queue, window: int) -> Params:
        settings = queue.settings
        granted = "delete" if settings.owner == self._client.username else settings.permission
        answer = [
            (assured.FLOW_ID, U32.pack(flow.number)),
            (assured.QUEUE_NAME, frame.terminated(queue.name)),
            (assured.WINDOW, bytes((min(window, 255),))),
            (assured.TRANSPORT_WINDOW, U32.pack(min(window, 0xFFFFFFFF))),
            (assured.LAST_ID_ACKED, U64.pack(0)),
            (assured.LAST_ID_SENT, U64.pack(0)),
            (assured.ACCESS_TYPE, b"\1" if queue.exclusive else b"\2"),
            (assured.DURABILITY, bytes((assured.DURABLE if queue.durable else assured.TEMPORARY,))),
            (assured.GRANTED_PERMISSIONS, U32.pack(_PERMISSION_BITS[granted])),
            (assured.OTHERS_PERMISSIONS, U32.pack(_PERMISSION_BITS[settings.permission])),
            (assured.QUOTA_MB, U32.pack(settings.max_msg_spool_usage)),
            (assured.MAX_MESSAGE_SIZE, U32.pack(settings.max_msg_size)),
            (assured.RESPECT_TTL, bytes((settings.respect_ttl_enabled,))),
            (assured.SPOOLED_MESSAGES, U32.pack(len(queue))),
            (assured.ENDPOINT_ID, U32.pack(queue.number)),
            (assured.MAX_REDELIVERY, bytes((settings.max_redelivery_count,))),
            (assured.ENDPOINT_ERROR_ID, U64.pack(0)),
            (assured.SPOOL_ID, U64.pack(self._broker.spool_id)),
            (assured.MAX_UNACKED, U32.pack(settings.max_delivered_unacked_msgs_per_flow)),
        ]
        if flow.wants_changes:
            answer.append((assured.ACTIVE, bytes((flow.active,))))
        return answer

    def unbind(self, request: assured.AssuredCtrl) -> Params:
        """End a flow; what is not settled goes back to the queue. Raises :class:`Refused`."""
        number = frame.number(request.by_type().get(assured.FLOW_ID))
        flow = self._flows.pop(number, None)
        if flow is None:
            raise Refused(400, "Unknown Flow")
        queue = flow.queue
        queue.detach(flow, lost=False)
        if not queue.durable and not queue.flows:
            configuration.delete_queue(self._broker, self._vpn, queue)
        return [(assured.FLOW_ID, U32.pack(number)), (assured.LAST_ID_ACKED, U64.pack(flow.last_settled))]

    # -- acknowledgements

    def acknowledged(self, request: assured.AssuredCtrl) -> None:
        """Take in a ClientAck: settlements, then the transport window. Raises :class:`~..smf.ProtocolError`."""
        params = request.by_type()
        flow = self._flows.get(frame.number(params.get(assured.FLOW_ID)))
        if flow is None:
            return  # of a flow that the broker has just ended
        for key, value in request.params:
            if key == assured.APPLICATION_ACK:
                self._settle(flow, assured.ack_range(value))
        window = params.get(assured.TRANSPORT_WINDOW) or params.get(assured.WINDOW)
        last = params.get(assured.LAST_ID_ACKED)
        if last is not None or window is not None:
            flow.transport_ack(
                None if last is None else frame.number(last),
                flow.window_size if window is None else frame.number(window),
            )
        self._broker.wake(flow.queue)

    def _settle(self, flow: ConsumerFlow, settled: assured.AckRange) -> None:
        entries = flow.take(settled.first, settled.last)
        queue = flow.queue
        if settled.outcome == assured.OUTCOME_ACCEPTED:
            flow.acked_msg_count += len(entries)
            if queue.replay.unsettled and not flow.browser:
                queue.replay.acknowledged(entries, queue.stats)
            queue.accept(entries)
        elif flow.browser:
            pass  # a browser can only remove
        elif settled.outcome == assured.OUTCOME_REJECTED:
            queue.bury(entries, "rejected")
        else:
            if settled.outcome == assured.OUTCOME_RELEASED:
                for entry in entries:
                    entry.count -= 1
            queue.give_back(entries)

    # -- owner of consumer flows

    @property
    def client_name(self) -> str:
        """The client's name."""
        return self._client.name

    def can_take(self) -> bool:
        """Whether the egress buffer has room for guaranteed messages; they wait in their queue otherwise."""
        return self._wire.buffered < EGRESS_LIMIT

    def deliver(self, flow: ConsumerFlow, entry: Entry, delivery_id: int) -> None:
        """Send a message on a flow."""
        if flow.browser and len(flow.unacked) > _MAX_BROWSED_UNACKED:
            del flow.unacked[next(iter(flow.unacked))]
        encoded = message.encode_delivery(
            entry.spooled.message,
            frame.parameter(frame.FLOW_ID, U32.pack(flow.number)),
            delivery_id,
            flow.last_sent,
            redelivered=entry.redelivered and not flow.browser,
            count=None if flow.browser else entry.count,
            spooled_id=entry.spooled.id,
        )
        self._client.stats.data_tx_msg_count += 1
        self._client.stats.data_tx_byte_count += len(encoded)
        self._wire.send(encoded)

    def flow_activity(self, flow: ConsumerFlow) -> None:
        """Tell the client that a flow has become active."""
        if flow.wants_changes:
            body = assured.encode(
                self._version,
                assured.FLOW_CHANGE_UPDATE,
                [(assured.FLOW_ID, U32.pack(flow.number)), (assured.ACTIVE, bytes((flow.active,)))],
            )
            self._wire.send(frame.frame(frame.ASSURED_CTRL, b"", body))

    def flow_ended(self, flow: ConsumerFlow, refusal: Refused) -> None:
        """Tell the client that the broker has ended a flow. Without a response it would ignore that."""
        self._flows.pop(flow.number, None)
        refuse = self._unanswered.pop(flow.number, None)
        if refuse is not None:  # the client does not know the flow yet
            refuse(refusal)
            return
        body = assured.encode(self._version, assured.UNBIND, [(assured.FLOW_ID, U32.pack(flow.number))])
        self._wire.send(frame.frame(frame.ASSURED_CTRL, frame.response(refusal.code, refusal.text), body))

    # -- connection

    def drained(self) -> None:
        """The egress buffer has room again."""
        for flow in self._flows.values():
            self._broker.wake(flow.queue)

    def detach(self) -> None:
        """The connection is gone: the flows with it; their client may come back for what it has received."""
        for flow in list(self._flows.values()):
            flow.queue.detach(flow, lost=True)
        self._flows.clear()
        self._unanswered.clear()


def _refuse_what_is_not_there(params: dict[int, bytes]) -> None:
    if assured.TRANSACTION_SESSION in params:
        raise Refused(400, "Transactions Not Supported by This Emulator")
    if frame.text(params.get(assured.SELECTOR, b"")):
        raise Refused(400, "Selectors Not Supported by This Emulator")
    if assured.NO_LOCAL in params:
        raise Refused(400, "No Local Not Supported by This Emulator")


def _is_temporary(params: dict[int, bytes]) -> bool:
    return frame.number(params.get(assured.DURABILITY), assured.DURABLE) == assured.TEMPORARY


def start_of_replay(params: dict[int, bytes]) -> replay.Start | None:
    """Where a bind asks a replay to start; None: it asks for none. Raises :class:`Refused`."""
    asked = params.get(assured.START_REPLAY)
    if asked is None:
        return None
    kind, where = asked[:1], asked[1:]
    if kind == assured.REPLAY_ALL and not where:
        return replay.Beginning()
    if kind == assured.REPLAY_SINCE and len(where) == 8:
        return replay.Since(-(-frame.number(where) // 1_000_000))
    if kind == assured.REPLAY_AFTER and len(where) == 16:
        return replay.After(replay.ReplicationGroupMessageId.from_bytes(where))
    raise Refused(403, "Unknown Start Location Type")
