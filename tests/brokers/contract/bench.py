"""Drives an adapter as the engines do: one provisioned channel, publishers, members that receive without a pause."""

from __future__ import annotations

import os
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np

from crep.harness.brokers.contract import (
    Adapter,
    Admin,
    Batch,
    BulkPublisher,
    BulkSubscriber,
    ChannelSpec,
    Deliveries,
    Durability,
    Endpoint,
    MappingFile,
    Message,
    Messages,
    Outcomes,
    Provisioned,
    PublisherSpec,
    ReaderSpec,
    SubscriberSpec,
)
from crep.harness.deployment import Deployment

CHANNEL = "orders"
TOPICS = ("orders/eu/new", "orders/eu/paid", "orders/us/new")
KEYS = 12
RECONNECT_S = 60.0
FULL = Message(
    "orders/eu/new",
    b"\x00payload\xff",
    key="7",
    properties={"text": "ä", "count": 3, "ratio": 0.5, "flag": True, "raw": b"\x01\x00\x02"},
    message_id="m-1",
    correlation_id="c-1",
    reply_to="replies",
    content_type="application/json",
)
"""A message with everything."""


def reader(name: str, **changes: object) -> ReaderSpec:
    """A group reader of one member, at least once, unless changed."""
    return replace(ReaderSpec(name, "group", 1, "at-least-once"), **changes)  # type: ignore[arg-type]


def bodies(sequences: Sequence[int], size: int = 100) -> list[bytes]:
    return [number.to_bytes(8, "big") + bytes(size - 8) for number in sequences]


def numbers(received: Sequence[bytes]) -> list[int]:
    return [int.from_bytes(body[:8], "big") for body in received]


def batch(first: int, count: int, size: int = 100, *, stamps: bool = False) -> Batch:
    """Key = number modulo KEYS, topic = key modulo the number of topics."""
    sequences = range(first, first + count)
    keys = np.arange(first, first + count) % KEYS
    return Batch(
        np.array(sequences, dtype=np.uint64),
        bodies(sequences, size),
        (keys % len(TOPICS)).astype(np.uint32),
        keys.astype(np.uint32),
        [stamp(number) for number in sequences] if stamps else None,
    )


def stamp(number: int) -> bytes:
    """As a real one is: with zeros in it."""
    return b"stamp\0\0\xff" + number.to_bytes(8, "little")


def topic_of(number: int) -> str:
    return TOPICS[number % KEYS % len(TOPICS)]


def send_all(publisher: BulkPublisher, messages: Batch, timeout_s: float = 30.0) -> dict[int, int]:
    """Offer until everything is taken, drain; the outcome of each sequence. A second outcome fails the test."""
    outcomes: dict[int, int] = {}

    def note(some: Outcomes) -> None:
        assert len(some.sequence) == len(some.outcome) == len(some.at_ns)
        for sequence, outcome in zip(some.sequence.tolist(), some.outcome.tolist(), strict=True):
            assert sequence not in outcomes, f"message {sequence} got a second outcome"
            outcomes[sequence] = outcome

    start, deadline = 0, time.monotonic() + timeout_s
    while start < len(messages.sequence):
        assert time.monotonic() < deadline, f"only {start} messages were taken"
        taken = publisher.send_batch(messages, start)
        start += taken
        note(publisher.poll(0.0 if taken else 0.005))
    note(publisher.drain(timeout_s))
    return outcomes


@dataclass
class Member:
    """A subscriber that is driven as an engine drives it: from `ready` on it receives without a pause."""

    subscriber: BulkSubscriber
    acknowledging: bool = True
    poison: frozenset[int] = frozenset()  # numbers that it cannot process
    received: list[bytes] = field(default_factory=list)
    stamps: list[bytes] = field(default_factory=list)
    redelivered: list[int] = field(default_factory=list)
    failure: Exception | None = None

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.subscriber.open()
            self.subscriber.ready(30.0)
            self._ready.set()
            while not self._stop.is_set():
                self._take(self.subscriber.receive(500, 0.05))
        except Exception as error:  # noqa: BLE001 - handed to the test by `ready` and `close`
            self.failure = error
            self._ready.set()
        finally:
            self.subscriber.close()  # a client is used by one thread

    def _take(self, deliveries: Deliveries) -> None:
        assert len(deliveries) == len(deliveries.received_ns) == len(deliveries.redelivered)
        if self.poison:
            failed = [place for place, number in enumerate(numbers(deliveries.bodies)) if number in self.poison]
            if failed:
                time.sleep(0.02)  # as it takes to try
            self.subscriber.settle(deliveries, np.array(failed, np.intp))
        elif self.acknowledging:
            self.subscriber.acknowledge(deliveries)
        self.stamps += deliveries.stamps or []
        self.redelivered += deliveries.redelivered.tolist()
        self.received += deliveries.bodies

    def ready(self) -> Member:
        assert self._ready.wait(40.0), "not ready"
        if self.failure is not None:
            raise self.failure
        return self

    def close(self) -> None:
        self._stop.set()
        self._thread.join(30.0)
        assert not self._thread.is_alive(), "the subscriber does not end"
        if self.failure is not None:
            raise self.failure


