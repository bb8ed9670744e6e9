"""The proxy itself: listeners, the rules in effect, the connections that they act on."""

from __future__ import annotations

import errno
import itertools
import random
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from crep.harness.proxy.connection import Connection, Dial, dial, prompt, reset
from crep.harness.proxy.delay import TokenBucket
from crep.harness.proxy.echo import Echo
from crep.harness.proxy.links import LOOPBACK, Applied, LinkSpec, LinkState, ProxyState
from crep.harness.proxy.loop import READ, Loop
from crep.harness.proxy.party import Ends, PartyFinder
from crep.harness.proxy.rules import (
    WAYS,
    Bandwidth,
    Flow,
    HalfOpen,
    Link,
    Reset,
    Rule,
    Way,
    closed,
    flow,
    haunting,
    refused,
)

_BACKLOG = 1024
_ACCEPT_AGAIN_S = 0.1
_NO_DESCRIPTOR = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


@dataclass
class _Tally:
    """What was counted for a link."""

    total: int = 0
    to_node_bytes: int = 0
    from_node_bytes: int = 0


class _Listener:
    """Accepts for one link; can be closed so that the port stays ours but nobody gets in."""

    def __init__(self, spec: LinkSpec, loop: Loop, accepted: Callable[[_Listener, socket.socket], None]) -> None:
        family, _, _, _, address = socket.getaddrinfo(*spec.to, type=socket.SOCK_STREAM)[0]
        self._keeper = _bound(spec.listen)
        self._loop, self._accepted = loop, accepted
        self.spec = LinkSpec(spec.node, spec.plane, self._keeper.getsockname()[1], spec.to)
        self.dial: Dial = partial(dial, family, (str(address[0]), int(address[1])))
        self._socket: socket.socket | None = None
        self._watched = False
        self.set_open(True)

    @property
    def open(self) -> bool:
        """Whether it listens."""
        return self._socket is not None

    def set_open(self, wanted: bool) -> None:
        """Closed, a connect gets ECONNREFUSED.

        The port stays bound by a socket that never listens: were it given back, the system could hand it to a client
        as its own port.
        """
        if wanted and self._socket is None:
            self._socket = _bound(self.spec.listen)
            self._socket.listen(_BACKLOG)
            self._socket.setblocking(False)
            self._watch(True)
        elif not wanted and self._socket is not None:
            self._watch(False)
            self._socket.close()
            self._socket = None

    def handle(self, events: int) -> None:
        """Somebody connects."""
        if self._socket is None:
            return
        try:
            client, _ = self._socket.accept()
        except BlockingIOError:
            return
        except ConnectionAbortedError:  # it has left again
            return
        except OSError as error:
            if error.errno not in _NO_DESCRIPTOR:
                raise
            self._watch(False)
            self._loop.at(time.monotonic() + _ACCEPT_AGAIN_S, lambda: self._watch(True))
            return
        self._accepted(self, prompt(client))

    def _watch(self, wanted: bool) -> None:
        if self._socket is not None and wanted != self._watched:
            self._watched = wanted
            self._loop.watch(self._socket.fileno(), READ if wanted else 0, self)


def _bound(port: int) -> socket.socket:
    """Several sockets may be bound to a port on Linux, as long as all have SO_REUSEADDR and none listens yet."""
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        one.bind((LOOPBACK, port))
    except OSError:
        one.close()
        raise
    return one


