"""A queue: what it takes in, in which order it gives out, and what a settlement does.

Order: entries are kept by message id, which is the order of spooling. An entry that comes back (a failed settlement, a
lost or unbound flow) goes back to its place, so everything that came back precedes everything never delivered.
Nothing is delivered before the journal holds it: a crash can then repeat a delivery, flagged, but never invent one.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Final

from .entry import Entry, Lane, SpooledMessage
from .flow import ConsumerFlow
from .host import Host
from .log import Added, Removed, Unreadable, batched, encode
from .partitions import PartitionMap, partition_of
from .queue_stats import CauseOfDeath, QueueStats
from .refusal import Refused, over_quota
from .replay import Logged, Progress
from .settings import MEGABYTE, QueueSettings
from .tasks import Tasks

_LOST_FLOWS_REMEMBERED: Final = 64
_BURIED_PER_TURN: Final = 1000
_STEP: Final = 2000  # messages that a task deletes or takes in: some milliseconds


class Queue:
    """A durable or temporary queue. ``number`` stands for its name in the journal."""

    def __init__(self, host: Host, name: str, number: int, settings: QueueSettings, *, durable: bool = True) -> None:
        self.name = name
        self.number = number
        self.settings = settings
        self.durable = durable
        self.created_by_management = durable
        self.subscriptions: dict[str, None] = {}
        self.stats = QueueStats()
        self.replay = Progress()
        self.tasks = Tasks(lambda: host.wake(self))  # nothing is delivered or expires while they are under way
        self.spool_usage = 0  # bytes
        self.last_detached_ms = host.now_ms()
        self._host = host
        self._entries: dict[int, Entry] = {}
        self._partitions = PartitionMap(self.partition_count)
        self._lanes = [Lane() for _ in range(self.partition_count or 1)]
        self._expiry: list[tuple[int, int]] = []  # (time, id): no entry is kept alive by it
        self._flows: list[ConsumerFlow] = []  # in bind order
        self._browsers: list[ConsumerFlow] = []
        self._turn = 0
        self._lost: OrderedDict[str, dict[int, Entry]] = OrderedDict()

    # -- what it holds

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def entries(self) -> Iterable[Entry]:
        """What the queue holds, in the order of spooling."""
        return self._entries.values()

    def find(self, message_id: int) -> Entry | None:
        """Return what the queue holds under a message's id."""
        return self._entries.get(message_id)

    @property
    def flows(self) -> tuple[ConsumerFlow, ...]:
        """The bound consumer flows in bind order, then the browsers."""
        return (*self._flows, *self._browsers)

    @property
    def exclusive(self) -> bool:
        """At most one flow gets messages."""
        return self.settings.access_type == "exclusive"

    @property
    def partition_count(self) -> int:
        """The number of partitions, 0 for none: an exclusive queue has none, whatever is configured."""
        return 0 if self.exclusive else self.settings.partition_count

    @property
    def unacked_count(self) -> int:
        """Messages delivered and not settled."""
        return sum(len(flow.unacked) for flow in self._flows)

    # -- taking in

    def objection(self, size: int) -> tuple[Refused, bool] | None:
        """Return why the queue takes no message of this size and whether its publisher hears of it; None if it does.

        Counts the discard. Rule: ``never`` is silent, ``when-queue-enabled`` is silent only about a shut ingress.
        """
        behaviour = self.settings.reject_msg_to_sender_on_discard_behavior
        if not self.settings.ingress_enabled:
            self.stats.disabled_discarded_msg_count += 1
            return Refused(503, "Queue Shutdown"), behaviour == "always"
        if size > self.settings.max_msg_size:
            self.stats.max_msg_size_exceeded_discarded_msg_count += 1
            return Refused(400, "Document Is Too Large"), behaviour != "never"
        quota = self.settings.max_msg_spool_usage * MEGABYTE
        if quota and self.spool_usage + size > quota:
            self.stats.max_msg_spool_usage_exceeded_discarded_msg_count += 1
            return over_quota(), behaviour != "never"
        return None

    def spool(
        self, spooled: SpooledMessage, time_to_live: int | None = None, lanes: Sequence[Lane] | None = None
    ) -> None:
        """Take a message in, behind everything in ``lanes`` (None: the queue's).

        ``time_to_live`` None: as the message itself says.
        """
        count, size = self.partition_count, spooled.size
        partition = partition_of(spooled.message, spooled.id, count) if count else 0
        entry = Entry(spooled, self._expiry_of(spooled, time_to_live), partition)
        self._entries[entry.id] = entry
        (lanes or self._lanes)[partition].add(entry)
        self.spool_usage += size
        stats = self.stats
        stats.spooled_msg_count += 1
        stats.spooled_byte_count += size
        stats.msg_spool_peak_usage = max(stats.msg_spool_peak_usage, self.spool_usage)
        if entry.expires_at_ms:
            heapq.heappush(self._expiry, (entry.expires_at_ms, entry.id))
        for browser in self._browsers:
            browser.backlog.append(entry)
        self._host.wake(self)

    def hold(self, messages: Sequence[Logged], lanes: Sequence[Lane] | None = None) -> None:
        """Take in messages that are on the spool already, oldest first; they are delivered once that is durable.

        A message that has left the spool meanwhile is left out.
        """
        messages = [logged for logged in messages if logged.spooled.queues]
        position = 0
        for ids in batched([logged.id for logged in messages]):
            position = self._host.log.append(encode(Added(self.number, ids)))
        self._host.log.commit()
        for logged in messages:
            if self.partition_count and not self._readable(logged.spooled):  # the key is in the message
                continue
            logged.spooled.position = position
            self._host.held_again(self, logged.spooled)
            self.spool(logged.spooled, logged.time_to_live, lanes)

    def refill(self, messages: Sequence[Logged], wanted: Callable[[], bool]) -> Iterator[None]:
        """Task: hold messages, in front of what has come since the task began, as long as that is wanted."""
        lanes = [Lane() for _ in self._lanes]
        for at in range(0, len(messages), _STEP):
            if at:
                yield
            if not wanted():
                break
            self.hold(messages[at : at + _STEP], lanes)
        for lane, came_meanwhile in zip(lanes, self._lanes, strict=True):
            while (entry := came_meanwhile.head()) is not None:
                came_meanwhile.pop_head()
                lane.add(entry)
                self._entries[entry.id] = self._entries.pop(entry.id)
        self._lanes = lanes

    def _expiry_of(self, spooled: SpooledMessage, time_to_live: int | None) -> int:
        if not (self.settings.respect_ttl_enabled and spooled.expires):
            return 0
        own = spooled.message.time_to_live if time_to_live is None else time_to_live
        limits = [ttl for ttl in (own, self.settings.max_ttl * 1000) if ttl]
        return spooled.spooled_at_ms + min(limits) if limits else 0

    def take_back(self, message_id: int) -> None:
        """Undo :meth:`spool`: the message could not be written, so nobody has seen it."""
        entry = self._entries.get(message_id)
        if entry is not None:
            self.stats.spooled_msg_count -= 1
            self.stats.spooled_byte_count -= entry.spooled.size
            self.accept([entry])

    def forget(self, message_ids: Iterable[int]) -> None:
        """Remove entries by id; unknown ones are ignored."""
        self.accept([self._entries[message_id] for message_id in message_ids if message_id in self._entries])

    def reorder(self) -> list[Entry]:
        """After a restart: bring the entries into the order of spooling (a compaction writes old ones anew)."""
        ordered = list(self._entries.values())
        if any(earlier.id > later.id for earlier, later in pairwise(ordered)):
            ordered.sort(key=lambda entry: entry.id)
            self._entries = {entry.id: entry for entry in ordered}
        self._lanes = [Lane() for _ in self._lanes]
        for entry in ordered:
            self._lanes[entry.partition].add(entry)
        self.stats = QueueStats()
        return ordered

    def restore_delivery(self, message_id: int, count: int | None) -> None:
        """After a restart: this entry was delivered ``count`` times, or (None) nobody knows whether."""
        entry = self._entries.get(message_id)
        if entry is not None:
            entry.count = count or 0
            entry.redelivered = count != 0

    # -- what takes many turns

    def remove(self, entries: Sequence[Entry], *, deleted: bool = False) -> None:
        """Remove entries, a number of them in each turn. ``deleted``: by an administrator, who counts them."""
        self.tasks.begin(self._removal(entries, deleted=deleted))

    def _removal(self, entries: Sequence[Entry], *, deleted: bool) -> Iterator[None]:
        for at in range(0, len(entries), _STEP):
            if at:
                yield
            before = len(self._entries)
            self.accept(entries[at : at + _STEP])
            if deleted:
                self.stats.deleted_msg_count += before - len(self._entries)

    def close(self) -> None:
        """The queue is being deleted: forget the tasks, and everything that it holds."""
        self.tasks.drop()
        self.accept(list(self._entries.values()))

    # -- giving out

    def dispatch(self) -> None:
        """Deliver what can be delivered now. Bounded by the windows of the flows and what may be read in a turn."""
        if not self.tasks.go_on() or not self.expire():
            return
        if not self.settings.max_msg_spool_usage and len(self._entries) > 1:
            self._keep_last_value()
        for browser in self._browsers:
            self._feed(browser)
        if not self.settings.egress_enabled:
            return
        for partition, lane in enumerate(self._lanes):
            self._empty(lane, partition)

    def _empty(self, lane: Lane, partition: int) -> None:
        durable = self._host.log.durable
        while (entry := lane.head()) is not None:
            if entry.spooled.position > durable:
                self._host.await_durable(self)
                return
            if self._out_of_turn(entry):
                return
            flow = self._chosen_flow(partition)
            if flow is None:
                return
            lane.pop_head()
            if self._readable(entry.spooled):
                self._deliver(flow, entry)

    def _keep_last_value(self) -> None:
        """Quota 0: remove all but the newest message, once that is durable: before, it may still be refused."""
        *older, newest = self._entries.values()
        if newest.spooled.position > self._host.log.durable:
            self._host.await_durable(self)
        else:
            self.accept(older)

    def _out_of_turn(self, entry: Entry) -> bool:
        """Whether an entry would have to be read and this turn has read enough: the queue goes on in the next."""
        if entry.spooled.resident or self._host.may_read:
            return False
        self._host.wake(self)
        return True

    def _readable(self, spooled: SpooledMessage) -> bool:
        """Bring a message to memory; one that is damaged on the disk is lost, to every queue."""
        try:
            spooled.message  # noqa: B018 - reading it is what brings it there
        except Unreadable:
            self._host.lose(spooled)
            return False
        return True

    def _deliver(self, flow: ConsumerFlow, entry: Entry) -> None:
        entry.delivery_id = self._host.next_delivery_id()
        entry.flow = flow
        if entry.count or entry.redelivered:
            entry.redelivered = True
            self.stats.redelivered_msg_count += 1
        flow.deliver(entry)
        entry.count += 1
        if self.replay.untransmitted:
            self.replay.transmitted(entry.id, self.stats, self._host.now_ms())

    def _feed(self, browser: ConsumerFlow) -> None:
        durable = self._host.log.durable
        while browser.backlog and browser.can_take():
            if browser.backlog[0].spooled.position > durable:
                self._host.await_durable(self)
                return
            if not browser.backlog[0].removed and self._out_of_turn(browser.backlog[0]):
                return
            entry = browser.backlog.popleft()
            if not entry.removed and self._readable(entry.spooled):
                browser.show(entry, self._host.next_delivery_id())

    def _chosen_flow(self, partition: int) -> ConsumerFlow | None:
        limit = self.settings.max_delivered_unacked_msgs_per_flow
        if self.exclusive or self.partition_count:
            first = self._flows[0] if self._flows else None
            only = self._partitions.may_deliver(partition) if self.partition_count else first
            return only if only is not None and only.can_take(limit) else None
        for step in range(len(self._flows)):
            at = (self._turn + step) % len(self._flows)
            if self._flows[at].can_take(limit):
                self._turn = at + 1
                return self._flows[at]
        return None

    # -- settlement

    def accept(self, entries: Iterable[Entry]) -> None:
        """Remove entries: consumed, or deleted by an administrator."""
        removed = [entry for entry in entries if not entry.removed]
        for entry in removed:
            entry.removed = True
            entry.flow = None
            del self._entries[entry.id]
            self.spool_usage -= entry.spooled.size
        log = self._host.log
        for ids in batched([entry.id for entry in removed]):
            log.append(encode(Removed(self.number, ids)))
        for entry in removed:
            self._host.released(self.number, entry.spooled)
        if self.replay.unsettled:
            self.replay.removed([entry.id for entry in removed], self.stats, self._host.now_ms())

    def give_back(self, entries: Iterable[Entry]) -> None:
        """Put entries back to their places; those delivered too often are buried."""
        limit = self.settings.max_redelivery_count
        dead: list[Entry] = []
        for entry in entries:
            entry.flow = None
            if entry.removed:
                continue
            if limit and entry.count > limit:
                dead.append(entry)
            else:
                self._lanes[entry.partition].give_back(entry)
        self.bury(dead, "redelivery")
        self._host.wake(self)

    def bury(self, entries: Iterable[Entry], cause: CauseOfDeath) -> None:
        """Move dead entries to the dead message queue, or discard them; count which."""
        for entry in list(entries):
            if entry.removed:
                continue
            burial = self._host.bury(self, entry)
            self.accept([entry])
            self.stats.buried(cause, burial)

    def expire(self) -> bool:
        """Bury what has outlived its time to live; a delivered message does not expire. False: there is more of it."""
        if self.tasks.busy:
            return False
        now = self._host.now_ms() if self._expiry else 0
        for _ in range(_BURIED_PER_TURN):
            if not self._expiry or self._expiry[0][0] > now:
                return True
            if not self._host.may_read:
                break
            entry = self._entries.get(heapq.heappop(self._expiry)[1])
            if entry is None:
                continue
            if entry.flow is None:
                self.bury([entry], "ttl")
            else:  # looked at again when it may have come back
                heapq.heappush(self._expiry, (now + 1000, entry.id))
        self._host.wake(self)
        return False

    def delete(self, message_id: int) -> None:
        """Delete one message, also a delivered one, as an administrator does; an unknown id is ignored."""
        entry = self._entries.get(message_id)
        if entry is not None:
            self.stats.deleted_msg_count += 1
            self.accept([entry])

    def delete_all(self) -> None:
        """Delete every message, also delivered ones, as an administrator does."""
        delivered = [entry for flow in self._flows for entry in flow.unacked.values() if not entry.removed]
        self.stats.deleted_msg_count += len(delivered)
        self.accept(delivered)  # at once, or they might come back
        self._lanes = [Lane() for _ in self._lanes]
        self.remove(list(self._entries.values()), deleted=True)

    # -- partitions

    def tick(self) -> None:
        """Do what falls due by time: expiry, and the steps of a rebalance of partitions."""
        self.expire()
        handoff_ms = self.settings.partition_rebalance_max_handoff_time * 1000
        for partition, former in self._partitions.step(self._flows, self._host.now_ms(), handoff_ms):
            held = [delivery for delivery, entry in former.unacked.items() if entry.partition == partition]
            self.give_back([former.unacked.pop(delivery) for delivery in held])
        if self.partition_count:
            self._host.wake(self)

    def repartition(self) -> None:
        """After a change of settings, with no flow bound: apply another number of partitions.

        As documented, partitions beyond a smaller number go with their messages, and messages that are there stay in
        their partitions when it grows. Assumed: where partitions are switched off all messages stay.
        """
        count = self.partition_count
        if len(self._lanes) == max(count, 1):
            return
        self.tasks.finish()
        if count:
            self.accept([entry for entry in self._entries.values() if entry.partition >= count])
        self._lanes = [Lane() for _ in range(max(count, 1))]
        self._partitions = PartitionMap(count)
        for entry in self._entries.values():
            entry.partition = entry.partition if count else 0
            entry.returned = False
            self._lanes[entry.partition].add(entry)

    # -- flows

    def check_bind(self, username: str, *, browser: bool, obstacle: Refused | None = None) -> None:
        """Raise :class:`Refused` when a flow may not bind now; counts the reason.

        ``obstacle`` is one that the queue itself does not know of; its own come first.
        """
        self.stats.bind_request_count += 1
        if not self.settings.allows(username, "read-only" if browser else "consume"):
            self.stats.other_bind_failure_count += 1
            raise Refused(403, "Permission Not Allowed")
        if browser and self.partition_count:
            self.stats.other_bind_failure_count += 1
            raise Refused(400, "Browsing Not Supported on Partitioned Queue")
        if not self.settings.egress_enabled:
            self.stats.disabled_bind_failure_count += 1
            raise Refused(503, "Queue Shutdown")
        if not browser and len(self._flows) >= self.settings.max_bind_count:
            self.stats.max_bind_count_exceeded_bind_failure_count += 1
            raise Refused(503, "Max clients exceeded for queue")
        if obstacle is not None:
            self.stats.other_bind_failure_count += 1
            raise obstacle
        self.stats.bind_success_count += 1

    def attach(self, flow: ConsumerFlow, last_received: int | None) -> bool:
        """Bind a flow and return whether it is active.

        ``last_received`` is what a reconnecting client says that it has: unsettled deliveries of its lost flow up to
        that id, which nobody else got since, are the new flow's without being sent again, under their old ids.
        """
        if flow.browser:
            flow.backlog.extend(self._entries.values())
            self._browsers.append(flow)
            self._host.wake(self)
            return True
        held = self._lost.pop(flow.owner.client_name, {})
        if last_received is not None:
            flow.last_sent = last_received
            for delivery_id, entry in held.items():
                still_its = not entry.removed and entry.flow is None and entry.delivery_id == delivery_id
                if delivery_id <= last_received and still_its:
                    entry.flow = flow
                    flow.unacked[delivery_id] = entry
        self._flows.append(flow)
        if self.partition_count:
            self._partitions.bound(self._flows, self._host.now_ms(), self.settings.partition_rebalance_delay * 1000)
        self._host.wake(self)
        return not self.exclusive or len(self._flows) == 1

    def detach(self, flow: ConsumerFlow, *, lost: bool) -> None:
        """Unbind a flow. ``lost``: its client may come back for what it has received and not settled."""
        self.last_detached_ms = self._host.now_ms()
        if flow.browser:
            if flow in self._browsers:
                self._browsers.remove(flow)
            return
        if flow not in self._flows:
            return
        was_active = self._flows[0] is flow
        self._flows.remove(flow)
        if self.partition_count:
            delay_ms = self.settings.partition_rebalance_delay * 1000
            self._partitions.unbound(flow, self._flows, self._host.now_ms(), delay_ms)
        if lost:
            self._lost[flow.owner.client_name] = dict(flow.unacked)
            while len(self._lost) > _LOST_FLOWS_REMEMBERED:
                self._lost.popitem(last=False)
        entries = list(flow.unacked.values())
        flow.unacked.clear()
        self.give_back(entries)
        if self.exclusive and was_active and self._flows:
            self._flows[0].activate()

    def unbind_all(self, refusal: Refused) -> None:
        """End every flow from the broker's side, with the reason that the clients are told."""
        for flow in self.flows:
            self.detach(flow, lost=False)
            flow.owner.flow_ended(flow, refusal)
