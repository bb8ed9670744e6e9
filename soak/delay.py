"""A TCP proxy that gives everything to the client a stated time later than the broker sent it.

Requests pass at once; answers wait. So an acknowledge comes later by the delay, and so does a message, whether its
consumer was waiting for it or not. What is on its way is not held up by what was sent before: the line is long, not
narrow.
"""

from __future__ import annotations

import queue
import socket
import threading
import time
from contextlib import suppress

from crep.harness.deployment.ports import LOOPBACK

_CHUNK = 1 << 16
_ENDS_WITHIN_S = 5.0


class Delay:
    """Context manager. Listens on ``port`` as soon as it is made, so that nobody else takes it."""

    def __init__(self, port: int, upstream: int, delay_s: float) -> None:
        self._upstream, self._delay_s = upstream, delay_s
        self._listener = socket.create_server((LOOPBACK, port))
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Delay:
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

    def _spawn(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):  # the listener is closed at the end
            while True:
                client, _ = self._listener.accept()
                try:
                    broker = socket.create_connection((LOOPBACK, self._upstream))
                except OSError:
                    client.close()
                    continue
                for one in (client, broker):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with self._lock:
                    self._sockets += [client, broker]
                waiting: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
                self._spawn(self._pass, client, broker)
                self._spawn(self._take, broker, waiting)
                self._spawn(self._give, client, waiting)

    @staticmethod
    def _pass(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(_CHUNK):
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def _take(self, source: socket.socket, waiting: queue.SimpleQueue[tuple[float, bytes]]) -> None:
        with suppress(OSError):
            while data := source.recv(_CHUNK):
                waiting.put((time.monotonic() + self._delay_s, data))
        waiting.put((0.0, b""))  # the end

    @staticmethod
    def _give(sink: socket.socket, waiting: queue.SimpleQueue[tuple[float, bytes]]) -> None:
        with suppress(OSError):
            while True:
                due_s, data = waiting.get()
                if not data:
                    break
                time.sleep(max(0.0, due_s - time.monotonic()))
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
