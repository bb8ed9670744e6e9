"""Rebuild a broker from its journal's records."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from . import configuration
from . import log as records
from .broker import Broker
from .entry import SpooledMessage
from .publisher import PublisherFlow

Place: TypeAlias = tuple[int, int]
"""Where a record lies in the journal: segment, and offset in bytes."""


@dataclass(slots=True)
class RecoveryLog:
    """The log of a broker while it is rebuilt: nothing is written again; everything there is durable.

    ``reader`` reads a record back for rules that have to look into a message, such as for the key of its partition.
    ``damaged`` is set by who reads the journal and finds a part that cannot be read.
    """

    reader: Callable[[int, int, int], bytes]
    segment: int = 0
    durable: int = 0
    position: int = 0
    damaged: bool = False

    def on_damage(self) -> None:
        """A part of the journal cannot be read."""
        self.damaged = True

    def append(self, _: bytes, holder: records.Placed | None = None) -> int:
        """Ignore what the rules would write: it stands in the journal already."""
        return 0

    def commit(self) -> None:
        """Do nothing."""

    def read(self, segment: int, offset: int, least: int) -> bytes:
        """Return a record that was read before."""
        return self.reader(segment, offset, least)


@dataclass(slots=True)
class _Delivery:
    """What is known about deliveries before the stop."""

    clean: bool
    counts: dict[tuple[int, int], int]


def recover(broker: Broker, log: RecoveryLog, replayed: Iterable[tuple[Place, records.Record]]) -> int:
    """Apply the records, each with its place, oldest first; return the number of messages that are there again.

    No message stays in memory: all are read back from their places when their turn comes.

    Messages that were in a queue when the broker did not stop in order are flagged as redelivered, delivered or not:
    the flag says that a message *may* have been seen before. So are they behind damage, where acknowledges may be lost.
    """
    delivery = _Delivery(clean=False, counts={})
    named: set[tuple[str, tuple[str, ...]]] = set()
    known: dict[int, SpooledMessage] = {}
    for place, record in replayed:
        log.segment = place[0]
        _apply(broker, record, place, known)
        if isinstance(record, records.SnapshotBegins):
            named.clear()
        elif isinstance(record, records.ConfigSet):
            named.add((record.kind, record.path))
        elif isinstance(record, records.SnapshotEnds):
            configuration.forget_all_but(broker, named)
        if isinstance(record, records.Delivered):
            delivery.counts.update({(record.queue, message_id): count for message_id, count in record.counts})
        elif isinstance(record, records.CleanStop):
            delivery.clean = True
        elif delivery.clean or delivery.counts:
            delivery.clean, delivery.counts = False, {}
    known.clear()  # it may be large, and what follows takes memory for a moment
    known_exactly = delivery.clean and not log.damaged
    for number, (_, queue) in broker.queues_by_number.items():
        for entry in queue.reorder():
            queue.restore_delivery(entry.id, delivery.counts.get((number, entry.id), 0) if known_exactly else None)
    for _, replay_log in broker.replay_logs_by_number.values():
        replay_log.reorder()
    return sum(vpn.spooled_count for vpn in broker.vpns.values())


def _apply(broker: Broker, record: records.Record, place: Place, known: dict[int, SpooledMessage]) -> None:
    match record:
        case records.Spooled():
            _restore_message(broker, record, place, known)
        case records.Removed():
            holder = broker.holder(record.queue)
            if holder is not None:
                holder[1].forget(record.message_ids)
        case records.Added():
            _restore_hold(broker, record)
        case records.ConfigSet() | records.ConfigDeleted():
            configuration.apply(broker, record)
        case records.PublisherState():
            flow = PublisherFlow(record.vpn, record.name, record.flow, record.last)
            flow.refused = dict.fromkeys(record.refused)
            broker.publishers[record.flow] = flow
            broker.reserve(number=record.flow)
        case records.PublisherClosed():
            broker.publishers.pop(record.flow, None)
        case records.MessageRefused():
            if record.flow in broker.publishers:
                broker.publishers[record.flow].restore(record.publisher_message_id, refused=True)
        case records.Counters():
            broker.reserve(record.next_message - 1, record.next_number - 1, record.next_delivery)
        case records.Delivered() | records.CleanStop() | records.SnapshotBegins() | records.SnapshotEnds():
            pass  # the caller's business: what they mean depends on the records around them


def _restore_message(broker: Broker, record: records.Spooled, place: Place, known: dict[int, SpooledMessage]) -> None:
    if record.flow in broker.publishers:
        broker.publishers[record.flow].restore(record.publisher_message_id, refused=False)
    broker.reserve(record.message_id)
    former = known.get(record.message_id)
    if former is not None and former.queues:  # written again by a compaction
        broker.live.move(former, place[0])
        former.placed(place[1])
        return
    holders = [holder for number in record.queues if (holder := broker.holder(number)) is not None]
    queues = broker.share(tuple([holder.number for _, holder in holders]))
    if not holders:
        return
    spooled = SpooledMessage(
        record.message_id,
        None,
        queues,
        broker.bodies,
        size=len(record.kept) + len(record.body),
        flags=record.flags,
        segment=place[0],
        spooled_at_ms=broker.moment(record.spooled_at_ms),
        expires=record.expires,
    )
    known[record.message_id] = spooled
    spooled.placed(place[1])
    broker.live.add(spooled)
    holders[0][0].holds(spooled)
    for _, each in holders:
        each.spool(spooled)
    spooled.evict()


def _restore_hold(broker: Broker, record: records.Added) -> None:
    """A replay: messages of the replay log are a queue's again. One that is not there is written again further on."""
    if record.queue not in broker.queues_by_number:
        return
    vpn, queue = broker.queues_by_number[record.queue]
    if vpn.replay_log is not None:
        found = [vpn.replay_log.find(message_id) for message_id in record.message_ids]
        queue.hold([logged for logged in found if logged and queue.number not in logged.spooled.queues])
