"""A disk and consumers for the pure rules: a log in memory, flow owners that note what they are sent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from crep.solace_emulator.core import configuration
from crep.solace_emulator.core.broker import Broker
from crep.solace_emulator.core.client import Client
from crep.solace_emulator.core.entry import Entry
from crep.solace_emulator.core.flow import ConsumerFlow
from crep.solace_emulator.core.log import ConfigDeleted, ConfigSet, Placed, Record, decode
from crep.solace_emulator.core.publisher import PublisherFlow
from crep.solace_emulator.core.queue import Queue
from crep.solace_emulator.core.recovery import Place, RecoveryLog, recover
from crep.solace_emulator.core.refusal import Refused
from crep.solace_emulator.core.settings import QueueSettings
from crep.solace_emulator.core.vpn import Vpn
from crep.solace_emulator.smf import message as smf_message
from crep.solace_emulator.smf.frame import DELIVERY_MODE, FLAG_DMQ_ELIGIBLE, TIME_TO_LIVE, TOPIC, VERSION, parameter


@dataclass
class MemoryLog:
    """A log in memory. Not ``automatic``: only :meth:`sync` makes records durable."""

    records: list[bytes] = field(default_factory=list)
    durable: int = 0
    segment: int = 1
    automatic: bool = True

    @property
    def position(self) -> int:
        """Records appended."""
        return len(self.records)

    def append(self, record: bytes, holder: Placed | None = None) -> int:
        """Append a record."""
        self.records.append(record)
        if holder is not None:
            holder.placed(self.position)
        if self.automatic:
            self.durable = self.position
        return self.position

    def commit(self) -> None:
        """Do nothing: the test plays the disk."""

    def read(self, _: int, offset: int, least: int) -> bytes:
        """Return a record: its offset is its number, from 1."""
        found = self.records[offset - 1]
        assert len(found) >= least
        return found

    def replayed(self) -> Iterator[tuple[Place, Record]]:
        """What a restart would read."""
        return (((1, offset), decode(record)) for offset, record in enumerate(self.records, 1))


@dataclass
class Consumer:
    """Owner of flows. ``sent`` notes (payload, redelivered, delivery id)."""

    client_name: str = "consumer"
    sent: list[tuple[str, bool, int]] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    activated: int = 0
    room: bool = True

    def can_take(self) -> bool:
        """Whether the egress buffer has room."""
        return self.room

    def deliver(self, _: ConsumerFlow, entry: Entry, delivery_id: int) -> None:
        """Note a delivery."""
        self.sent.append((entry.spooled.message.body.decode("latin-1"), entry.redelivered, delivery_id))

    def flow_activity(self, _: ConsumerFlow) -> None:
        """Note an activation."""
        self.activated += 1

    def flow_ended(self, _: ConsumerFlow, refusal: Refused) -> None:
        """Note an end."""
        self.ended.append(refusal.text)

    @property
    def payloads(self) -> list[str]:
        """What was sent, in order."""
        return [payload for payload, _, _ in self.sent]


@dataclass
class Acknowledged:
    """Owner of publisher flows. ``told`` notes (last id, text of the refusal)."""

    told: list[tuple[int, str]] = field(default_factory=list)

    def acknowledge(self, _: PublisherFlow, last: int, refusal: Refused | None) -> None:
        """Note an acknowledge."""
        self.told.append((last, refusal.text if refusal is not None else ""))


@dataclass
class NoOutlet:
    """A client's outlet that takes everything."""

    frames: list[bytes] = field(default_factory=list)

    def send_direct(self, frame: bytes) -> bool:
        """Note a frame."""
        self.frames.append(frame)
        return True

    def disconnect(self, _: str) -> None:
        """Do nothing."""


class World:
    """A broker in its factory state over a memory log, with a clock that the test sets."""

    def __init__(self, log: MemoryLog | None = None) -> None:
        self.now = 1_000_000
        self.log = log or MemoryLog()
        replay = RecoveryLog(self.log.read)
        self.broker = Broker(replay, lambda: self.now, lambda: None, router="test")
        self.recovered = recover(self.broker, replay, list(self.log.replayed()))
        self.broker.start(self.log)
        self.publisher = Client("publisher", "default", "default", "default", "127.0.0.1:1", NoOutlet(), 0)

    @property
    def vpn(self) -> Vpn:
        """The VPN ``default``."""
        return self.broker.vpns["default"]

    def queue(self, name: str, *subscriptions: str, **settings: object) -> Queue:
        """Make an open queue with subscriptions."""
        opened = {"ingress_enabled": True, "egress_enabled": True, "permission": "delete"}
        values = QueueSettings(**(opened | settings))  # type: ignore[arg-type]
        queue = configuration.create_queue(self.broker, self.vpn, name, values, durable=True, managed=True)
        for subscription in subscriptions:
            configuration.subscribe_queue(self.broker, self.vpn, queue, subscription)
        return queue

    def publish(
        self, topic: str, *payloads: str, flow: PublisherFlow | None = None, ttl: int = 0, eligible: bool = True
    ) -> None:
        """Publish guaranteed messages, through a flow of their own if none is given."""
        flow = flow or self.broker.open_publisher(self.vpn)
        for payload in payloads:
            self.publish_id(flow, flow.last + 1, message(topic, payload, ttl=ttl, eligible=eligible))
        self.broker.work()

    def publish_id(self, flow: PublisherFlow, message_id: int, published: smf_message.Message) -> None:
        """Publish one message under an id, as a session does."""
        refusal: Refused | None = None
        try:
            self.vpn.publish_guaranteed(self.publisher, published, flow, message_id)
        except Refused as refused:
            refusal = refused
        self.broker.outcome(flow, message_id, refusal)

    def bind(
        self, queue: Queue, owner: Consumer, *, window: int = 255, received: int | None = None, browser: bool = False
    ) -> ConsumerFlow:
        """Bind a flow and open its window."""
        queue.check_bind("default", browser=browser)
        flow = ConsumerFlow(owner, queue, self.broker.next_number(), browser=browser, now_ms=self.now)
        flow.active = queue.attach(flow, received)
        flow.transport_ack(received, window)
        self.broker.work()
        return flow

    def sync(self) -> None:
        """Make everything durable and do what waited for it."""
        self.log.durable = self.log.position
        self.broker.on_durable()
        self.broker.work()

    def restarted(self) -> World:
        """A broker started on the same journal: a crash, since nobody said a last word."""
        return World(MemoryLog(list(self.log.records), durable=len(self.log.records)))

    def configure(self, change: ConfigSet | ConfigDeleted) -> None:
        """Apply a change."""
        configuration.configure(self.broker, change)
        self.broker.work()


def message(topic: str, payload: str, *, ttl: int = 0, eligible: bool = True) -> smf_message.Message:
    """A guaranteed message as it is stored."""
    kept = parameter(TOPIC, topic.encode() + b"\0") + parameter(DELIVERY_MODE, b"\x01")
    if ttl:
        kept += parameter(TIME_TO_LIVE, ttl.to_bytes(8, "big"))
    flags = VERSION | (FLAG_DMQ_ELIGIBLE if eligible else 0)
    return smf_message.restore(flags, 0, kept, payload.encode())
