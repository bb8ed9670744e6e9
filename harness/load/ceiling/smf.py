"""A server of the SMF protocol that does nothing: ``python -m crep.harness.load.ceiling.smf``.

=====================  ==============================================================================================
what a client does     what it gets
=====================  ==============================================================================================
log in                 every capability, whoever it says it is
send direct            nothing: the bytes are swallowed
send persistent        an acknowledgement of everything that came with one read
subscribe              after a moment (or, ``--when-told``, after the first byte on standard input), ``--deliver``
                       direct messages, as fast as it takes them
bind to any queue      then as many guaranteed messages, as its transport window allows
=====================  ==============================================================================================

The messages delivered carry stamps of run ``--run`` with valid check sums, so that an engine's checks are all at work;
a block of them, rendered before, comes again and again. One thread per connection, standard library and numpy only.

When it listens, one line of JSON goes to standard output: ``{"ready": true, "smf": "tcp://127.0.0.1:…"}``. It ends
when its standard input is closed.

Frames: ``crep.solace_emulator.smf``, which has been driven by the vendor's clients. Nothing here stores, routes or
checks anything: it is no broker, and calls itself ``crep-no-op``.
"""

from __future__ import annotations

import argparse
import json
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crep.harness.load.stamp import SIZE as STAMP_SIZE
from crep.harness.load.stamp import Renderer
from crep.solace_emulator.smf import assured, clientctrl, frame, smp

PLATFORM = "crep-no-op"
_READ = 1 << 18
_BLOCK = 500  # messages rendered before
_PAUSE_S = 0.3  # from a subscription to its first message: the client is to be at rest
_KEEP_ALIVE_S = 1.0  # a client whose bytes are swallowed is told so often that somebody is there
_LARGEST = 64 << 20
_OK = frame.response(200, "OK")
_LENGTH = struct.Struct(">I")
_CAPABILITIES = clientctrl.capabilities(
    frozenset(clientctrl.CAPABILITY_BITS) - {"compression", "transacted"},
    ((0, struct.pack(">I", 1000)), (1, b"\0"), (2, struct.pack(">I", _LARGEST)), (3, struct.pack(">I", _LARGEST))),
)
_VERSIONS = clientctrl.extended_capabilities(((4, b"\x01\x04"), (5, b"\x01\x01")))
_TOPIC = frame.parameter(frame.TOPIC, frame.terminated("ceiling/queue"))


@dataclass(frozen=True)
class Deliveries:
    """What a subscription gets: so many messages of ``size`` bytes, stamped for ``run``."""

    count: int
    size: int
    run: int
    may_begin: threading.Event

    def wait(self) -> None:
        """Until the client is at rest, and messages may come."""
        time.sleep(_PAUSE_S)
        self.may_begin.wait()

    def bodies(self) -> list[bytes]:
        """One block: ``_BLOCK`` different messages, whole payloads with the stamp in front."""
        numbers = np.arange(_BLOCK)
        renderer = Renderer(run=self.run, publisher=0, seed=1, carrier="payload")
        due_ns, sizes = np.full(_BLOCK, time.monotonic_ns(), np.int64), np.full(_BLOCK, self.size, np.uint32)
        keys = numbers.astype(np.uint32)
        rendered = renderer.render(numbers.astype(np.uint64), due_ns, keys, np.zeros(_BLOCK, np.uint32), sizes)
        return list(rendered.bodies)


