"""A TCP proxy that gives everything to the client a stated time later than the broker sent it.

Requests pass at once; answers wait. So an acknowledge comes later by the delay, and so does a message, whether its
consumer was waiting for it or not. What is on its way is not held up by what was sent before: the line is long, not
narrow.
"""

from __future__ import annotations

import queue
import socket
import time
from contextlib import suppress

from tests.fakes.proxy import CHUNK, LOOPBACK, Proxy


class Delay(Proxy):
    """Before a broker on this machine at port ``upstream``."""

    def __init__(self, port: int, upstream: int, delay_s: float) -> None:
        super().__init__(port, (LOOPBACK, upstream))
        self._delay_s = delay_s

    def connected(self, client: socket.socket, broker: socket.socket) -> None:
        """Requests at once, answers later."""
        waiting: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
        self.spawn(self.forward, client, broker)
        self.spawn(self._take, broker, waiting)
        self.spawn(self._give, client, waiting)

    def _take(self, source: socket.socket, waiting: queue.SimpleQueue[tuple[float, bytes]]) -> None:
        with suppress(OSError):
            while data := source.recv(CHUNK):
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
