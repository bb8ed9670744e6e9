"""The broker: its message VPNs, its numbers, its spool, and their recovery from the journal."""

from __future__ import annotations

import logging
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from ..smf.message import Message
from . import configuration
from . import log as records
from .bodies import RESIDENT_BYTES, Bodies
from .entry import Entry, Live, SpooledMessage
from .log import Log, Unreadable, encode
from .publisher import PublisherFlow
from .queue import Queue
from .queue_stats import Burial
from .refusal import Refused, over_quota
from .replay import ReplayLog
from .vpn import Vpn

_IDS_RESERVED: Final = 10_000_000
_DETACHED_PUBLISHERS_KEPT: Final = 1000
_TEMPORARY_QUEUE_GRACE_MS: Final = 60_000
_COMBINATIONS_SHARED: Final = 10_000  # of queues that hold a message
_LOG: Final = logging.getLogger(__name__)


class Broker:
    """Everything that a broker knows. ``schedule`` asks the edge to call :meth:`work` soon.

    ``resident_bytes`` bounds the messages in memory.
    """

    def __init__(
        self,
        log: Log,
        now_ms: Callable[[], int],
        schedule: Callable[[], None],
        *,
        router: str,
        resident_bytes: int = RESIDENT_BYTES,
    ) -> None:
        self.log = log
        self.bodies = Bodies(log, resident_bytes)
        self._clock = now_ms
        self.router = router
        self.vpns: dict[str, Vpn] = {}
        self.publishers: dict[int, PublisherFlow] = {}
        self.queues_by_number: dict[int, tuple[Vpn, Queue]] = {}
        self.replay_logs_by_number: dict[int, tuple[Vpn, ReplayLog]] = {}
        self.spool_id = 0  # what replication group message ids begin with
        self.live = Live()
        self._shared: dict[tuple[int, ...], tuple[int, ...]] = {}
        self._moment = 0
        self._next_message = 1
        self._next_number = 1
        self._next_delivery = 0
        self._reserved_delivery = 0
        self._schedule = schedule
        self._woken: dict[Queue, None] = {}
        self._waiting: dict[Queue, None] = {}
        self._unsettled: dict[PublisherFlow, None] = {}
        self._promised: deque[tuple[int, Callable[[], None]]] = deque()  # position in the log, what follows it
        self._full_at: int | None = None  # position up to which records were written when the disk became full
        self._changed_while_full: dict[PublisherFlow, None] = {}

    def now_ms(self) -> int:
        """Return the time in milliseconds since 1970."""
        return self._clock()

    # -- numbers

    def next_number(self) -> int:
        """Return a number for a flow, queue or client, never used before."""
        self._next_number += 1
        return self._next_number - 1

    def next_delivery_id(self) -> int:
        """Return a delivery id higher than every earlier one.

        It starts from the clock in microseconds; the ceiling in the journal covers a clock that was set back.
        """
        delivery_id = self._next_delivery
        self._next_delivery += 1
        if delivery_id >= self._reserved_delivery:
            self._reserve_deliveries()
        return delivery_id

    def _reserve_deliveries(self) -> None:
        self._reserved_delivery = self._next_delivery + _IDS_RESERVED
        self.log.append(encode(self.counters()))
        self.log.commit()

    def counters(self) -> records.Counters:
        """Return what must not be used again."""
        return records.Counters(self._next_message, self._next_number, self._reserved_delivery)

    def reserve(self, message: int = 0, number: int = 0, delivery: int = 0) -> None:
        """Never give out these numbers again, nor lower ones: they were used before a restart."""
        self._next_message = max(self._next_message, message + 1)
        self._next_number = max(self._next_number, number + 1)
        self._next_delivery = max(self._next_delivery, delivery)

    def start(self, log: Log) -> None:
        """Begin to serve, with a log that can be written."""
        self.log = self.bodies.log = log
        self.reserve(delivery=self._clock() * 1000)
        self._reserve_deliveries()
        if not self.spool_id:
            configuration.name_spool(self, secrets.randbits(64))
        if not self.vpns:
            configuration.factory_state(self)

    # -- work

    def wake(self, queue: Queue) -> None:
        """Have a queue dispatched at the next :meth:`work`."""
        self._woken[queue] = None
        self._schedule()

    def work(self) -> None:
        """Tell clients what has become durable, and let woken queues deliver.

        Queues that are woken again meanwhile, or find that this turn has read enough, go on in the next turn.
        """
        self.bodies.begin_turn()
        for flow in list(self._unsettled):
            flow.tell(self.log.durable)
            if not flow.waiting:
                del self._unsettled[flow]
        while self._promised and self._promised[0][0] <= self.log.durable:
            self._promised.popleft()[1]()
        for _ in range(len(self._woken)):
            if not self.may_read:  # what is left stands before those that are woken again
                self._schedule()
                break
            queue = next(iter(self._woken))
            del self._woken[queue]
            queue.dispatch()

    def when_durable(self, follow: Callable[[], None]) -> None:
        """Have something done once everything up to here is durable, such as telling a client of it."""
        self.log.commit()
        self._promised.append((self.log.position, follow))
        self._schedule()

    def await_durable(self, queue: Queue) -> None:
        """Have a queue dispatched when more of the log is durable."""
        self._waiting[queue] = None

    def on_durable(self) -> None:
        """More of the log is durable: what waited for it goes on."""
        self._woken.update(self._waiting)
        self._waiting.clear()
        self._schedule()

    # -- a disk without space

    @property
    def disk_full(self) -> bool:
        """Nothing can be stored at present."""
        return self._full_at is not None

    def on_full(self, written: int, unwritten: Sequence[bytes]) -> list[bytes]:
        """Take back and refuse the messages that could not be written; return the records to keep.

        Kept are acknowledges, changes of the configuration and the moves to dead message queues: nobody else remembers
        them. A refused message's publisher does.
        """
        self._full_at = written
        kept: list[bytes] = []
        for encoded in unwritten:
            record = records.decode(encoded)
            if isinstance(record, records.Spooled) and record.flow in self.publishers:
                flow = self.publishers[record.flow]
                self._take_back(self.vpns.get(flow.vpn), record.message_id)
                flow.retract(record.publisher_message_id, over_quota())
                self._changed_while_full[flow] = None
            else:
                kept.append(encoded)
        for flow in self._unsettled:
            flow.hurry(written)
        self._schedule()
        return kept or [encode(self.counters())]

    @staticmethod
    def _take_back(vpn: Vpn | None, message_id: int) -> None:
        """From every queue: a replay may have given the message to more than its record names."""
        if vpn is None:  # deleted meanwhile, with all of it
            return
        for queue in vpn.queues.values():
            queue.take_back(message_id)
        if vpn.replay_log is not None:
            vpn.replay_log.take_back(message_id)

    def on_space(self) -> None:
        """There is space again: write down what the publishers have been told meanwhile."""
        self._full_at = None
        for flow in self._changed_while_full:
            if flow.number in self.publishers:
                self.log.append(encode(self._state(flow)))
        self._changed_while_full.clear()
        self.log.commit()

    def tick(self) -> None:
        """Do what falls due by time: expiry, and the end of temporary queues that nobody came back for."""
        now = self.now_ms()
        self.bodies.begin_turn()
        for vpn in self.vpns.values():
            for queue in list(vpn.queues.values()):
                queue.tick()
                if not queue.durable and not queue.flows and now - queue.last_detached_ms > _TEMPORARY_QUEUE_GRACE_MS:
                    configuration.delete_queue(self, vpn, queue)

    # -- spool

    def spool(
        self,
        vpn: Vpn,
        message: Message,
        holders: Sequence[Queue | ReplayLog],
        flow: PublisherFlow | None,
        publisher_message_id: int,
        *,
        expires: bool = True,
    ) -> None:
        """Write a message to the journal once and give it to those that hold it from now on."""
        spooled = SpooledMessage(
            self._next_message,
            message,
            self.share(tuple([holder.number for holder in holders])),
            self.bodies,
            size=message.size,
            flags=message.flags,
            segment=self.log.segment,
            spooled_at_ms=self.moment(self.now_ms()),
            expires=expires,
        )
        self._next_message += 1
        self._write(spooled, message, flow.number if flow is not None else 0, publisher_message_id)
        self.bodies.keep(spooled)
        self.live.add(spooled)
        vpn.holds(spooled)
        for holder in holders:
            holder.spool(spooled)

    def share(self, queues: tuple[int, ...]) -> tuple[int, ...]:
        """Return an equal tuple that other messages have as well: many messages, few combinations of queues."""
        if len(self._shared) > _COMBINATIONS_SHARED:
            self._shared.clear()
        return self._shared.setdefault(queues, queues)

    def moment(self, time_ms: int) -> int:
        """Return an equal number that the message before has as well, where there is one."""
        if time_ms != self._moment:
            self._moment = time_ms
        return self._moment

    def _write(self, spooled: SpooledMessage, message: Message, flow: int, publisher_message_id: int) -> None:
        record = records.Spooled(
            spooled.id,
            spooled.queues,
            flow,
            publisher_message_id,
            spooled.spooled_at_ms,
            spooled.expires,
            message.flags,
            message.cos,
            message.kept,
            message.body,
        )
        spooled.position = self.log.append(encode(record), spooled)
        self.log.commit()

    def holder(self, number: int) -> tuple[Vpn, Queue | ReplayLog] | None:
        """Return the queue or replay log with a number, and its message VPN; None when it is gone."""
        return self.queues_by_number.get(number) or self.replay_logs_by_number.get(number)

    def held_again(self, queue: Queue, spooled: SpooledMessage) -> None:
        """One more queue holds a message that is on the spool."""
        spooled.queues = self.share((*spooled.queues, queue.number))

    def released(self, number: int, spooled: SpooledMessage) -> None:
        """A queue or replay log (by number) holds the message no longer; without any it leaves the spool."""
        holder = self.holder(number)
        spooled.queues = self.share(tuple([other for other in spooled.queues if other != number]))
        if not spooled.queues and holder is not None:
            spooled.drop()
            self.live.remove(spooled)
            holder[0].released(spooled)

    @property
    def may_read(self) -> bool:
        """Whether messages may be read back from the journal in this turn."""
        return self.bodies.may_read

    def lose(self, spooled: SpooledMessage) -> None:
        """A message cannot be read back: take it from all that hold it."""
        for number in spooled.queues:
            holder = self.holder(number)
            if holder is not None:
                holder[1].forget((spooled.id,))

    def bury(self, queue: Queue, entry: Entry) -> Burial:
        """Move a dead message; see :meth:`.vpn.Vpn.bury`."""
        return self.queues_by_number[queue.number][0].bury(queue, entry)

    # -- publisher flows

    def open_publisher(self, vpn: Vpn) -> PublisherFlow:
        """Make a publisher flow."""
        number = self.next_number()
        flow = PublisherFlow(vpn.name, f"{self.router}/{self.now_ms():x}/{number}", number)
        self.publishers[number] = flow
        self.log.append(encode(self._state(flow)))
        self.log.commit()
        self._drop_old_publishers()
        return flow

    def find_publisher(self, vpn: Vpn, name: str) -> PublisherFlow | None:
        """Return the publisher flow with this name."""
        number = name.rpartition("/")[2]
        flow = self.publishers.get(int(number)) if number.isdecimal() and len(number) < 12 else None
        return flow if flow is not None and (flow.vpn, flow.name) == (vpn.name, name) else None

    def close_publisher(self, flow: PublisherFlow) -> None:
        """Forget a publisher flow."""
        del self.publishers[flow.number]
        self._unsettled.pop(flow, None)
        self.log.append(encode(records.PublisherClosed(flow.number)))

    def outcome(self, flow: PublisherFlow, message_id: int, refusal: Refused | None) -> None:
        """Note what became of a publisher's message; it is told once everything up to here is durable."""
        if self._full_at is not None:  # what nothing was stored for, or was stored long ago, waits for nothing
            self._changed_while_full[flow] = None
            flow.note(message_id, self._full_at, refusal)
        else:
            if refusal is not None:
                self.log.append(encode(records.MessageRefused(flow.number, message_id)))
            self.log.commit()
            flow.note(message_id, self.log.position, refusal)
        self._unsettled[flow] = None
        self._schedule()

    def _drop_old_publishers(self) -> None:
        detached = [flow for flow in self.publishers.values() if flow.owner is None]
        for flow in detached[:-_DETACHED_PUBLISHERS_KEPT]:
            self.close_publisher(flow)

    @staticmethod
    def _state(flow: PublisherFlow) -> records.PublisherState:
        return records.PublisherState(flow.vpn, flow.name, flow.number, flow.last, tuple(flow.refused))

    # -- recovery and compaction

    def snapshot(self) -> Iterable[bytes]:
        """Yield the records that say everything but the messages: they head each segment of the journal."""
        yield encode(records.SnapshotBegins())
        yield encode(self.counters())
        for record in configuration.snapshot(self):
            yield encode(record)
        for flow in self.publishers.values():
            yield encode(self._state(flow))
        yield encode(records.SnapshotEnds())

    def respool(self, spooled: SpooledMessage) -> None:
        """Write a message to the journal's end again, so that its old segment can go; it is in memory until then."""
        try:
            message = spooled.message
        except Unreadable:
            self.lose(spooled)
            return
        self.live.move(spooled, self.log.segment)
        spooled.placed(0)
        self._write(spooled, message, 0, 0)

    def last_words(self) -> Iterable[bytes]:
        """Yield the records of a clean stop: how often each message that is still here was delivered."""
        for _, queue in self.queues_by_number.values():
            counts = [(entry.id, entry.count) for entry in queue.entries if entry.count]
            for at in range(0, len(counts), 1000):
                yield encode(records.Delivered(queue.number, tuple(counts[at : at + 1000])))
        yield encode(records.CleanStop())
