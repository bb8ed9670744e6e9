"""A broker that can be told to lie: in this process, on a loopback socket, so that real engine processes can use it.

::

    with LyingBroker(Lies(drop={7}, double={9})) as broker:
        spec = PublisherSpec(endpoint=broker.endpoint, …)    # endpoint.system names ``LyingAdapter`` by import path
        …
        broker.backlog()                                     # {"orders.billing": 0}

An honest one (``Lies()``) acknowledges, keeps the order, gives a key to one member of a group, a message to the first
connected member of an exclusive reader, redelivers (flagged) what a vanished member had not acknowledged, and counts
what is not acknowledged as backlog. Child processes must be able to import ``tests.fakes.lying_broker``: put the
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
from multiprocessing.connection import Client, Connection, Listener
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crep.harness.brokers.contract import (
    CAPABILITIES,
    REDELIVERED_NO,
    REDELIVERED_YES,
    Batch,
    BrokerError,
    Capability,
    ChannelSpec,
    ClientEvent,
    Deliveries,
    Endpoint,
    Facts,
    MappingFile,
    NotSupported,
    Observation,
    Outcome,
    Outcomes,
    Provisioned,
    PublisherSpec,
    ReaderSpec,
    ReaderState,
    SubscriberSpec,
)
from crep.harness.brokers.dead_letters import DeadLetter
from crep.harness.brokers.operator import Operator
from crep.harness.scenario.topics import selection

SYSTEM = "tests.fakes.lying_broker:LyingAdapter"
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


class _Link:
    """The client's side of a connection. Losing it raises BrokerError: this broker is not one to reconnect to."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._address = endpoint.bootstrap or ""
        self._connection: Connection | None = None
        self.events: list[ClientEvent] = []

    def open(self, *hello: Any) -> None:
        host, _, port = self._address.rpartition(":")
        try:
            self._connection = Client((host, int(port)))
            self.send(hello)
        except OSError as error:
            raise BrokerError(f"no lying broker at {self._address}: {error}") from error

    def send(self, message: Any) -> None:
        assert self._connection is not None
        try:
            self._connection.send(message)
        except OSError as error:
            raise self._lost() from error

    def receive(self, timeout_s: float) -> Any:
        """The next message, None after the timeout."""
        assert self._connection is not None
        try:
            while self._connection.poll(timeout_s):
                message = self._connection.recv()
                if not (isinstance(message, tuple) and message[0] == "event"):
                    return message
                self.events.append(ClientEvent(time.monotonic_ns(), *message[1:]))
        except (EOFError, OSError) as error:
            raise self._lost() from error
        return None

    def expect(self, timeout_s: float) -> Any:
        message = self.receive(timeout_s)
        if message is None:
            raise BrokerError(f"the lying broker at {self._address} did not answer within {timeout_s:.0f} s")
        return message

    def take_events(self) -> list[ClientEvent]:
        events, self.events = self.events, []
        return events

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _lost(self) -> BrokerError:
        return BrokerError(f"the lying broker at {self._address} hung up")


class LyingPublisher:
    """Keeps at most ``settings["window"]`` (500) messages without an outcome; these must fit into a socket's buffer."""

    def __init__(self, spec: PublisherSpec) -> None:
        self._spec, self._link = spec, _Link(spec.endpoint)
        self._window = int(spec.settings.get("window", 500))
        self._open: set[int] = set()

    def open(self) -> None:
        self._link.open("publisher", self._spec.channel)
        self._link.expect(10)

    def send_batch(self, batch: Batch, start: int) -> int:
        room = slice(start, start + self._window - len(self._open))
        sequence = batch.sequence[room].tolist()
        if not sequence:
            return 0
        stamps = [None] * len(sequence) if batch.stamps is None else batch.stamps[room]
        columns = (sequence, batch.topic[room].tolist(), batch.key[room].tolist(), batch.bodies[room], stamps)
        self._link.send(list(zip(*columns, strict=True)))
        if self._spec.guaranteed:
            self._open.update(sequence)
        return len(sequence)

    def poll(self, timeout_s: float) -> Outcomes:
        found: list[tuple[int, int]] = []
        while (message := self._link.receive(0.0 if found else timeout_s)) is not None:
            found += message[1]
        reasons = {sequence: "refused by order" for sequence, outcome in found if outcome == Outcome.REJECTED}
        self._open.difference_update(sequence for sequence, _ in found)
        kind = [outcome if self._spec.guaranteed else int(Outcome.SENT) for _, outcome in found]
        at_ns = np.full(len(found), time.monotonic_ns(), np.int64)
        numbers = np.array([sequence for sequence, _ in found], np.uint64)
        return Outcomes(numbers, np.array(kind, np.uint8), at_ns, reasons)

    def drain(self, timeout_s: float) -> Outcomes:
        deadline = time.monotonic() + timeout_s
        outcomes = self.poll(timeout_s if self._open else 0.0)
        while self._open and not len(outcomes.sequence) and (left := deadline - time.monotonic()) > 0:
            outcomes = self.poll(left)
        return outcomes

    def events(self) -> list[ClientEvent]:
        return self._link.take_events()

    def effective_settings(self) -> dict[str, str]:
        return {"window": str(self._window)}

    def close(self) -> None:
        self._link.close()


