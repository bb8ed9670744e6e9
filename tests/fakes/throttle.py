"""A planted capacity: a TCP proxy before an SMF broker that lets a stated number of messages a second through.

Only messages from clients are counted, over all connections together; everything else passes at once.
"""

from __future__ import annotations

import socket
import struct
import time
from contextlib import suppress

from tests.fakes.proxy import CHUNK, LOOPBACK, Proxy

_MESSAGE = 0x0D  # encapsulated protocol of a message, header byte 1
_HEADER = struct.Struct(">BBBBII")


class Throttle(Proxy):
    """``address`` is ``tcp://host:port``. ``passed`` counts the messages let through."""

    def __init__(self, upstream: tuple[str, int], per_second: float) -> None:
        super().__init__(0, upstream)
        self._gap_s = 1 / per_second
        self._next = 0.0
        self.passed = 0
        self.address = f"tcp://{LOOPBACK}:{self.port}"

    def connected(self, client: socket.socket, broker: socket.socket) -> None:
        self.spawn(self._count, client, broker)
        self.spawn(self.forward, broker, client)

    def _count(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            buffer = b""
            while data := source.recv(CHUNK):
                buffer += data
                while len(buffer) >= _HEADER.size:
                    _, protocol, _, _, _, length = _HEADER.unpack_from(buffer)
                    if len(buffer) < length:
                        break
                    if protocol & 0x3F == _MESSAGE:
                        self._wait()
                    sink.sendall(buffer[:length])
                    buffer = buffer[length:]
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def _wait(self) -> None:
        """Until it is this message's turn: turns are a fixed time apart, and a pause of 50 ms is made up for."""
        with self._lock:
            now = time.monotonic()
            turn = max(self._next, now - 0.05)
            self._next = turn + self._gap_s
            self.passed += 1
        if turn > now:
            time.sleep(turn - now)
