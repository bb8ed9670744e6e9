"""The replay log of a message VPN, and the replay of its messages into a queue.

The log holds a spooled message as a queue does, under a number of its own, so that durability, recovery and compaction
are those of the spool. A replay makes the queue hold the chosen messages again: message ids are the order of spooling,
so what is published meanwhile stands behind them by itself.

Documented: what is logged and trimmed (at 90 % of the quota, oldest first), the start points, which queues can be
replayed to and by whom, the refusals, and that a replay first unbinds the queue's flows and deletes its messages.
Assumed, not verified: a replay is *initializing* until the queue has its messages, *active* until each of them was
sent once, *pending-complete* until they are settled; one that fails or is cancelled takes its messages out of the queue
again; one that would exceed the queue's quota or message size fails before anything is deleted.
"""

from __future__ import annotations

import re
import sys
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from . import topics
from .log import Removed, batched, encode
from .refusal import Refused
from .settings import MEGABYTE, ReplayLogSettings

if TYPE_CHECKING:
    from ..smf.message import Message
    from .broker import Broker
    from .entry import Entry, SpooledMessage
    from .queue import Queue
    from .queue_stats import QueueStats
    from .vpn import Vpn

_TRIM_PERCENT: Final = 90
_ID: Final = re.compile(r"rmid1:([0-9a-f]{5})-([0-9a-f]{11})-([0-9a-f]{8})-([0-9a-f]{8})", re.IGNORECASE)


# -- where a replay starts


@dataclass(frozen=True, slots=True)
class ReplicationGroupMessageId:
    """What identifies a message beyond its broker: the id of the spool that it came to first, and its id there."""

    spool: int
    message: int

    def __str__(self) -> str:
        digits = f"{self.spool:016x}{self.message:016x}"
        return f"rmid1:{digits[:5]}-{digits[5:16]}-{digits[16:24]}-{digits[24:]}"

    @classmethod
    def parse(cls, text: str) -> ReplicationGroupMessageId:
        """Read the written form. Raises ``ValueError``."""
        found = _ID.fullmatch(text)
        if found is None:
            example = "rmid1:0a1b2-c3d4e5f6071-00000000-0000002a"
            raise ValueError(f"{text!r} is no replication group message id like {example}")
        return cls.from_bytes(bytes.fromhex("".join(found.groups())))

    @classmethod
    def from_bytes(cls, packed: bytes) -> ReplicationGroupMessageId:
        """Read the 16 bytes of the wire."""
        return cls(int.from_bytes(packed[:8], "big"), int.from_bytes(packed[8:], "big"))


@dataclass(frozen=True, slots=True)
class Beginning:
    """Everything that the log has."""


@dataclass(frozen=True, slots=True)
class Since:
    """What was spooled at this time (milliseconds since 1970) or later."""

    time_ms: int


@dataclass(frozen=True, slots=True)
class After:
    """What was spooled after a message, which is not replayed itself."""

    message: ReplicationGroupMessageId


Start: TypeAlias = Beginning | Since | After


# -- the log


@dataclass(frozen=True, slots=True)
class Logged:
    """A message of the log, with what a replay has to know of it: the message itself may lie on the disk."""

    spooled: SpooledMessage
    topic: str
    time_to_live: int  # ms

    @property
    def id(self) -> int:
        """The message's id, which is its place in the order of spooling."""
        return self.spooled.id


