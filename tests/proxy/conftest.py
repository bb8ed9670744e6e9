"""A node behind a proxy, in this process: what connects to it comes out of a queue."""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from crep.harness.proxy import Link, Links, LinkSpec, ProxyProcess, ProxyState, port_of

WAIT_S = 20.0


@dataclass
class Node:
    """Listens; accepts everybody."""

    port: int = 0
    accepted: queue.SimpleQueue[socket.socket] = field(default_factory=queue.SimpleQueue)

    def start(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept
        self._thread.join(WAIT_S)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                one, _ = self._listener.accept()
            except OSError:
                return  # stopped
            one.settimeout(WAIT_S)
            self.accepted.put(one)

    def next(self) -> socket.socket:
        """The next connection that came in."""
        return self.accepted.get(timeout=WAIT_S)


@dataclass
class Proxied:
    """A proxy with one link to a node."""

    node: Node
    process: ProxyProcess
    links: Links

    @property
    def port(self) -> int:
        return port_of(self.links.specs, "node", "client")

    def connect(self) -> socket.socket:
        """The party's end of a connection."""
        one = socket.create_connection(("127.0.0.1", self.port), timeout=WAIT_S)
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return one

    def pair(self) -> tuple[socket.socket, socket.socket]:
        """Both ends of a connection that has reached the node."""
        party = self.connect()
        return party, self.node.next()

    def open(self, party: str = "others") -> int:
        """How many connections of that party are open, as the proxy says."""
        return opened(self.links.state(), party)


def exactly(one: socket.socket, size: int) -> bytes:
    """So many bytes."""
    got = bytearray()
    while len(got) < size:
        data = one.recv(size - len(got))
        assert data, f"it ended after {len(got)} of {size} bytes"
        got += data
    return bytes(got)


def opened(state: ProxyState, party: str) -> int:
    return sum(one.open for one in state.links if one.link == Link(party, "node", "client"))


@pytest.fixture(scope="module")
def proxied() -> Iterator[Proxied]:
    node = Node()
    node.start()
    process = ProxyProcess()
    process.start([LinkSpec("node", "client", 0, ("127.0.0.1", node.port))])
    try:
        yield Proxied(node, process, process.links())
    finally:
        process.stop()
        node.stop()


@pytest.fixture
def clean(proxied: Proxied) -> Iterator[Proxied]:
    """The proxy without rules and connections."""
    deadline = time.monotonic() + WAIT_S
    while any(one.open for one in proxied.links.state().links):
        assert time.monotonic() < deadline, "a test before left a connection open"
        time.sleep(0.01)
    yield proxied
    for rule in proxied.links.state().rules:
        proxied.links.clear(rule)
