"""The clients of ``lying_broker``, honest themselves: the broker contract over its connections."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Client, Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crep.harness.brokers.contract import (
    CAPABILITIES,
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
    ReaderState,
    SubscriberSpec,
)
from crep.harness.brokers.operator import Operator
from tests.fakes.lying_broker import SYSTEM


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