class LyingSubscriber:
    """Acknowledges when told; ``settings["acknowledge"]`` False: never."""

    def __init__(self, spec: SubscriberSpec) -> None:
        self._spec, self._link = spec, _Link(spec.endpoint)
        self._acknowledges = bool(spec.settings.get("acknowledge", True))

    def open(self) -> None:
        topics = tuple(self._spec.objects["topics"])
        self._link.open("subscriber", self._spec.channel, self._spec.reader, topics, self._spec.member)

    def ready(self, timeout_s: float) -> None:
        self._link.expect(timeout_s)

    def receive(self, max_messages: int, timeout_s: float) -> Deliveries:
        found: list[tuple[int, bytes, bytes | None, int]] = []
        times: list[int] = []
        while len(found) < max_messages and (message := self._link.receive(0.0 if found else timeout_s)) is not None:
            found.append(message)
            times.append(time.monotonic_ns())
        carried = self._spec.stamp_property is not None
        return Deliveries(
            bodies=[body for _, body, _, _ in found],
            stamps=[stamp or b"" for _, _, stamp, _ in found] if carried else None,
            received_ns=np.array(times, np.int64),
            redelivered=np.array([flag for *_, flag in found], np.uint8),
            token=[delivery for delivery, *_ in found],
        )

    def tend(self) -> None:
        return

    def acknowledge(self, deliveries: Deliveries) -> None:
        if self._acknowledges and self._spec.reader.delivery == "at-least-once":
            self._link.send((deliveries.token, []))

    def settle(self, deliveries: Deliveries, failed: NDArray[np.intp]) -> None:
        assert isinstance(deliveries.token, list)
        places = set(failed.tolist())
        accepted = [one for place, one in enumerate(deliveries.token) if place not in places]
        self._link.send((accepted, [deliveries.token[place] for place in failed.tolist()]))

    def events(self) -> list[ClientEvent]:
        return self._link.take_events()

    def effective_settings(self) -> dict[str, str]:
        return {"acknowledge": str(self._acknowledges).lower()}

    def close(self) -> None:
        self._link.close()


class LyingAdmin:
    """Provisions readers, so that they miss nothing before they connect, and observes their backlog."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._link = _Link(endpoint)
        self._link.open("admin")

    def _ask(self, *question: Any) -> Any:
        self._link.send(question)
        return self._link.expect(10)

    def provision(self, run_id: str, channels: Sequence[ChannelSpec], mapping: MappingFile) -> Provisioned:
        self._ask("provision", [(c.name, reader, c.topics) for c in channels for reader in c.readers])
        return Provisioned(
            run_id=run_id,
            mapping=mapping.name,
            objects={channel.name: {"topics": list(channel.topics)} for channel in channels},
            durability={channel.name: {"copies": 1, "sync": "none", "known": "configured"} for channel in channels},
        )

    def remove(self, provisioned: Provisioned) -> None:
        self._ask("remove")

    def observe(self, provisioned: Provisioned) -> Observation:
        backlog = self._ask("backlog")
        readers = {name: ReaderState(count, None, None, None) for name, count in backlog.items()}
        return Observation(time.monotonic_ns(), readers, {})

    def in_step(self, provisioned: Provisioned) -> bool:
        return True

    def facts(self) -> Facts:
        return Facts("lying broker", "1", None, "mock", "it says so itself", {}, {}, "none")

    def capabilities(self) -> Mapping[str, Capability]:
        return {name: Capability("none", "a fake has none") for name in CAPABILITIES}

    def operator(self, provisioned: Provisioned) -> Operator:
        raise NotSupported("nobody administers the lying broker")

    def close(self) -> None:
        self._link.close()


class LyingAdapter:
    """``registry.adapter(SYSTEM)``."""

    system = SYSTEM

    def admin(self, endpoint: Endpoint) -> LyingAdmin:
        return LyingAdmin(endpoint)

    def publisher(self, spec: PublisherSpec) -> LyingPublisher:
        return LyingPublisher(spec)

    def subscriber(self, spec: SubscriberSpec) -> LyingSubscriber:
        return LyingSubscriber(spec)

    def messages(self, *_: object) -> Any:
        raise NotSupported("the lying broker carries load only")

    def inspect(self, *_: object) -> Any:
        raise NotSupported("the lying broker cannot be looked into")
