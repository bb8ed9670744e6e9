"""A TCP proxy on this machine, in threads; what happens to the bytes of a connection is a subclass's business."""

from __future__ import annotations

import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self

LOOPBACK = "127.0.0.1"
CHUNK = 1 << 16
_ENDS_WITHIN_S = 5.0


class Proxy(ABC):
    """Context manager. Listens on ``port`` (0: a free one) as soon as it is made, so that nobody else takes it."""

    def __init__(self, port: int, upstream: tuple[str, int]) -> None:
        self._upstream = upstream
        self._listener = socket.create_server((LOOPBACK, port))
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._listener.getsockname()[1]
        return port

    @abstractmethod
    def connected(self, client: socket.socket, broker: socket.socket) -> None:
        """Start the threads of a connection."""

    def __enter__(self) -> Self:
        self.spawn(self._accept)
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

    def spawn(self, target: Callable[..., None], *arguments: Any) -> None:
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
                self.connected(client, broker)

    @staticmethod
    def forward(source: socket.socket, sink: socket.socket) -> None:
        """Pass everything on at once."""
        with suppress(OSError):
            while data := source.recv(CHUNK):
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
