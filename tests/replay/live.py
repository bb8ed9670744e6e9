"""Brokers for captures and replays: places of a test's own, filled with numbered messages, and read back."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka.admin import AdminClient, NewTopic

from crep.harness.brokers.contract import Endpoint, Message, Outcome
from crep.harness.brokers.registry import adapter
from crep.harness.brokers.solace.semp import Semp, path_of
from crep.harness.brokers.streams import SinkSpec
from crep.replay.archive import Archive, Rolling
from crep.replay.capture import Capture
from crep.replay.capturing import CaptureLimits, CaptureOrigin, open_capture
from crep.replay.selection import Reader, Selection
from crep.replay.stored import Stored

KEYS = 50
IDLE = "20 s"


@dataclass(frozen=True)
class Place:
    """Where a test's messages lie: a Kafka topic, or a Solace queue with a topic of its own."""

    endpoint: Endpoint
    name: str

    @property
    def topic(self) -> str:
        """What is sent to."""
        return self.name if self.endpoint.system == "kafka" else f"{self.name}/orders/new"

    def origin(self) -> CaptureOrigin:
        """What is captured."""
        if self.endpoint.system == "kafka":
            return CaptureOrigin(target="here", topics=(self.name,))
        return CaptureOrigin(target="here", queue=self.name)


@contextmanager
def place(endpoint: Endpoint, partitions: int = 3) -> Iterator[Place]:
    """A place that is removed again."""
    name = f"replay-{uuid.uuid4().hex[:12]}"
    if endpoint.system == "kafka":
        admin = AdminClient({"bootstrap.servers": endpoint.bootstrap})
        admin.create_topics([NewTopic(name, partitions, 1)])[name].result(20)
        try:
            yield Place(endpoint, name)
        finally:
            admin.delete_topics([name])[name].result(20)
        return
    semp, vpn = Semp(endpoint), path_of("msgVpns", endpoint.vpn)
    body = {"queueName": name, "permission": "consume", "ingressEnabled": True, "egressEnabled": True}
    semp.post(f"config/{vpn}/queues", body)
    try:
        semp.post(f"config/{vpn}/queues/{name}/subscriptions", {"subscriptionTopic": f"{name}/>"})
        yield Place(endpoint, name)
    finally:
        semp.delete(f"config/{vpn}/queues/{name}")
        semp.close()


def order(topic: str, number: int) -> Message:
    """Message ``number``, with everything that a message may have."""
    return Message(
        topic,
        b"order %d" % number,
        key=f"customer-{number % KEYS}",
        properties={"n": number, "region": "eu" if number % 2 else "us", "raw": b"\x00\xff"},
        message_id=f"m-{number}",
        correlation_id="c-1",
        content_type="text/plain",
    )


def fill(at: Place, numbers: Sequence[int]) -> None:
    """Publish orders; all of them are acknowledged."""
    sink = adapter(at.endpoint.system).sink(SinkSpec(at.endpoint, "replay-filler"))
    sink.open()
    try:
        acknowledged = 0
        for number in numbers:
            while not sink.send(order(at.topic, number), number):
                acknowledged += _counted(sink.poll(0.01))
        acknowledged += _counted(sink.drain(30))
        assert acknowledged == len(numbers)
    finally:
        sink.close()


def _counted(outcomes: Sequence[Any]) -> int:
    assert all(one.outcome is Outcome.ACKNOWLEDGED for one in outcomes)
    return len(outcomes)


def capturing(
    at: Place, folder: Path, limit: int | None, rolling: Rolling | None = None, idle: str = IDLE
) -> tuple[Capture, Archive]:
    """A capture of a place, that ends after ``limit`` messages or some time without any."""
    limits = CaptureLimits.model_validate({"limit": limit, "idle": idle})
    return open_capture(at.origin(), limits, lambda _: at.endpoint, folder, rolling=rolling)


def capture(
    at: Place, folder: Path, limit: int | None = None, rolling: Rolling | None = None, idle: str = IDLE
) -> list[Stored]:
    """Capture; all that the archive then holds."""
    running, _ = capturing(at, folder, limit, rolling, idle)
    running.run(lambda: False)
    return stored(folder)


def stored(folder: Path) -> list[Stored]:
    """All that an archive holds."""
    with Reader(folder) as reader:
        return list(reader.messages(Selection()))


def numbers_by_key(messages: Sequence[Stored]) -> dict[object, list[int]]:
    """Each key's numbers, in the order in which they came first."""
    found: dict[object, dict[int, None]] = {}
    for one in messages:
        found.setdefault(one.message.key, {})[int(str(one.message.properties["n"]))] = None
    return {key: list(numbers) for key, numbers in found.items()}