def eventually(what: Callable[[], bool], within_s: float = 15.0) -> None:
    """Wait until it is so; one more look at the end decides."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline and not what():
        time.sleep(0.05)
    assert what()


@contextmanager
def paused(deployment: Deployment) -> Iterator[None]:
    """The broker's process stands still: it neither reads nor answers."""
    pid = deployment.node_pid(deployment.nodes[0])
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def as_dict(some: Outcomes) -> dict[int, int]:
    return dict(zip(some.sequence.tolist(), some.outcome.tolist(), strict=True))


class Bench:
    """One provisioned channel with its clients; closes and removes all of it."""

    def __init__(self, broker: Adapter, endpoint: Endpoint, admin: Admin, mapping: MappingFile) -> None:
        self.broker, self.endpoint, self.admin, self.mapping = broker, endpoint, admin, mapping
        self.run_id = f"t{uuid.uuid4().hex[:10]}"
        self.channel = ChannelSpec(CHANNEL, TOPICS, KEYS, (), Durability(1, "disk"))
        self.provisioned: Provisioned | None = None
        self._publishers: list[BulkPublisher] = []
        self._members: list[Member] = []
        self._closing: list[Callable[[], None]] = []

    def provision(self, *readers: ReaderSpec, durability: Durability | None = None) -> Provisioned:
        self.channel = replace(self.channel, readers=readers, durability=durability or self.channel.durability)
        self.provisioned = self.admin.provision(self.run_id, [self.channel], self.mapping)
        return self.provisioned

    def _objects(self) -> dict[str, object]:
        assert self.provisioned is not None
        return self.provisioned.objects[CHANNEL]

    def publisher(
        self,
        guaranteed: bool = True,
        stamp_property: str | None = None,
        *,
        ttl_ms: int | None = None,
        properties: dict[str, str | int | float | bool] | None = None,
        **settings: object,
    ) -> BulkPublisher:
        publisher = self.broker.publisher(
            PublisherSpec(
                self.endpoint,
                f"{self.run_id}-p{len(self._publishers)}",
                CHANNEL,
                self._objects(),
                TOPICS,
                guaranteed,
                {**self.mapping.publisher, **settings},
                RECONNECT_S,
                stamp_property,
                ttl_ms,
                properties or {},
            )
        )
        self._publishers.append(publisher)
        publisher.open()
        assert publisher.effective_settings()
        return publisher

    def subscriber(self, name: str, member: int, stamp_property: str | None = None) -> BulkSubscriber:
        spec = next(known for known in self.channel.readers if known.name == name)
        return self.broker.subscriber(
            SubscriberSpec(
                self.endpoint,
                f"{self.run_id}-{name}-{member}",
                CHANNEL,
                spec,
                member,
                self._objects(),
                self.mapping.subscriber,
                RECONNECT_S,
                stamp_property,
            )
        )

    def member(
        self,
        name: str,
        member: int = 0,
        *,
        acknowledging: bool = True,
        stamp_property: str | None = None,
        poison: frozenset[int] = frozenset(),
    ) -> Member:
        running = Member(self.subscriber(name, member, stamp_property), acknowledging, poison)
        self._members.append(running)
        return running

    def close_member(self, member: Member) -> None:
        self._members.remove(member)
        member.close()

    def messages(self, provisioned: Provisioned) -> Messages:
        messages = self.broker.messages(self.endpoint, provisioned, self.channel.readers)
        self._closing.append(messages.close)
        return messages

    def close(self) -> None:
        for member in self._members:
            member.close()
        for publisher in self._publishers:
            publisher.close()
            publisher.close()
        for close in self._closing:
            close()
        if self.provisioned is not None:
            self.admin.remove(self.provisioned)
