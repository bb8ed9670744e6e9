"""A broker that can be told to lie: in this process, on a loopback socket, so that real engine processes can use it.

::

    with LyingBroker(Lies(drop={7}, double={9})) as broker:
        spec = PublisherSpec(endpoint=broker.endpoint, …)    # its system names ``lying_clients``
        …
        broker.backlog()                                     # {"orders.billing": 0}

An honest one (``Lies()``) acknowledges, keeps the order, gives a key to one member of a group, a message to the first
connected member of an exclusive reader, redelivers (flagged) what a vanished member had not acknowledged, and counts
what is not acknowledged as backlog. Child processes must be able to import ``tests.fakes.lying_clients``: put the
checkout on their PYTHONPATH.
"""

from __future__ import annotations

import contextlib
import itertools
import queue
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, Listener
from typing import Any

from crep.harness.brokers.contract import REDELIVERED_NO, REDELIVERED_YES, Endpoint, Outcome, ReaderSpec
from crep.harness.brokers.dead_letters import DeadLetter
from crep.harness.scenario.topics import selection

SYSTEM = "tests.fakes.lying_clients:LyingAdapter"
NO_NUMBERS: Set[int] = frozenset()


@dataclass(frozen=True)
class Lies:
    """What to do to a message, by its sequence number, the same for every publisher. One lie for each message, please.

    ``readers`` limits the lies of delivery (marked *) to readers of these names; the others are served honestly.
    """

    drop: Set[int] = NO_NUMBERS  # * acknowledged, never delivered
    double: Set[int] = NO_NUMBERS  # * delivered twice, the second time not flagged
    redeliver: Set[int] = NO_NUMBERS  # * delivered twice, the second time flagged
    reorder: Set[int] = NO_NUMBERS  # * delivered after the next message of the same key
    corrupt: Set[int] = NO_NUMBERS  # * one bit of the payload's last byte is flipped
    delay: Mapping[int, float] = field(default_factory=dict)  # * delivered so many seconds later; backlog denies it
    reject: Set[int] = NO_NUMBERS  # refused, not delivered
    reject_and_deliver: Set[int] = NO_NUMBERS  # refused, yet delivered
    silent: Set[int] = NO_NUMBERS  # delivered, no outcome
    swallow: Set[int] = NO_NUMBERS  # neither delivered nor an outcome
    stall: tuple[int, float] | None = None  # from this sequence number on: nothing is read for so many seconds, once
    hang_up: int | None = None  # the publisher's connection is closed when it sends this one
    bury: Set[int] = NO_NUMBERS  # * dead-lettered at once instead of delivered
    bury_a_copy: Set[int] = NO_NUMBERS  # * delivered, and dead-lettered as well
    drop_poison: Set[int] = NO_NUMBERS  # * dropped instead of dead-lettered when it has failed often enough
    readers: Set[str] | None = None


@dataclass(frozen=True)
class _Stored:
    sequence: int
    topic: int
    key: int
    body: bytes
    stamp: bytes | None
    redelivered: int = REDELIVERED_NO


class _Reader:
    """One logical reader: its members' connections and what they have not acknowledged."""

    def __init__(self, spec: ReaderSpec, topics: tuple[str, ...]) -> None:
        self.spec = spec
        self._wanted = selection(spec.topic_filter, topics)
        self._members: dict[int, _Peer] = {}
        self._unacknowledged: dict[int, tuple[int, _Stored]] = {}  # delivery → (member, message)
        self._waiting: list[_Stored] = []
        self._failures: Counter[tuple[int, bytes]] = Counter()  # of a message
        self.letters: list[_Stored] = []
        self._held: dict[int, list[_Stored]] = defaultdict(list)  # key → until the next one has gone
        self._delivery = 0
        self._lock = threading.RLock()

    def offer(self, message: _Stored, lies: Lies) -> None:
        if not self._wanted[message.topic]:
            return
        sequence = message.sequence
        if lies.readers is not None and self.spec.name not in lies.readers:
            lies = Lies()
        with self._lock:
            if sequence in lies.drop:
                return
            if sequence in lies.bury or sequence in lies.bury_a_copy:
                self.letters.append(message)
                if sequence in lies.bury:
                    return
            if sequence in lies.reorder:
                self._held[message.key].append(message)
                return
            if sequence in lies.delay:
                timer = threading.Timer(lies.delay[sequence], self._deliver, [message])
                timer.daemon = True  # a delay past the end of the test must not hold the test session
                timer.start()
                return
            if sequence in lies.corrupt:
                damaged = message.body[:-1] + bytes([message.body[-1] ^ 1])
                message = replace(message, body=damaged)
            self._deliver(message)
            if sequence in lies.double:
                self._deliver(message)
            if sequence in lies.redeliver:
                self._deliver(replace(message, redelivered=REDELIVERED_YES))
            for held in self._held.pop(message.key, []):
                self._deliver(held)

    def join(self, member: int, peer: _Peer) -> None:
        with self._lock:
            self._members[member] = peer
            waiting, self._waiting = self._waiting, []
            for message in waiting:
                self._deliver(message)

    def leave(self, member: int, peer: _Peer) -> None:
        with self._lock:
            if self._members.get(member) is not peer:
                return
            del self._members[member]
            theirs = [d for d, (owner, _) in self._unacknowledged.items() if owner == member]
            for delivery in theirs:
                _, message = self._unacknowledged.pop(delivery)
                self._deliver(replace(message, redelivered=REDELIVERED_YES))

    def acknowledge(self, deliveries: Sequence[int]) -> None:
        with self._lock:
            for delivery in deliveries:
                self._unacknowledged.pop(delivery, None)

    def fail(self, deliveries: Sequence[int], lies: Lies) -> None:
        with self._lock:
            for delivery in deliveries:
                _, message = self._unacknowledged.pop(delivery)
                self._failures[message.sequence, message.body] += 1
                if self._failures[message.sequence, message.body] < (self.spec.dead_letters_after or 0):
                    self._deliver(replace(message, redelivered=REDELIVERED_YES))
                elif message.sequence not in lies.drop_poison:
                    self.letters.append(message)

    def backlog(self) -> int:
        with self._lock:
            return len(self._unacknowledged) + len(self._waiting)

    def _deliver(self, message: _Stored) -> None:
        with self._lock:
            guaranteed = self.spec.delivery == "at-least-once"
            if not self._members:
                if guaranteed:
                    self._waiting.append(message)
                return
            members = sorted(self._members)
            member = members[0] if self.spec.share == "exclusive" else members[message.key % len(members)]
            self._delivery += 1
            if guaranteed:
                self._unacknowledged[self._delivery] = member, message
            self._members[member].send((self._delivery, message.body, message.stamp, message.redelivered))


