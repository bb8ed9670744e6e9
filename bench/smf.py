"""A bare SMF client for the emulator: one publisher flow or one consumer flow, as fast as Python allows.

The official client cannot fill a queue of a million messages in a few minutes. This one can, and it understands only as
much as that takes; what it sends and expects is no measurement of any client.
"""

from __future__ import annotations

import base64
import socket
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import urlsplit

from crep.solace_emulator.smf import FrameSplitter, assured, clientctrl, frame, message

WINDOW = 255
_SILENCE_S = 60.0
_FRAME_LIMIT = 64 * 1024 * 1024
_NUMBER_BYTES = 8


class SmfError(Exception):
    """The broker refused something, closed the connection, or sent what was not expected."""


class Connection:
    """One connection, logged in."""

    def __init__(self, address: str, vpn: str, name: str) -> None:
        """Connect to ``tcp://host:port``. Raises :class:`SmfError` and ``OSError``."""
        parts = urlsplit(address)
        self._socket = socket.create_connection((parts.hostname or "", parts.port or 0), timeout=_SILENCE_S)
        self._splitter = FrameSplitter(_FRAME_LIMIT)
        self._frames: list[frame.Frame] = []
        values = ((clientctrl.CLIENT_NAME, name), (clientctrl.VPN_NAME, vpn))
        login = clientctrl.encode(clientctrl.LOGIN, [(key, frame.terminated(value)) for key, value in values])
        user = frame.parameter(frame.USER_NAME, base64.b64encode(b"default"))
        self.send(frame.frame(frame.CLIENT_CTRL, user, login))
        _check(self.next())

    def send(self, data: bytes) -> None:
        """Send frames."""
        self._socket.sendall(data)

    def receive(self) -> list[frame.Frame]:
        """Return the frames that have come, at least one."""
        while not self._frames:
            data = self._socket.recv(1024 * 1024)
            if not data:
                raise SmfError("the broker has closed the connection")
            self._frames = self._splitter.feed(data)
        found, self._frames = self._frames, []
        return found

    def next(self) -> frame.Frame:
        """Return the next frame."""
        first, *self._frames = self.receive()
        return first

    def ask(self, kind: int, params: list[tuple[int, bytes]]) -> dict[int, bytes]:
        """Send an AssuredCtrl request and return the parameters of its answer."""
        self.send(frame.frame(frame.ASSURED_CTRL, frame.correlation(b"\0\0\1"), assured.encode(4, kind, params)))
        answer = self.next()
        _check(answer)
        return assured.decode(answer.body).by_type()

    def tell(self, kind: int, params: list[tuple[int, bytes]]) -> None:
        """Send an AssuredCtrl message that has no answer."""
        self.send(frame.frame(frame.ASSURED_CTRL, b"", assured.encode(4, kind, params)))

    def close(self) -> None:
        """Close it."""
        self._socket.close()


def _check(answer: frame.Frame) -> None:
    response = answer.parameters().get(frame.RESPONSE, b"")
    if frame.number(response[:4]) != 200:
        raise SmfError(response[4:].decode() or "an answer without a response")


def publish(address: str, vpn: str, queue: str, numbers: range, size: int) -> None:
    """Publish persistent messages of ``size`` bytes that begin with their numbers; return when all are acknowledged."""
    with closing(Connection(address, vpn, "bench-publisher")) as connection:
        opened = connection.ask(assured.OPEN_FLOW, [(assured.WINDOW, bytes((WINDOW,)))])
        flow = frame.parameter(frame.FLOW_ID, opened[assured.FLOW_ID])
        kept = frame.parameter(frame.TOPIC, frame.terminated(f"#P2P/QUE/{queue}"))
        kept += frame.parameter(frame.DELIVERY_MODE, bytes((message.PERSISTENT,)))
        filler = bytes(size - _NUMBER_BYTES)
        sent = acknowledged = 0
        while acknowledged < len(numbers):
            burst = range(sent + 1, min(acknowledged + WINDOW, len(numbers)) + 1)
            connection.send(
                b"".join(
                    frame.frame(
                        frame.MESSAGE,
                        flow
                        + frame.parameter(frame.MESSAGE_ID, frame.U64.pack(number))
                        + frame.parameter(frame.PREVIOUS_MESSAGE_ID, frame.U64.pack(number - 1))
                        + kept,
                        frame.U64.pack(numbers[number - 1]) + filler,
                        flags=frame.VERSION | frame.FLAG_GUARANTEED,
                    )
                    for number in burst
                )
            )
            sent = max(sent, burst.stop - 1)
            for answer in connection.receive():
                _check(answer)
                told = assured.decode(answer.body).by_type()
                acknowledged = frame.number(told.get(assured.LAST_ID_ACKED), acknowledged)


def consume(address: str, vpn: str, queue: str, count: int) -> Iterator[int]:
    """Yield the numbers of ``count`` messages of a queue; a burst is accepted when the caller has taken all of it."""
    with closing(Connection(address, vpn, "bench-consumer")) as connection:
        bound = connection.ask(
            assured.BIND,
            [
                (assured.QUEUE_NAME, frame.terminated(queue)),
                (assured.WINDOW, bytes((WINDOW,))),
                (assured.DURABILITY, bytes((assured.DURABLE,))),
                (assured.FLOW_TYPE, bytes((assured.FLOW_CONSUMER,))),
            ],
        )
        flow = [(assured.FLOW_ID, bound[assured.FLOW_ID]), (assured.WINDOW, bytes((WINDOW,)))]
        connection.tell(assured.CLIENT_ACK, flow)
        while count:
            ids: list[int] = []
            for delivered in connection.receive():
                if delivered.protocol != frame.MESSAGE:
                    raise SmfError(f"a frame of protocol {delivered.protocol:#x} instead of a message")
                parameters = delivered.parameters()
                ids.append(frame.number(parameters[frame.MESSAGE_ID]))
                yield frame.number(delivered.body[:_NUMBER_BYTES])
            count -= len(ids)
            accepted = (assured.APPLICATION_ACK, frame.U64.pack(ids[0]) + frame.U64.pack(ids[-1]))
            connection.tell(assured.CLIENT_ACK, [*flow, (assured.LAST_ID_ACKED, frame.U64.pack(ids[-1])), accepted])
        connection.ask(assured.UNBIND, flow[:1])
