"""Publisher flows of one session: opening and resuming them, incoming guaranteed messages, acknowledges."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from ..core.publisher import MAX_WINDOW, PublisherFlow, Standing
from ..core.refusal import Refused
from ..smf import assured, frame, message
from ..smf.frame import U32, U64

if TYPE_CHECKING:
    from ..core.broker import Broker
    from ..core.client import Client
    from ..core.vpn import Vpn
    from .wire import Wire

OK: Final = frame.response(200, "OK")
#: Of a client each way, the vendor's default in a client profile. The texts of the refusals are not the vendor's.
MAX_FLOWS: Final = 1000
_LOG: Final = logging.getLogger(__name__)


class Publishing:
    """The publishing half of a session; owner of its publisher flows."""

    def __init__(self, broker: Broker, vpn: Vpn, client: Client, wire: Wire) -> None:
        self._broker = broker
        self._vpn = vpn
        self._client = client
        self._wire = wire
        self._flows: dict[int, PublisherFlow] = {}
        self._version = 4

    def open(self, request: assured.AssuredCtrl) -> list[tuple[int, bytes]]:
        """Open a flow, or go on with one by name; return the answer's parameters. Raises :class:`Refused`."""
        params = request.by_type()
        if assured.TRANSACTION_SESSION in params:
            raise Refused(400, "Transactions Not Supported by This Emulator")
        self._version = request.version
        name = frame.text(params.get(assured.FLOW_NAME, b""))
        if name:
            flow = self._broker.find_publisher(self._vpn, name)
            if flow is None:
                raise Refused(400, "Unknown Flow Name")
            if isinstance(flow.owner, Publishing) and flow.owner is not self:
                flow.owner.disown(flow)
        else:
            if len(self._flows) >= MAX_FLOWS:
                raise Refused(503, "Max Ingress Flows Exceeded")
            flow = self._broker.open_publisher(self._vpn)
        last = flow.resume(frame.number(params.get(assured.LAST_ID_ACKED)))
        flow.owner = self
        asked = frame.number(params.get(assured.TRANSPORT_WINDOW) or params.get(assured.WINDOW), MAX_WINDOW)
        flow.window = max(1, min(asked, MAX_WINDOW))
        self._flows[flow.number] = flow
        return [
            (assured.FLOW_ID, U32.pack(flow.number)),
            (assured.FLOW_NAME, frame.terminated(flow.name)),
            (assured.LAST_ID_ACKED, U64.pack(last)),
            (assured.LAST_ID_SENT, U64.pack(last)),
            (assured.WINDOW, bytes((flow.window,))),
            (assured.PUBLISHER_ID, U32.pack(flow.number)),
        ]

    def close(self, request: assured.AssuredCtrl) -> list[tuple[int, bytes]]:
        """Close a flow for good. Raises :class:`Refused`."""
        number = frame.number(request.by_type().get(assured.FLOW_ID))
        flow = self._flows.pop(number, None)
        if flow is None:
            raise Refused(400, "Unknown Flow")
        self._broker.close_publisher(flow)
        return [(assured.FLOW_ID, U32.pack(number))]

    def disown(self, flow: PublisherFlow) -> None:
        """Another session goes on with the flow."""
        self._flows.pop(flow.number, None)

    def receive(self, received: message.Message, hop: message.PublishedHop) -> None:
        """Take in a guaranteed message; what became of it is told when that is durable."""
        flow = self._flows.get(hop.flow_id)
        if flow is None:
            _LOG.info("%s: a message on publisher flow %d, which is not open", self._client.name, hop.flow_id)
            return
        standing = flow.standing(hop.message_id, hop.previous_id)
        if standing is Standing.GAP:
            return
        refusal: Refused | None = None
        if standing is not Standing.REPEATED:
            try:
                self._vpn.publish_guaranteed(self._client, received, flow, hop.message_id)
            except Refused as refused:
                refusal = refused
        self._broker.outcome(flow, hop.message_id, refusal)

    def acknowledge(self, flow: PublisherFlow, last: int, refusal: Refused | None) -> None:
        """Send an acknowledge. A positive one says "200 OK": without it the client repeats its last error."""
        response = OK if refusal is None else frame.response(refusal.code, refusal.text)
        body = assured.encode(
            self._version,
            assured.CLIENT_ACK,
            [
                (assured.LAST_ID_ACKED, U64.pack(last)),
                (assured.FLOW_ID, U32.pack(flow.number)),
                (assured.WINDOW, bytes((flow.window,))),
            ],
        )
        self._wire.send(frame.frame(frame.ASSURED_CTRL, response, body))

    def detach(self) -> None:
        """The session is over: its flows wait for their client to come back."""
        for flow in self._flows.values():
            flow.owner = None
        self._flows.clear()