class ReplayLog:
    """A replay log. ``number`` stands for it among the holders of a message, as a queue's does."""

    def __init__(
        self, broker: Broker, vpn: Vpn, name: str, number: int, settings: ReplayLogSettings, created_at_ms: int
    ) -> None:
        self.name = name
        self.number = number
        self.settings = settings
        self.created_at_ms = created_at_ms
        self.subscriptions: dict[str, None] = {}
        self.spool_usage = 0  # bytes
        self._broker = broker
        self._vpn = vpn
        self._messages: OrderedDict[int, Logged] = OrderedDict()
        self._wanted: topics.TopicTrie[bool] = topics.TopicTrie()
        self._kept_away: topics.TopicTrie[bool] = topics.TopicTrie()

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def messages(self) -> Collection[Logged]:
        """What the log has, oldest first."""
        return self._messages.values()

    def find(self, message_id: int) -> Logged | None:
        """Return a message by its id."""
        return self._messages.get(message_id)

    @property
    def _room(self) -> int:
        return self.settings.max_spool_usage * MEGABYTE * _TRIM_PERCENT // 100

    # -- topic filter

    def add_subscription(self, subscription: str) -> None:
        """Log a topic where the filter is enabled; ``!topic`` keeps one out."""
        self.subscriptions[subscription] = None
        self._trie_of(subscription).add(subscription.removeprefix("!"), True)

    def remove_subscription(self, subscription: str) -> None:
        """Undo :meth:`add_subscription`."""
        self.subscriptions.pop(subscription, None)
        self._trie_of(subscription).remove(subscription.removeprefix("!"), True)

    def _trie_of(self, subscription: str) -> topics.TopicTrie[bool]:
        return self._kept_away if subscription.startswith("!") else self._wanted

    # -- holding messages

    def wants(self, message: Message) -> bool:
        """Whether a message is to be logged; one that could only be trimmed again is not."""
        if not self.settings.ingress_enabled or message.size >= self._room:
            return False
        if not self.settings.topic_filter_enabled:
            return True
        return bool(self._wanted.match(message.topic)) and not self._kept_away.match(message.topic)

    def spool(self, spooled: SpooledMessage) -> None:
        """Take a message in, behind everything that is there."""
        message = spooled.message
        self._messages[spooled.id] = Logged(spooled, sys.intern(message.topic), message.time_to_live)
        self.spool_usage += spooled.size

    def take_back(self, message_id: int) -> None:
        """Undo :meth:`spool`: the message could not be written."""
        self.forget([message_id])

    def forget(self, message_ids: Iterable[int]) -> None:
        """Remove messages by id; unknown ones are ignored."""
        removed = [self._messages.pop(message_id) for message_id in message_ids if message_id in self._messages]
        for ids in batched([logged.id for logged in removed]):
            self._broker.log.append(encode(Removed(self.number, ids)))
        for logged in removed:
            self.spool_usage -= logged.spooled.size
            self._broker.released(self.number, logged.spooled)

    def reorder(self) -> None:
        """After a restart: bring the messages into the order of spooling."""
        self._messages = OrderedDict(sorted(self._messages.items()))

    # -- trimming

    def trim(self) -> None:
        """Remove the oldest messages until the log is below 90 % of its quota."""
        usage, room = self.spool_usage, self._room
        trimmed: list[int] = []
        for logged in self._messages.values():
            if usage < room:
                break
            usage -= logged.spooled.size
            trimmed.append(logged.id)
        self._trim(trimmed)

    def trim_older_than(self, time_ms: int) -> None:
        """Remove what was spooled before a time (milliseconds since 1970)."""
        self._trim([logged.id for logged in self.messages if logged.spooled.spooled_at_ms < time_ms])

    def _trim(self, message_ids: Sequence[int]) -> None:
        """Remove messages; a replay that has not come to them yet fails, as documented."""
        if not message_ids:
            return
        self.forget(message_ids)
        for queue in self._vpn.queues.values():
            if not queue.replay.untransmitted.isdisjoint(message_ids):
                fail(queue, Refused(503, "Replay Message Unavailable"), self._broker.now_ms())

    # -- choosing

    def chosen(self, start: Start) -> list[Logged]:
        """Return the messages from a start point on, oldest first. Raises :class:`Refused`."""
        match start:
            case Beginning():
                return list(self.messages)
            case Since(time_ms):
                if time_ms < self.created_at_ms // 1000 * 1000:  # SEMP's times are whole seconds
                    raise Refused(503, "Replay Start Time Not Available")
                return [logged for logged in self.messages if logged.spooled.spooled_at_ms >= time_ms]
            case After(message):
                if message.spool != self._broker.spool_id or message.message not in self._messages:
                    raise Refused(403, "Replay Start Message Unavailable")
                return [logged for logged in self.messages if logged.id > message.message]


# -- a queue's replay


class Progress:
    """A queue's latest replay: how far it is, and when what happened. Times in milliseconds, 0 for never."""

    __slots__ = (
        "_failed",
        "completed_at_ms",
        "failed_at_ms",
        "failure_reason",
        "last_transmitted_at_ms",
        "preparing",
        "run",
        "started_at_ms",
        "unsettled",
        "untransmitted",
    )

    def __init__(self) -> None:
        self.started_at_ms = 0
        self.completed_at_ms = 0
        self.failed_at_ms = 0
        self.failure_reason = ""
        self.last_transmitted_at_ms = 0
        self.run = 0  # other with each start and failure
        self.preparing = False
        self.untransmitted: set[int] = set()
        self.unsettled: set[int] = set()
        self._failed = False

    @property
    def state(self) -> str | None:
        """The state as SEMP names it; None before the first replay."""
        if not self.started_at_ms:
            return None
        if self._failed:
            return "failed"
        if self.preparing:
            return "initializing"
        if self.untransmitted:
            return "active"
        return "pending-complete" if self.unsettled else "complete"

    @property
    def under_way(self) -> bool:
        """It has neither failed nor come to its end."""
        return self.preparing or bool(self.unsettled)

    def begin(self, message_ids: Iterable[int], stats: QueueStats, now_ms: int) -> None:
        """A replay of these messages is prepared; one that was under way has failed by that."""
        if self.under_way:
            self.fail("Replay Started", stats, now_ms)
        stats.replay_start_count += 1
        self.started_at_ms = now_ms
        self.run += 1
        self.preparing = True
        self.untransmitted = set(message_ids)
        self.unsettled = set(self.untransmitted)
        self._failed = False

    def prepared(self, held: Iterable[int], stats: QueueStats, now_ms: int) -> None:
        """The queue holds the messages, but for those that were deleted or lost meanwhile."""
        self.preparing = False
        self.unsettled.intersection_update(held)
        self.untransmitted.intersection_update(self.unsettled)
        self._complete(stats, now_ms)

    def fail(self, reason: str, stats: QueueStats, now_ms: int) -> None:
        """The replay has failed."""
        stats.replay_failure_count += 1
        self.failed_at_ms = now_ms
        self.failure_reason = reason
        self.run += 1
        self.preparing = False
        self.untransmitted.clear()
        self.unsettled.clear()
        self._failed = True

    def transmitted(self, message_id: int, stats: QueueStats, now_ms: int) -> None:
        """A message was sent to a consumer."""
        if message_id in self.untransmitted:
            self.untransmitted.remove(message_id)
            self.last_transmitted_at_ms = now_ms
            stats.replayed_tx_msg_count += 1

    def acknowledged(self, entries: Iterable[Entry], stats: QueueStats) -> None:
        """Consumers have accepted entries, which are about to be removed."""
        stats.replayed_acked_msg_count += sum(entry.id in self.unsettled for entry in entries)

    def removed(self, message_ids: Iterable[int], stats: QueueStats, now_ms: int) -> None:
        """Messages have left the queue, by whatever way. While a replay is prepared they are those that were there."""
        if self.preparing:
            return
        self.untransmitted.difference_update(message_ids)
        self.unsettled.difference_update(message_ids)
        self._complete(stats, now_ms)

    def _complete(self, stats: QueueStats, now_ms: int) -> None:
        if not self.unsettled:
            stats.replay_success_count += 1
            self.completed_at_ms = now_ms


