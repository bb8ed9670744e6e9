"""One connection through the proxy: two sockets, two pumps, and its way from accepted to closed.

::

    accepted ──► (who is it?) ──► refused: RST
                      ├──► ghost: kept open, never answered, RST at the end of the rule
                      └──► waiting (while the way to the node is stalled) ──► connecting ──► open ──► closed

How it ends on one side is carried over to the other: FIN as FIN behind the last byte, RST as RST.
"""

from __future__ import annotations

import contextlib
import errno
import random
import socket
import struct
import time
from collections.abc import Callable, Collection, Mapping
from typing import Literal

from crep.harness.proxy.delay import TokenBucket
from crep.harness.proxy.loop import READ, WRITE, Loop
from crep.harness.proxy.pump import Pump
from crep.harness.proxy.rules import FREE, WAYS, Flow, Link, Way

Dial = Callable[[], socket.socket]
"""A non-blocking socket to the node, connected or about to be."""

CONNECT_WITHIN_S = 30.0
_LINGER_0 = struct.pack("ii", 1, 0)  # close() then sends RST (socket(7), SO_LINGER)


def reset(one: socket.socket) -> None:
    """Close with RST, whatever is unsent."""
    with contextlib.suppress(OSError):  # reset by its peer already
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0)
    one.close()


def prompt(one: socket.socket) -> socket.socket:
    """Non-blocking, and small packets go out at once."""
    one.setblocking(False)
    if one.family != socket.AF_UNIX:
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return one


class _Side:
    """One of the two sockets, as the loop sees it."""

    __slots__ = ("_connection", "_fd", "_loop", "_mask", "reader", "sock", "writer")

    def __init__(self, sock: socket.socket, loop: Loop, connection: Connection, reader: Pump, writer: Pump) -> None:
        self.sock, self._loop, self._connection, self.reader, self.writer = sock, loop, connection, reader, writer
        self._fd, self._mask = sock.fileno(), 0

    def handle(self, events: int) -> None:
        if events & ~WRITE and self.reader.wants_read:
            self.reader.read()
        if events & ~READ and self.writer.blocked:
            self.writer.write()
        self._connection.settle()

    def settle(self) -> None:
        mask = (READ if self.reader.wants_read else 0) | (WRITE if self.writer.blocked else 0)
        if mask != self._mask:
            self._loop.watch(self._fd, mask, self)
            self._mask = mask


class Connection:
    """Owns its sockets. All methods belong to the loop's thread.

    Args:
        serial: rises over all connections of the proxy.
        link: who connects to whom.
        client: the party's socket, accepted.
        dial: begins to connect to the node.
        loop: where its sockets are watched.
        chance: draws jitter.
        gone: called once, when it has ended.
    """

    def __init__(
        self,
        serial: int,
        link: Link,
        client: socket.socket,
        dial: Dial,
        loop: Loop,
        chance: random.Random,
        gone: Callable[[Connection], None],
    ) -> None:
        self.serial, self.link = serial, link
        self.haunted_by: str | None = None
        self.counted = True
        self._client: socket.socket | None = client
        self._node: socket.socket | None = None
        self._dial, self._loop, self._chance, self._gone = dial, loop, chance, gone
        self._pumps: dict[Way, Pump] = {}
        self._sides: tuple[_Side, ...] = ()
        self._flows: Mapping[Way, tuple[Flow, tuple[TokenBucket, ...]]] = dict.fromkeys(WAYS, (FREE, ()))
        self._state: Literal["waiting", "connecting", "open", "ghost", "closed"] = "waiting"

    def bytes(self, way: Way) -> int:
        """Bytes that were passed on."""
        return self._pumps[way].bytes if self._pumps else 0

    def subject_to(self, flows: Mapping[Way, tuple[Flow, tuple[TokenBucket, ...]]]) -> None:
        """From now on these flows. A new connection goes on its way by this."""
        self._flows = flows
        if self._state == "waiting" and not flows["to-node"][0].stalled:
            self._connect()
        elif self._state == "open":
            for way, pump in self._pumps.items():
                pump.subject_to(*flows[way])
            self.settle()

    def haunt(self, rule: str, believers: Collection[Way]) -> None:
        """Leave the senders of these ways alone with a connection whose other end is gone, until `abort`."""
        if self._state in ("ghost", "closed"):
            return
        self._state, self.haunted_by = "ghost", rule
        self._leave()
        if "to-node" not in believers and self._client is not None:
            reset(self._client)
            self._client = None
        if "from-node" not in believers and self._node is not None:
            reset(self._node)
            self._node = None
        if self._client is None and self._node is None:
            self._close()

    def abort(self) -> None:
        """Both sides get RST."""
        self._end(reset)

    def handle(self, events: int) -> None:
        """The connect to the node has ended, well or not."""
        if self._state == "connecting" and self._node is not None:
            self._loop.watch(self._node.fileno(), 0, self)
            if self._node.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self.abort()
            else:
                self._open()

    def settle(self) -> None:
        """After anything happened: carry an end over, or watch for what is wanted next."""
        if self._state != "open":
            return
        states = {pump.state for pump in self._pumps.values()}
        if "reset" in states:
            self.abort()
        elif "open" not in states:
            self._end(reset if "broken" in states else socket.socket.close)
        else:
            for side in self._sides:
                side.settle()

    def _connect(self) -> None:
        try:
            self._node = self._dial()
        except OSError:
            self.abort()
            return
        self._state = "connecting"
        self._loop.watch(self._node.fileno(), WRITE, self)
        self._loop.at(time.monotonic() + CONNECT_WITHIN_S, self._give_up)

    def _give_up(self) -> None:
        if self._state == "connecting":
            self.abort()

    def _open(self) -> None:
        client, node = self._client, self._node
        assert client is not None  # noqa: S101 - only a ghost has one side
        assert node is not None  # noqa: S101 - it has just been connected
        to_node = Pump(client, node, self._loop.at, self.settle, self._chance)
        from_node = Pump(node, client, self._loop.at, self.settle, self._chance)
        self._pumps = {"to-node": to_node, "from-node": from_node}
        self._sides = (
            _Side(client, self._loop, self, reader=to_node, writer=from_node),
            _Side(node, self._loop, self, reader=from_node, writer=to_node),
        )
        self._state = "open"
        self.subject_to(self._flows)

    def _end(self, how: Callable[[socket.socket], None]) -> None:
        if self._state == "closed":
            return
        self._leave()
        for one in (self._client, self._node):
            if one is not None:
                how(one)
        self._close()

    def _leave(self) -> None:
        """Move no byte any more, and hear of nothing."""
        for pump in self._pumps.values():
            pump.stop()
        for one in (self._client, self._node):
            if one is not None:
                self._loop.watch(one.fileno(), 0, self)

    def _close(self) -> None:
        self._state = "closed"
        self._gone(self)


def dial(family: socket.AddressFamily, address: tuple[str, int]) -> socket.socket:
    """Begin to connect.

    Raises:
        OSError: refused at once, no route, no descriptor left.
    """
    one = prompt(socket.socket(family, socket.SOCK_STREAM))
    code = one.connect_ex(address)
    if code not in (0, errno.EINPROGRESS):
        one.close()
        raise OSError(code, "connect")
    return one
