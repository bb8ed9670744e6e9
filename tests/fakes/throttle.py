"""A planted capacity: a TCP proxy before an SMF broker that lets a stated number of messages a second through.

Only messages from clients are counted, over all connections together; everything else passes at once. So it has to
know where a message begins, which crep's own fault proxy does not.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self

LOOPBACK = "127.0.0.1"
CHUNK = 1 << 16
_ENDS_WITHIN_S = 5.0
_MESSAGE = 0x0D  # encapsulated protocol of a message, header byte 1
_HEADER = struct.Struct(">BBBBII")


class Throttle:
    """Context manager, in threads. ``address`` is ``tcp://host:port``. ``passed`` counts the messages let through."""

    def __init__(self, upstream: tuple[str, int], per_second: float) -> None:
        self._upstream = upstream
        self._listener = socket.create_server((LOOPBACK, 0))
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._gap_s = 1 / per_second
        self._next = 0.0
        self.passed = 0
        self.address = f"tcp://{LOOPBACK}:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._spawn(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            open_now = [self._listener, *self._sockets]
        for one in open_now:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        for thread in self._threads:
            thread.join(_ENDS_WITHIN_S)

    def _spawn(self, target: Callable[..., None], *arguments: Any) -> None:
        """Run in a thread that is waited for at the end."""
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):  # the listener is closed at the end
            while True:
                client, _ = self._listener.accept()
                try:
                    broker = socket.create_connection(self._upstream)
                except OSError:
                    client.close()
                    continue
                for one in (client, broker):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with self._lock:
                    self._sockets += [client, broker]
                self._spawn(self._count, client, broker)
                self._spawn(self._forward, broker, client)

    @staticmethod
    def _forward(source: socket.socket, sink: socket.socket) -> None:
        """Pass everything on at once."""
        with suppress(OSError):
            while data := source.recv(CHUNK):
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

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