def check_client(queue: Queue, *, browser: bool) -> None:
    """Raise :class:`Refused` where a client may not start a replay by binding to a queue."""
    if not queue.durable:
        raise Refused(403, "Replay Not Supported on Temporary Queue")
    if browser:
        raise Refused(403, "Client Initiated Replay from Browser Flow Not Allowed")
    if not queue.exclusive:
        raise Refused(403, "Client Initiated Replay Not Allowed on Non-Exclusive Queue")
    if any(not flow.browser for flow in queue.flows):
        raise Refused(403, "Client Initiated Replay from Inactive Flow Not Allowed")


def plan(vpn: Vpn, queue: Queue, start: Start) -> list[Logged]:
    """Return what a replay would put into a queue: what matches its subscriptions now. Raises :class:`Refused`."""
    log = vpn.replay_log
    if log is None or not log.settings.egress_enabled:
        raise Refused(503, "Replay Disabled")
    matching: dict[str, bool] = {}
    chosen: list[Logged] = []
    for logged in log.chosen(start):
        topic = logged.topic
        if topic not in matching:
            matching[topic] = vpn.attracts(queue, topic)
        if matching[topic]:
            chosen.append(logged)
    settings = queue.settings
    sizes = [logged.spooled.size for logged in chosen]
    if sum(sizes) > settings.max_msg_spool_usage * MEGABYTE or max(sizes, default=0) > settings.max_msg_size:
        raise Refused(503, "Replayed Message Rejected by Queue")
    return chosen


def begin(queue: Queue, messages: Sequence[Logged], now_ms: int) -> None:
    """Replay messages into a queue: end its flows, delete what it has, and have it hold the messages.

    Flows that bind meanwhile wait for that. A crash before it is through leaves a part: tell nobody before.
    """
    queue.replay.begin([logged.id for logged in messages], queue.stats, now_ms)
    queue.unbind_all(Refused(503, "Replay Started"))
    queue.delete_all()
    queue.tasks.begin(_preparation(queue, queue.replay.run, messages, now_ms))


def _preparation(queue: Queue, run: int, messages: Sequence[Logged], now_ms: int) -> Iterator[None]:
    """Task: have the queue hold the messages, unless another run has begun or this one has failed meanwhile."""
    progress = queue.replay
    yield from queue.refill(messages, lambda: progress.run == run)
    if progress.run == run:
        progress.prepared([entry.id for entry in queue.entries], queue.stats, now_ms)


def refuse(queue: Queue, refusal: Refused, now_ms: int) -> None:
    """Note that an administrator's replay could not start; the queue stays as it is."""
    queue.replay.begin((), queue.stats, now_ms)
    queue.replay.fail(refusal.text, queue.stats, now_ms)


def fail(queue: Queue, refusal: Refused, now_ms: int) -> None:
    """End a replay that is under way: its flows hear why, and what was not settled of it leaves the queue."""
    left = [entry for message_id in sorted(queue.replay.unsettled) if (entry := queue.find(message_id)) is not None]
    queue.replay.fail(refusal.text, queue.stats, now_ms)
    queue.unbind_all(refusal)
    queue.remove(left)


def log_modified(broker: Broker, vpn: Vpn) -> None:
    """The replay log is gone or closed: replays that are not through fail."""
    for queue in vpn.queues.values():
        if queue.replay.untransmitted:
            fail(queue, Refused(503, "Replay Log Modified"), broker.now_ms())
