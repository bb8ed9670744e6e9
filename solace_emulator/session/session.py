"""The session: from connection to disconnection, one frame after the other."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ..core.client import Client
from ..core.refusal import Refused
from ..core.vpn import Vpn
from ..smf import assured, clientctrl, frame, message, smp
from . import login, subscriptions
from .consuming import Consuming
from .publishing import OK, Publishing

if TYPE_CHECKING:
    from ..core.broker import Broker
    from .wire import Wire

#: Bytes of egress above which direct messages are discarded: 20,000 work units of 2048 bytes, the vendor's default.
DIRECT_EGRESS_LIMIT: Final = 20_000 * 2048
_LOG: Final = logging.getLogger(__name__)


class LoggedIn:
    """What a session has once its client is known."""

    def __init__(self, broker: Broker, vpn: Vpn, client: Client, wire: Wire) -> None:
        self.vpn = vpn
        self.client = client
        self.publishing = Publishing(broker, vpn, client, wire)
        self.consuming = Consuming(broker, vpn, client, wire)


class Session:
    """One connection's state. :meth:`receive` raises :class:`~..smf.ProtocolError` for a client that speaks no SMF."""

    def __init__(self, broker: Broker, wire: Wire) -> None:
        self._broker = broker
        self._wire = wire
        self._in: LoggedIn | None = None
        self._over = False
        self._discarded = False

    @property
    def logged_in(self) -> bool:
        """Whether the client is known."""
        return self._in is not None

    @property
    def name(self) -> str:
        """The client's name for the log, its address before login."""
        return self._in.client.name if self._in is not None else self._wire.peer

    def receive(self, received: frame.Frame) -> None:
        """Take in a frame."""
        if self._over:
            return
        protocol = received.protocol
        if protocol == frame.MESSAGE and self._in is not None:  # first, for nearly all are messages
            self._message(self._in, received)
        elif protocol == frame.KEEP_ALIVE:
            self._wire.send(frame.KEEP_ALIVE_FRAME)
        elif protocol == frame.CLIENT_CTRL:
            self._client_ctrl(received)
        elif self._in is None:
            raise frame.ProtocolError(f"a frame of protocol {protocol:#x} before login")
        elif protocol == frame.SMP:
            self._smp(self._in, received)
        elif protocol in (frame.ASSURED_CTRL, frame.ASSURED_PASS_THROUGH):
            self._assured(self._in, received)
        else:
            _LOG.info("%s: a frame of protocol %#x, which is not served", self.name, protocol)

    # -- protocols

    def _client_ctrl(self, received: frame.Frame) -> None:
        kind, params = clientctrl.decode(received.body)
        smf = received.parameters()
        tag = frame.correlation(smf.get(frame.CORRELATION_TAG))
        if kind != clientctrl.LOGIN or self._in is not None:
            refused = frame.response(400, "Not Supported by This Emulator")
            self._wire.send(frame.frame(frame.CLIENT_CTRL, tag + refused, clientctrl.encode(kind, [])))
            return
        try:
            vpn, client = login.log_in(self._broker, self, self._wire, smf, params)
        except Refused as refusal:
            response = tag + frame.response(refusal.code, refusal.text)
            self._wire.send(frame.frame(frame.CLIENT_CTRL, response, clientctrl.encode(kind, [])))
            self._over = True
            self._wire.close(f"login refused: {refusal}")
            return
        self._in = LoggedIn(self._broker, vpn, client, self._wire)
        self._wire.accept_large_frames()
        self._wire.expect_keep_alives(frame.number(params.get(clientctrl.KEEP_ALIVE_INTERVAL)))
        _LOG.info("%s: logged in to %s as %s from %s", client.name, vpn.name, client.username, self._wire.peer)
        self._wire.send(frame.frame(frame.CLIENT_CTRL, tag + OK, login.answer(self._broker, vpn, client)))

    def _smp(self, logged_in: LoggedIn, received: frame.Frame) -> None:
        body = received.body
        request = smp.decode(body)
        try:
            subscriptions.handle(self._broker, logged_in.vpn, logged_in.client, request)
            response = OK
        except Refused as refusal:
            response = frame.response(refusal.code, refusal.text)
        tag = received.parameters().get(frame.CORRELATION_TAG)
        if tag is None or not (request.response_required or response is not OK):
            return
        answer = frame.frame(frame.SMP, frame.correlation(tag) + response, body)
        self._answer(answer, when_durable=response is OK and request.kind in smp.OF_QUEUES)

    def _message(self, logged_in: LoggedIn, received: frame.Frame) -> None:
        decoded, hop = message.decode(received)
        stats = logged_in.client.stats
        stats.data_rx_msg_count += 1
        stats.data_rx_byte_count += len(received.raw)
        if received.flags & frame.FLAG_GUARANTEED:
            logged_in.publishing.receive(decoded, hop)
        else:
            logged_in.vpn.publish_direct(logged_in.client, decoded, received.raw)

    def _assured(self, logged_in: LoggedIn, received: frame.Frame) -> None:
        smf = received.parameters()
        if frame.RESPONSE in smf:
            return  # the client's answer to something of ours: answering it would never end
        request = assured.decode(received.body)
        if request.kind == assured.CLIENT_ACK:
            logged_in.consuming.acknowledged(request)
            return
        tag = frame.correlation(smf.get(frame.CORRELATION_TAG))

        def encoded(response: bytes, params: list[tuple[int, bytes]]) -> bytes:
            body = assured.encode(request.version, request.kind, params)
            return frame.frame(received.protocol, tag + response, body)

        if request.kind == assured.BIND:
            self._bind(logged_in.consuming, request, encoded)
            return
        try:
            answer = encoded(OK, self._carry_out(logged_in, request))
            of_endpoint = request.kind in (assured.CREATE, assured.DELETE)
        except Refused as refusal:
            answer, of_endpoint = encoded(frame.response(refusal.code, refusal.text), []), False
        self._answer(answer, when_durable=of_endpoint)

    def _bind(
        self,
        consuming: Consuming,
        request: assured.AssuredCtrl,
        encoded: Callable[[bytes, list[tuple[int, bytes]]], bytes],
    ) -> None:
        """Bind a flow. One that asks for a replay is answered when that is prepared, or has failed."""

        def refuse(refusal: Refused) -> None:
            self._wire.send(encoded(frame.response(refusal.code, refusal.text), [(assured.FLOW_ID, bytes(4))]))

        try:
            consuming.bind(request, lambda params: self._wire.send(encoded(OK, params)), refuse)
        except Refused as refusal:
            refuse(refusal)

    def _answer(self, answer: bytes, *, when_durable: bool) -> None:
        """Send an answer, a promise about configuration only when it can be kept after a crash."""
        if when_durable:
            self._broker.when_durable(lambda: self._wire.send(answer))
        else:
            self._wire.send(answer)

    def _carry_out(self, logged_in: LoggedIn, request: assured.AssuredCtrl) -> list[tuple[int, bytes]]:
        match request.kind:
            case assured.OPEN_FLOW:
                return logged_in.publishing.open(request)
            case assured.CLOSE_FLOW:
                return logged_in.publishing.close(request)
            case assured.UNBIND:
                return logged_in.consuming.unbind(request)
            case assured.CREATE:
                return logged_in.consuming.create(request)
            case assured.DELETE:
                return logged_in.consuming.delete(request)
            case assured.TRANSACTION:
                raise Refused(400, "Transactions Not Supported by This Emulator")
            case _:
                raise Refused(400, "Not Supported by This Emulator")

    # -- outlet of the client

    def send_direct(self, encoded: bytes) -> bool:
        """Send a direct message; the next one after a discard says so. False: discarded."""
        if self._wire.buffered > DIRECT_EGRESS_LIMIT:
            self._discarded = True
            return False
        if self._discarded:
            self._discarded = False
            encoded = bytes((encoded[0] | frame.FLAG_DISCARD_INDICATION,)) + encoded[1:]
        self._wire.send(encoded)
        return True

    def disconnect(self, reason: str) -> None:
        """Close the connection from the broker's side; whatever was this client's is free at once."""
        self._wire.close(reason)
        self.lost()

    # -- connection

    def drained(self) -> None:
        """The egress buffer has room again."""
        if self._in is not None:
            self._in.consuming.drained()

    def lost(self) -> None:
        """The connection is gone."""
        self._over = True
        logged_in, self._in = self._in, None
        if logged_in is not None:
            logged_in.consuming.detach()
            logged_in.publishing.detach()
            logged_in.vpn.dismiss(logged_in.client)
