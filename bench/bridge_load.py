"""What a bridge is measured with: orders of about 1 KiB, a table of customers, and fresh places on two brokers."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson
from confluent_kafka.admin import AdminClient, NewTopic

from bench.bare_forwarder import Between
from bench.brokers import KEYS, Broker
from crep.harness.brokers.contract import Endpoint, Message, Outcome, ReaderSpec
from crep.harness.brokers.kafka.client import connection
from crep.harness.brokers.registry import adapter
from crep.harness.brokers.streams import Sent, SinkSpec
from crep.harness.config.errors import EnvironmentFailure

REGIONS = ("eu", "us")
WHO = ("bridge", "bare")
PARTITIONS = 6
_TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
_KAFKA_WITHIN_S = 20
_LOAD_WITHIN_S = 120.0

BRIDGE = """\
bridge: bench
sites: {{from: {{target: from}}, to: {{target: to}}}}
lookups:
  customers: {{table: customers.csv, key: id}}
routes:
  orders:
    from: {place}
    to: {{site: to, topic: "{topic}{{region}}"}}
    dead_letters: {{site: to, topic: "{topic}eu"}}
    steps:
      - lookup: {{in: customers, by: customer_id, into: customer}}
"""


def order(number: int) -> bytes:
    """A document as an order service writes it."""
    lines = [{"sku": f"sku-{at}", "quantity": at + 1, "price": 9.99} for at in range(16)]
    document = {
        "order_id": f"o-{number}",
        "customer_id": number % KEYS,
        "region": REGIONS[number % len(REGIONS)],
        "type": "new",
        "currency": "EUR",
        "total": 1234.5 + number,
        "placed_at": "2026-11-30T12:00:00Z",
        "lines": lines,
        "note": "please deliver to the back door" * 3,
    }
    return orjson.dumps(document)


def message(topic: str, number: int) -> Message:
    """An order with a key, and a trace context as a property."""
    return Message(topic, order(number), key=str(number % KEYS), properties={"traceparent": _TRACE})


def write_customers(folder: Path) -> None:
    """The table that orders are enriched from."""
    rows = (f"{number},customer {number},gold,{REGIONS[number % 2]}" for number in range(KEYS))
    (folder / "customers.csv").write_text("\n".join(("id,name,tier,home", *rows)) + "\n")


def write_bridge(folder: Path, between: Between) -> Path:
    """A bridge file with one lookup and a topic template between two places, and its table."""
    write_customers(folder)
    place = (
        f"{{site: from, topic: {between.place}, group: {between.group}}}"
        if between.source.system == "kafka"
        else f"{{site: from, queue: {between.place}}}"
    )
    path = folder / "bridge.yaml"
    path.write_text(BRIDGE.format(place=place, topic=between.topic))
    return path


@dataclass(frozen=True)
class Place:
    """Where orders wait, both forwarders reading all of them, or where they go to.

    ``reads``: the queue or the topic of each forwarder. ``topic``: how the topic of an order begins.
    """

    broker: Broker
    reads: dict[str, str]
    topic: str

    def fill(self, count: int, rate: float | None = None) -> None:
        """Publish so many orders, each acknowledged, as fast as it goes or at a rate (messages/s).

        Raises:
            EnvironmentFailure: they were not within two minutes.
        """
        sink = adapter(self.broker.endpoint.system).sink(SinkSpec(self.broker.endpoint, "bench-load"))
        topic = next(iter(self.reads.values())) if self.broker.endpoint.system == "kafka" else f"{self.topic}eu"
        sink.open()
        try:
            begin = time.monotonic()
            deadline, acknowledged = begin + _LOAD_WITHIN_S, 0
            for number in range(count):
                while not sink.send(message(topic, number), number):
                    acknowledged += _acknowledged(sink.poll(0.01), deadline)
                if rate is not None and (early := begin + number / rate - time.monotonic()) > 0:
                    acknowledged += _acknowledged(sink.poll(early), deadline)
                elif number % 100 == 0:
                    acknowledged += _acknowledged(sink.poll(0.0), deadline)
            acknowledged += _acknowledged(sink.drain(_LOAD_WITHIN_S), deadline)
        finally:
            sink.close()
        if acknowledged != count:
            raise EnvironmentFailure(f"{acknowledged:,} of {count:,} orders were acknowledged by {self.broker.name}")


def _acknowledged(sent: list[Sent], deadline: float) -> int:
    if time.monotonic() > deadline:
        raise EnvironmentFailure("the orders to be forwarded cannot be published in time")
    return sum(one.outcome is Outcome.ACKNOWLEDGED for one in sent)


@contextmanager
def place(broker: Broker, readers: tuple[str, ...]) -> Iterator[Place]:
    """A fresh place: Kafka topics, or a Solace queue for each reader."""
    if broker.endpoint.system == "kafka":
        with _topics(broker.endpoint) as name:
            yield Place(broker, dict.fromkeys(readers, name), f"{name}.")
        return
    specs = tuple(ReaderSpec(reader, "group", 1, "at-least-once") for reader in readers)
    with broker.channel(specs) as channel:
        queues = channel.objects["queues"]
        names = {reader: str(queues[reader]["name"]) for reader in readers}
        yield Place(broker, names, f"{channel.objects['topic_prefix']}/orders/")


@contextmanager
def _topics(endpoint: Endpoint) -> Iterator[str]:
    """A topic to read from, and one below it for each region."""
    name = f"bench-bridge-{secrets.token_hex(4)}"
    names = [name, *(f"{name}.{region}" for region in REGIONS)]
    admin = AdminClient(connection(endpoint, "bench-bridge"))
    made = admin.create_topics([NewTopic(one, PARTITIONS) for one in names], request_timeout=_KAFKA_WITHIN_S)
    for future in made.values():
        future.result(_KAFKA_WITHIN_S)
    try:
        yield name
    finally:
        for future in admin.delete_topics(names, request_timeout=_KAFKA_WITHIN_S).values():
            future.result(_KAFKA_WITHIN_S)
