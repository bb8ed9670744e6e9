"""A probe: both ends of a connection through the proxy, the party's that asks and the node's that echoes."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from crep.harness.proxy.connection import prompt
from crep.harness.proxy.loop import READ, Loop

MOST_BYTES = 1 << 16
"""What the system's buffers of a socket pair surely hold (unix(7): 208 KiB by default), so that no end waits."""


class Echo:
    """Sends ``size`` bytes at once; answers with the seconds until all are back, or None after ``timeout_s``.

    Attributes:
        client: the proxy's end of the party's connection.

    Raises:
        ValueError: a size below 1 or above `MOST_BYTES`.
    """

    def __init__(self, loop: Loop, size: int, timeout_s: float, answer: Callable[[float | None], None]) -> None:
        if not 1 <= size <= MOST_BYTES:
            raise ValueError(f"a probe has 1 to {MOST_BYTES} bytes, not {size}")
        self._loop, self._left, self._answer = loop, size, answer
        self._party, self.client = (prompt(one) for one in socket.socketpair())
        self._node: socket.socket | None = None
        self._node_end = _Node(self)
        self._started_s = time.monotonic()
        self._party.send(bytes(size))
        loop.watch(self._party.fileno(), READ, self)
        loop.at(self._started_s + timeout_s, lambda: self._end(None))

    def dial(self) -> socket.socket:
        """Connect to the echoing end."""
        self._node, proxy_end = (prompt(one) for one in socket.socketpair())
        self._loop.watch(self._node.fileno(), READ, self._node_end)
        return proxy_end

    def handle(self, events: int) -> None:
        """Something came back, or the connection ended."""
        got = _receive(self._party)
        self._left -= len(got)
        if not got or not self._left:
            self._end(time.monotonic() - self._started_s if got else None)

    def echo(self) -> None:
        """The node's end has something."""
        if self._node is None:
            return
        got = _receive(self._node)
        if got:
            self._node.send(got)
        else:
            self._leave(self._node)
            self._node = None

    def _end(self, seconds: float | None) -> None:
        answer, self._answer = self._answer, _ignore
        answer(seconds)
        if self._party.fileno() >= 0:
            self._leave(self._party)
        if self._node is not None:
            self._leave(self._node)
            self._node = None

    def _leave(self, one: socket.socket) -> None:
        self._loop.watch(one.fileno(), 0, self)
        one.close()


class _Node:
    """Hears the node's end."""

    def __init__(self, echo: Echo) -> None:
        self._echo = echo

    def handle(self, events: int) -> None:
        self._echo.echo()


def _receive(one: socket.socket) -> bytes:
    try:
        return one.recv(MOST_BYTES)
    except ConnectionError:
        return b""


def _ignore(_: float | None) -> None:
    """The answer was given."""