class _Peer:
    """One connection on the broker's side. What is sent to it waits in a queue: a slow client holds nobody up."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._out: queue.SimpleQueue[Any] = queue.SimpleQueue()
        threading.Thread(target=self._write, daemon=True).start()

    def send(self, message: Any) -> None:
        self._out.put(message)

    def close(self) -> None:
        self._out.put(None)

    def _write(self) -> None:
        with contextlib.suppress(OSError):
            while (message := self._out.get()) is not None:
                self.connection.send(message)
        self.connection.close()


class LyingBroker:
    """The broker's side. ``lies`` may be replaced at any time."""

    def __init__(self, lies: Lies | None = None) -> None:
        self.lies = lies or Lies()
        self._readers: dict[tuple[str, str], _Reader] = {}
        self._peers: list[_Peer] = []
        self._lock = threading.Lock()
        self._stalled = False
        self._listener = Listener(("127.0.0.1", 0), backlog=64)
        self.endpoint = Endpoint(
            system=SYSTEM, target="lying", bootstrap="{}:{}".format(*self._listener.address), password="secret"
        )
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> LyingBroker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up on everybody."""
        self._listener.close()
        for peer in self._peers:
            peer.close()

    def announce(self, kind: str, text: str) -> None:
        """Let every connected client report a connection event."""
        for peer in self._peers:
            peer.send(("event", kind, text))

    def backlog(self) -> dict[str, int]:
        """What each at-least-once reader has not acknowledged, by ``channel.reader``."""
        with self._lock:
            readers = dict(self._readers)
        return {
            f"{channel}.{name}": reader.backlog()
            for (channel, name), reader in readers.items()
            if reader.spec.delivery == "at-least-once"
        }

    def letters(self, channel: str, reader: str) -> tuple[DeadLetter, ...]:
        """What lies in a reader's dead letter place."""
        return tuple(DeadLetter(one.body, one.stamp) for one in self._readers[channel, reader].letters)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=(self._listener.accept(),), daemon=True).start()

    def _serve(self, connection: Connection) -> None:
        peer = _Peer(connection)
        with contextlib.suppress(EOFError, OSError):
            what, *rest = connection.recv()
            with self._lock:
                self._peers.append(peer)
            getattr(self, f"_serve_{what}")(peer, *rest)
        peer.close()

    def _serve_publisher(self, peer: _Peer, channel: str) -> None:
        peer.send(("ready",))
        while True:
            outcomes = []
            for message in itertools.starmap(_Stored, peer.connection.recv()):
                sequence, lies = message.sequence, self.lies
                if lies.hang_up == sequence:
                    return
                if lies.stall and sequence >= lies.stall[0] and not self._stalled:
                    self._stalled = True
                    time.sleep(lies.stall[1])
                refused = sequence in lies.reject or sequence in lies.reject_and_deliver
                if sequence not in lies.reject and sequence not in lies.swallow:
                    self._store(channel, message)
                if sequence not in lies.silent and sequence not in lies.swallow:
                    outcomes.append((sequence, int(Outcome.REJECTED if refused else Outcome.ACKNOWLEDGED)))
            peer.send(("outcomes", outcomes))

    def _store(self, channel: str, message: _Stored) -> None:
        with self._lock:
            readers = [reader for (name, _), reader in self._readers.items() if name == channel]
        for reader in readers:
            reader.offer(message, self.lies)

    def _reader(self, channel: str, spec: ReaderSpec, topics: tuple[str, ...]) -> _Reader:
        with self._lock:
            return self._readers.setdefault((channel, spec.name), _Reader(spec, topics))

    def _serve_subscriber(
        self, peer: _Peer, channel: str, spec: ReaderSpec, topics: tuple[str, ...], member: int
    ) -> None:
        reader = self._reader(channel, spec, topics)
        peer.send(("ready",))
        reader.join(member, peer)
        try:
            while True:
                accepted, failed = peer.connection.recv()
                reader.acknowledge(accepted)
                reader.fail(failed, self.lies)
        finally:
            reader.leave(member, peer)

    def _serve_admin(self, peer: _Peer) -> None:
        while True:
            what, *rest = peer.connection.recv()
            if what == "provision":
                for channel, spec, topics in rest[0]:
                    self._reader(channel, spec, topics)
                peer.send(True)
            elif what == "remove":
                with self._lock:
                    self._readers.clear()
                peer.send(True)
            else:
                peer.send(self.backlog())