class Server:
    """All methods belong to the loop's thread.

    Args:
        loop: where everything is watched.
        specs: the links.
        finder: says who a party is.

    Raises:
        OSError: a port is taken or a host unknown; ``strerror`` says which.
    """

    def __init__(self, loop: Loop, specs: Sequence[LinkSpec], finder: PartyFinder) -> None:
        self._loop, self._finder = loop, finder
        self._rules: dict[str, Rule] = {}
        self._buckets: dict[tuple[str, Way], TokenBucket] = {}
        self._connections: dict[int, Connection] = {}
        self._tallies: dict[Link, _Tally] = {}
        self._serials = itertools.count(1)
        self._chance = random.Random()  # noqa: S311 - jitter
        self._listeners: list[_Listener] = []
        for spec in specs:
            try:
                self._listeners.append(_Listener(spec, loop, self._accepted))
            except OSError as error:
                where = f"{spec.node}, {spec.plane}: port {spec.listen} to {spec.to[0]}:{spec.to[1]}"
                raise OSError(error.errno, f"{where}: {error.strerror or error}") from error

    @property
    def specs(self) -> tuple[LinkSpec, ...]:
        """The links, with the ports that they really have."""
        return tuple(listener.spec for listener in self._listeners)

    def apply(self, rule: Rule) -> Applied:
        """Put a rule into effect, in place of one of the same id.

        Raises:
            ValueError: it names a node that no link leads to.
        """
        unknown = sorted(rule.nodes - {spec.node for spec in self.specs})
        if unknown:
            known = ", ".join(sorted({spec.node for spec in self.specs}))
            raise ValueError(f"rule {rule.id!r}: no link leads to {', '.join(unknown)}; there are links to: {known}")
        self._forget(rule.id)
        covered = [one for one in self._connections.values() if rule.covers(one.link)]
        if isinstance(rule.effect, Reset):
            for one in covered:
                one.abort()
        else:
            self._rules[rule.id] = rule
        if isinstance(rule.effect, Bandwidth):
            for way in WAYS:
                self._buckets[rule.id, way] = TokenBucket(rule.effect.bytes_per_s)
        if isinstance(rule.effect, HalfOpen):
            believers = tuple(way for way in WAYS if rule.acts(way))
            for one in covered:
                one.haunt(rule.id, believers)
        self._changed()
        return Applied(time.monotonic_ns(), sum(one.counted for one in covered), next(self._serials))

    def clear(self, rule_id: str) -> None:
        """Take a rule back; one that is unknown is none."""
        self._forget(rule_id)
        self._changed()

    def state(self) -> ProxyState:
        """Connections, bytes and rules now."""
        return ProxyState(
            links=tuple(self._link_state(link, tally) for link, tally in self._tallies.items()),
            rules=tuple(self._rules),
            refusing=tuple((one.spec.node, one.spec.plane) for one in self._listeners if not one.open),
        )

    def probe(self, link: Link, size: int, timeout_s: float, answer: Callable[[float | None], None]) -> None:
        """Send ``size`` bytes to an echo and back through a connection that is treated as the link's.

        Raises:
            ValueError: no such link, or a size that the system's buffers may not hold.
        """
        listener = next(
            (one for one in self._listeners if (one.spec.node, one.spec.plane) == (link.node, link.plane)), None
        )
        if listener is None:
            raise ValueError(f"no link leads to {link.node} on plane {link.plane}")
        if refused(self._rules.values(), link):
            answer(None)
            return

        def over(seconds: float | None) -> None:
            connection.abort()
            answer(seconds)

        echo = Echo(self._loop, size, timeout_s, over)
        connection = self._start(link, echo.client, echo.dial, None)

    def _link_state(self, link: Link, tally: _Tally) -> LinkState:
        connections = [one for one in self._connections.values() if one.link == link and one.counted]
        return LinkState(
            link=link,
            open=len(connections),
            ghosts=sum(one.haunted_by is not None for one in connections),
            total=tally.total,
            to_node_bytes=tally.to_node_bytes + sum(one.bytes("to-node") for one in connections),
            from_node_bytes=tally.from_node_bytes + sum(one.bytes("from-node") for one in connections),
            oldest=min((one.serial for one in connections), default=None),
        )

    def _accepted(self, listener: _Listener, client: socket.socket) -> None:
        try:
            host, port = client.getpeername()
        except OSError:  # it has left again
            client.close()
            return
        ends = Ends(host, port, LOOPBACK, listener.spec.listen)
        self._finder.ask(ends, lambda party: self._loop.call(partial(self._known, listener, client, party)))

    def _known(self, listener: _Listener, client: socket.socket, party: str) -> None:
        link = Link(party, listener.spec.node, listener.spec.plane)
        tally = self._tallies.setdefault(link, _Tally())
        tally.total += 1
        if refused(self._rules.values(), link):
            reset(client)
            return
        self._start(link, client, listener.dial, tally)

    def _start(self, link: Link, client: socket.socket, to_node: Dial, tally: _Tally | None) -> Connection:
        connection = Connection(
            next(self._serials), link, client, to_node, self._loop, self._chance, partial(self._gone, tally)
        )
        connection.counted = tally is not None
        self._connections[connection.serial] = connection
        ghost = haunting(self._rules.values(), link)
        if ghost is None:
            connection.subject_to(self._flows(link))
        else:
            connection.haunt(ghost, WAYS)
        return connection

    def _gone(self, tally: _Tally | None, connection: Connection) -> None:
        del self._connections[connection.serial]
        if tally is not None:
            tally.to_node_bytes += connection.bytes("to-node")
            tally.from_node_bytes += connection.bytes("from-node")

    def _forget(self, rule_id: str) -> None:
        self._rules.pop(rule_id, None)
        for way in WAYS:
            self._buckets.pop((rule_id, way), None)
        for one in [one for one in self._connections.values() if one.haunted_by == rule_id]:
            one.abort()

    def _changed(self) -> None:
        rules = self._rules.values()
        for listener in self._listeners:
            listener.set_open(not closed(rules, listener.spec.node, listener.spec.plane))
        for connection in list(self._connections.values()):
            connection.subject_to(self._flows(connection.link))

    def _flows(self, link: Link) -> dict[Way, tuple[Flow, tuple[TokenBucket, ...]]]:
        return {way: self._subject(flow(self._rules.values(), link, way), way) for way in WAYS}

    def _subject(self, found: Flow, way: Way) -> tuple[Flow, tuple[TokenBucket, ...]]:
        return found, tuple(self._buckets[rule, way] for rule in found.buckets)