class Connection:
    """One client, from its login to its end."""

    def __init__(self, connection: socket.socket, deliveries: Deliveries) -> None:
        self._socket, self._deliveries = connection, deliveries
        self._splitter = frame.FrameSplitter(_LARGEST)

    def serve(self) -> None:
        """Answer until the client is gone."""
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            while data := self._socket.recv(_READ):
                self._take(self._splitter.feed(data))
        except OSError:
            pass  # reset by the client: it is gone as well
        finally:
            self._socket.close()

    def _take(self, frames: Iterable[frame.Frame]) -> None:
        published: frame.Frame | None = None
        for one in frames:
            if one.protocol == frame.MESSAGE:
                if not one.flags & frame.FLAG_GUARANTEED:
                    self._swallow()
                    return
                published = one
            elif one.protocol == frame.KEEP_ALIVE:
                self._socket.sendall(frame.KEEP_ALIVE_FRAME)
            else:
                self._control(one)
        if published is not None:
            self._acknowledge(published)

    def _control(self, one: frame.Frame) -> None:
        tag = frame.correlation(one.parameters().get(frame.CORRELATION_TAG))
        if one.protocol == frame.CLIENT_CTRL:
            self._send(frame.CLIENT_CTRL, tag + _OK, _logged_in(one))
        elif one.protocol == frame.SMP:
            self._send(frame.SMP, tag + _OK, one.body)
            request = smp.decode(one.body)
            if request.kind == smp.ADD and self._deliveries.count and not request.subscription.startswith("#P2P"):
                self._flood(topic_under(request.subscription))
        else:
            asked = assured.decode(one.body)
            if asked.kind == assured.CLIENT_ACK:
                return
            answer = _ANSWERS.get(asked.kind, ())
            self._send(one.protocol, tag + _OK, assured.encode(asked.version, asked.kind, answer))
            if asked.kind == assured.BIND and self._deliveries.count:
                self._feed()

    def _send(self, protocol: int, parameters: bytes, body: bytes) -> None:
        self._socket.sendall(frame.frame(protocol, parameters, body))

    def _swallow(self) -> None:
        """Read and forget, until the client is gone."""
        buffer, told_s = bytearray(1 << 20), time.monotonic()
        while self._socket.recv_into(buffer):
            now_s = time.monotonic()
            if now_s - told_s > _KEEP_ALIVE_S:
                told_s = now_s
                self._socket.sendall(frame.KEEP_ALIVE_FRAME)

    def _acknowledge(self, last: frame.Frame) -> None:
        """Everything up to this guaranteed message."""
        number = frame.number(last.parameters().get(frame.MESSAGE_ID))
        body = assured.encode(
            4,
            assured.CLIENT_ACK,
            [
                (assured.LAST_ID_ACKED, frame.U64.pack(number)),
                (assured.FLOW_ID, frame.U32.pack(_FLOW)),
                (assured.WINDOW, b"\xff"),
            ],
        )
        self._send(frame.ASSURED_CTRL, _OK, body)

    def _flood(self, topic: str) -> None:
        """Direct messages, a block at a time; the socket's buffer pushes back."""
        parameters = frame.parameter(frame.TOPIC, frame.terminated(topic))
        frames = [frame.frame(frame.MESSAGE, parameters, body, ttl=0xFF) for body in self._deliveries.bodies()]
        block, length, left = b"".join(frames), len(frames[0]), self._deliveries.count
        self._deliveries.wait()
        while left > 0:
            part = min(left, _BLOCK)
            self._socket.sendall(memoryview(block)[: part * length])
            left -= part

    def _feed(self) -> None:
        """Guaranteed messages, as far as the transport window reaches; acknowledgements are read in between."""
        block, stride = _GuaranteedBlock(self._deliveries.bodies()), _BLOCK
        self._deliveries.wait()
        sent = acknowledged = 0
        window = _WINDOW
        while acknowledged < self._deliveries.count:
            upto = min(self._deliveries.count, acknowledged + window, (sent // stride + 1) * stride)
            if upto > sent:
                self._socket.sendall(block.frames(sent, upto))
                sent = upto
            for one in self._arrived(wait=sent >= min(self._deliveries.count, acknowledged + window)):
                if one.protocol == frame.KEEP_ALIVE:
                    self._socket.sendall(frame.KEEP_ALIVE_FRAME)
                elif one.protocol == frame.ASSURED_CTRL:
                    parameters = assured.decode(one.body).by_type()
                    acknowledged = max(acknowledged, frame.number(parameters.get(assured.LAST_ID_ACKED)))
                    window = frame.number(parameters.get(assured.TRANSPORT_WINDOW)) or window

    def _arrived(self, *, wait: bool) -> list[frame.Frame]:
        try:
            data = self._socket.recv(_READ, 0 if wait else socket.MSG_DONTWAIT)
        except BlockingIOError:
            return []
        if not data:
            raise ConnectionResetError
        return self._splitter.feed(data)


_FLOW, _WINDOW = 1, 255
_ANSWERS: dict[int, tuple[tuple[int, bytes], ...]] = {
    assured.OPEN_FLOW: (
        (assured.FLOW_ID, frame.U32.pack(_FLOW)),
        (assured.FLOW_NAME, frame.terminated(PLATFORM)),
        (assured.LAST_ID_ACKED, frame.U64.pack(0)),
        (assured.LAST_ID_SENT, frame.U64.pack(0)),
        (assured.WINDOW, bytes((_WINDOW,))),
        (assured.PUBLISHER_ID, frame.U32.pack(_FLOW)),
    ),
    assured.CLOSE_FLOW: ((assured.FLOW_ID, frame.U32.pack(_FLOW)),),
    assured.BIND: (
        (assured.FLOW_ID, frame.U32.pack(_FLOW)),
        (assured.WINDOW, bytes((_WINDOW,))),
        (assured.TRANSPORT_WINDOW, frame.U32.pack(_WINDOW)),
        (assured.LAST_ID_ACKED, frame.U64.pack(0)),
        (assured.LAST_ID_SENT, frame.U64.pack(0)),
        (assured.ACCESS_TYPE, b"\2"),
        (assured.DURABILITY, bytes((assured.DURABLE,))),
        (assured.GRANTED_PERMISSIONS, b"\0\0\0\x0f"),
        (assured.OTHERS_PERMISSIONS, b"\0\0\0\x0f"),
        (assured.SPOOLED_MESSAGES, frame.U32.pack(0)),
        (assured.ENDPOINT_ID, frame.U32.pack(1)),
        (assured.MAX_UNACKED, frame.U32.pack(10_000)),
        (assured.ACTIVE, b"\1"),
    ),
    assured.UNBIND: ((assured.FLOW_ID, frame.U32.pack(_FLOW)), (assured.LAST_ID_ACKED, frame.U64.pack(0))),
}


class _GuaranteedBlock:
    """``_BLOCK`` encoded deliveries of equal length, whose ids are written anew each time that they go out."""

    def __init__(self, bodies: list[bytes]) -> None:
        before = frame.parameter(frame.FLOW_ID, frame.U32.pack(_FLOW))
        number, zero = bytes((frame.MESSAGE_ID, 10)), bytes(8)
        previous = bytes((frame.PREVIOUS_MESSAGE_ID, 10))
        mode = frame.parameter(frame.DELIVERY_MODE, b"\1")
        parameters = before + number + zero + previous + zero + _TOPIC + mode
        flags = frame.VERSION | frame.FLAG_GUARANTEED
        frames = [frame.frame(frame.MESSAGE, parameters, body, flags=flags, ttl=0xFF) for body in bodies]
        self._rows: NDArray[np.uint8] = np.frombuffer(b"".join(frames), np.uint8).reshape(len(frames), -1).copy()
        self._number_at = frame.HEADER_LENGTH + len(before) + len(number)
        self._previous_at = self._number_at + len(zero) + len(previous)

    def frames(self, first: int, last: int) -> memoryview:
        """Messages ``first`` (from 0) up to, not including, ``last``, of one block; ids count from 1."""
        rows = self._rows[first % _BLOCK : first % _BLOCK + last - first]
        for at, ids in ((self._number_at, np.arange(first + 1, last + 1)), (self._previous_at, np.arange(first, last))):
            rows[:, at : at + 8] = ids.astype(">u8").view(np.uint8).reshape(-1, 8)
        return rows.data.cast("B")


def topic_under(subscription: str) -> str:
    """A topic that the subscription selects: some clients look again. Share names (``#share/name/…``) are left out."""
    levels = subscription.split("/")[2 if subscription.startswith("#share/") else 0 :]
    return "/".join("any" if level in ("*", ">") else level.rstrip("*") for level in levels)


def _logged_in(request: frame.Frame) -> bytes:
    _, asked = clientctrl.decode(request.body)
    return clientctrl.encode(
        clientctrl.LOGIN,
        [
            (clientctrl.CLIENT_NAME, asked.get(clientctrl.CLIENT_NAME, frame.terminated("client"))),
            (clientctrl.VPN_NAME, asked.get(clientctrl.VPN_NAME, frame.terminated("default"))),
            (clientctrl.P2P_TOPIC, frame.terminated(f"#P2P/v:{PLATFORM}/0")),
            (clientctrl.VIRTUAL_ROUTER_NAME, frame.terminated(f"v:{PLATFORM}")),
            (clientctrl.ROUTER_NAME, frame.terminated(PLATFORM)),
            (clientctrl.SOFTWARE_VERSION, frame.terminated(PLATFORM)),
            (clientctrl.PLATFORM, frame.terminated(PLATFORM)),
            (clientctrl.CAPABILITIES, _CAPABILITIES),
            (clientctrl.EXTENDED_CAPABILITIES, _VERSIONS),
        ],
    )


def main(arguments: list[str] | None = None) -> int:
    """Listen on loopback until standard input is closed."""
    parser = argparse.ArgumentParser(prog="ceiling.smf", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--deliver", type=int, default=0, help="messages for each subscription or bind")
    parser.add_argument("--size", type=int, default=100, help=f"bytes of each, at least {STAMP_SIZE}")
    parser.add_argument("--run", type=int, default=0, help="run number of their stamps")
    parser.add_argument("--when-told", action="store_true", help="deliver from the first byte on standard input on")
    chosen = parser.parse_args(arguments)
    if chosen.size < STAMP_SIZE:
        parser.error(f"--size: at least {STAMP_SIZE}, for the stamp")
    deliveries = Deliveries(chosen.deliver, chosen.size, chosen.run, threading.Event())
    if not chosen.when_told:
        deliveries.may_begin.set()
    listener = socket.create_server(("127.0.0.1", chosen.port))
    threading.Thread(target=_accept, args=(listener, deliveries), daemon=True).start()
    ready: dict[str, Any] = {"ready": True, "smf": f"tcp://127.0.0.1:{listener.getsockname()[1]}"}
    sys.stdout.write(json.dumps(ready) + "\n")
    sys.stdout.flush()
    if sys.stdin.buffer.read(1):
        deliveries.may_begin.set()
        sys.stdin.buffer.read()
    return 0


def _accept(listener: socket.socket, deliveries: Deliveries) -> None:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=Connection(connection, deliveries).serve, daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
