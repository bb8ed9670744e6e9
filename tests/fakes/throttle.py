"""A planted capacity: a TCP proxy before an SMF broker that lets a stated number of messages a second through.

Only messages from clients are counted, over all connections together; everything else passes at once.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from contextlib import suppress

_MESSAGE = 0x0D  # encapsulated protocol of a message, header byte 1
_HEADER = struct.Struct(">BBBBII")


class Throttle:
    """Context manager; ``address`` is ``tcp://host:port``. ``passed`` counts the messages let through."""

    def __init__(self, upstream: tuple[str, int], per_second: float) -> None:
        self._upstream, self._gap_s = upstream, 1 / per_second
        self._lock = threading.Lock()
        self._next = 0.0
        self.passed = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        host, port = self._listener.getsockname()
        self.address = f"tcp://{host}:{port}"

    def __enter__(self) -> Throttle:
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
            thread.join(5.0)

    def _spawn(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                broker = socket.create_connection(self._upstream)
                for one in (client, broker):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with self._lock:
                    self._sockets += [client, broker]
                self._spawn(self._forward, client, broker)
                self._spawn(self._pass, broker, client)

    @staticmethod
    def _pass(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            buffer = b""
            while data := source.recv(65536):
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
