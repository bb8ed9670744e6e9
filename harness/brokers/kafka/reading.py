"""One member of one reader of a channel: its place in the group, and from acknowledges to committed offsets.

==================  ===========================================================================================
group               consumer group; starts at the earliest offset, which on a run's fresh topic loses nothing
exclusive           consumer group over the one-partition turn topic; its holder reads all of the channel
at-most-once, one   no group: starts at the resolved end of each partition, commits nothing
at-most-once, many  consumer group that commits before it hands over; drops what it cannot commit, and commits later
==================  ===========================================================================================

Acknowledged offsets are *stored*; the library commits what is stored every ``auto.commit.interval.ms``, before a
rebalance and at close. How messages are taken from the library is the subclass's: ``subscriber`` takes the package's
objects, ``native.subscriber`` the addresses of the library's own.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from numpy.typing import NDArray

from crep.harness.brokers.client_library import CLIENT
from crep.harness.brokers.contract import BrokerError, ClientEvent, Deliveries, SubscriberSpec
from crep.harness.brokers.kafka.client import CONNECT_TIMEOUT_S, ConnectionWatch, connection, shown, unreachable
from crep.harness.brokers.kafka.settlement import Partition, Settlement

_CLOSE_TIMEOUT_S = 10.0
_COMMIT_WITHIN_S = 2.0
_COMMIT_AGAIN_AFTER_S = 1.0
_ANSWER_POLL_S = 0.001
_MOVED = frozenset({KafkaError._STATE, KafkaError._UNKNOWN_PARTITION})

Moved = Callable[[Any, Sequence[TopicPartition]], None]


class Member(Protocol):
    """What is needed of a client in a group; as ``confluent_kafka.Consumer`` offers it."""

    def subscribe(self, topics: list[str], *, on_assign: Moved, on_revoke: Moved) -> None:
        """Join; both are called inside a poll."""

    def assign(self, partitions: list[TopicPartition]) -> None:
        """Read these."""

    def unassign(self) -> None:
        """Read none."""

    def commit(self, *, offsets: list[TopicPartition] | None = None, asynchronous: bool) -> object:
        """Commit these, or all that is stored."""

    def store_offsets(self, *, offsets: list[TopicPartition]) -> None:
        """Let the next commit take these."""

    def get_watermark_offsets(self, partition: TopicPartition, timeout: float, cached: bool) -> tuple[int, int]:
        """First offset, and the one behind the last."""

    def close(self) -> None:
        """Commit what is stored, leave, disconnect."""


Client = TypeVar("Client", bound=Member)


@dataclass
class _Commit:
    """One commit on its way; the library answers inside a later poll."""

    answered: bool = False
    failure: KafkaError | None = None


class KafkaReading(ABC, Generic[Client]):
    """A ``BulkSubscriber`` but for ``receive``, which must be called again and again from `ready` on: rebalances happen
    inside it.
    """

    def __init__(self, spec: SubscriberSpec) -> None:
        self._spec = spec
        self._topic = str(spec.objects["topic"])
        self._partitions = int(spec.objects["partitions"])
        self._at_most_once = spec.reader.delivery == "at-most-once"
        self._group: str | None = spec.objects["groups"].get(spec.reader.name)
        self._turn: str | None = spec.objects["turns"].get(spec.reader.name)
        self._watch = ConnectionWatch()
        self._consumer: Client | None = None
        self._assigned = threading.Event()
        self._settlement = Settlement()
        self._uncommitted: dict[Partition, int] = {}  # positions of dropped messages (at-most-once group)
        self._commit: _Commit | None = None
        self._commit_again_s = 0.0
        self._library_name, self._fallback = "", ""
        self._properties = self._configuration()

    def _configuration(self) -> dict[str, object]:
        spec = self._spec
        settings = {name: value for name, value in spec.settings.items() if name != CLIENT}
        properties = connection(spec.endpoint, spec.name) | settings
        return properties | {
            "group.id": self._group or spec.name,  # librdkafka wants one even where no group is joined
            "enable.auto.commit": self._group is not None and not self._at_most_once,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
        }

    def open(self) -> None:
        """Connect; join the group where there is one.

        Raises:
            BrokerError: no answer within 10 s, login refused, or the topic is not there.
        """
        self._consumer = self._client(self._properties)
        deadline = time.monotonic() + CONNECT_TIMEOUT_S
        while True:
            try:
                there = self._has_topic()
                break
            except KafkaException as error:
                self._serve(0)
                if self._watch.refused or time.monotonic() > deadline:
                    self.close()
                    raise unreachable(self._spec.endpoint, error, self._watch) from error
        if not there:
            self.close()
            raise BrokerError(f"Kafka at {self._spec.endpoint.bootstrap} has no topic {self._topic!r}")
        if self._group is not None:
            self._consumer.subscribe([self._turn or self._topic], on_assign=self._on_assign, on_revoke=self._on_revoke)
        self._watch.connected = True
        self._watch.take()
        if self._fallback:
            self._watch.note("fallback", self._fallback)

    def _on_assign(self, consumer: Client, partitions: Sequence[TopicPartition]) -> None:
        if self._turn is not None:
            # Holding the turn means reading every partition of the channel, from where the group committed.
            consumer.assign([TopicPartition(self._topic, p) for p in range(self._partitions)] if partitions else [])
        self._assigned.set()

    def _on_revoke(self, consumer: Client, partitions: Sequence[TopicPartition]) -> None:
        # The next member goes on from what is committed: a later commit would set it back, what is kept comes twice.
        if self._turn is None:
            gone = {(place.topic, place.partition) for place in partitions}
            self._uncommitted = {at: offset for at, offset in self._uncommitted.items() if at not in gone}
            self._forget({place.partition for place in partitions})
            return
        self._uncommitted = {}
        self._forget(range(self._partitions))
        if not self._at_most_once:
            self._commit_stored(consumer)
        consumer.unassign()

    def _commit_stored(self, consumer: Client) -> None:
        try:
            consumer.commit(asynchronous=False)
        except KafkaException as error:
            if error.args[0].code() != KafkaError._NO_OFFSET:
                self._watch.note("error", f"offsets not committed before the turn passed on: {error.args[0].str()}")

    def ready(self, timeout_s: float) -> None:
        """Assignment done (for a surplus member of a group: known to be empty), or the end offsets resolved.

        Raises:
            BrokerError: not within ``timeout_s``.
        """
        consumer, deadline = self._open_consumer(), time.monotonic() + timeout_s
        if self._group is None:
            self._start_at_the_end(consumer, deadline)
            return
        while not self._assigned.is_set():
            if time.monotonic() > deadline:
                raise BrokerError(
                    f"member {self._spec.name!r} got no place in consumer group {self._group!r} at "
                    f"{self._spec.endpoint.bootstrap} within {timeout_s:g} s",
                    hint=self._watch.last_error or "the other members of the group must keep receiving while it joins",
                )
            self._serve(0.05)

    def _start_at_the_end(self, consumer: Client, deadline: float) -> None:
        """OFFSET_END is resolved later, asynchronously; explicit offsets leave no gap."""
        ends = []
        for number in range(self._partitions):
            partition = TopicPartition(self._topic, number)
            while True:
                try:
                    _low, partition.offset = consumer.get_watermark_offsets(partition, timeout=2.0, cached=False)
                    break
                except KafkaException as error:
                    if time.monotonic() > deadline:
                        raise unreachable(self._spec.endpoint, error, self._watch) from error
            ends.append(partition)
        consumer.assign(ends)

    @abstractmethod
    def _client(self, properties: Mapping[str, object]) -> Client:
        """A client that is not connected yet.

        Raises:
            BrokerError: it refuses the properties.
        """

    @abstractmethod
    def _has_topic(self) -> bool:
        """Ask the broker for the channel's topic.

        Raises:
            KafkaException: no answer.
        """

    @abstractmethod
    def _serve(self, timeout_s: float) -> None:
        """Let the library's callbacks run; a message that comes meanwhile is kept for ``receive``."""

    @abstractmethod
    def _forget(self, partitions: Collection[int]) -> None:
        """Drop what was kept of partitions that are another member's now."""

    @abstractmethod
    def receive(self, max_messages: int, timeout_s: float) -> Deliveries:
        """What has come, at once when something has; empty after ``timeout_s``."""

    def _commit_what_is_late(self) -> None:
        """Positions of dropped messages, now and then."""
        if self._uncommitted and time.monotonic() >= self._commit_again_s:
            self._commit_first({})

    def _may_hand_over(self, offsets: dict[Partition, int]) -> bool:
        """Whether messages with these positions may reach the engine; where it is at most once they are committed."""
        if not offsets:
            return True
        self._watch.flowing("message")
        return self._group is None or not self._at_most_once or self._commit_first(offsets)

    def _commit_first(self, offsets: dict[Partition, int]) -> bool:
        """Commit before handing over; what cannot be committed may reach another member, so it is dropped here.

        Its positions are kept and committed again after a while: else the group would lag for ever where the last
        messages of a run are the ones that were dropped.
        """
        self._uncommitted |= offsets
        failure = self._commit_all()
        if failure is None:
            self._uncommitted.clear()
            return True
        what = "dropped, since its offsets could not be committed" if offsets else "offsets still not committed"
        self._watch.note("error", f"{what}: {failure}")
        self._commit_again_s = time.monotonic() + _COMMIT_AGAIN_AFTER_S
        return False

    def _commit_all(self) -> str | None:
        """Why the positions are not committed.

        One commit at a time, so that none overtakes a later one. Never a synchronous one: with the coordinator gone it
        waits for the session time-out, and so does every poll beside it.
        """
        if self._commit is not None and not self._commit.answered:
            return "an earlier commit has no answer yet"
        consumer, deadline = self._open_consumer(), time.monotonic() + _COMMIT_WITHIN_S
        commit = self._commit = _Commit()
        try:
            consumer.commit(offsets=_positions(self._uncommitted), asynchronous=True)
        except KafkaException as error:
            commit.answered, commit.failure = True, error.args[0]
        while not commit.answered and time.monotonic() < deadline:
            self._serve(_ANSWER_POLL_S)
        if not commit.answered:
            return f"no answer within {_COMMIT_WITHIN_S:g} s"
        return None if commit.failure is None else str(commit.failure.str())

    def _on_commit(self, error: KafkaError | None, places: Sequence[TopicPartition]) -> None:
        """The answer to the one commit on its way: the request's failure, or the first that a partition met."""
        if self._commit is not None:
            self._commit.failure = error or next((place.error for place in places if place.error is not None), None)
            self._commit.answered = True

    def _open_token(self, offsets: dict[Partition, int], count: int) -> int | None:
        if not offsets or self._group is None or self._at_most_once:
            return None
        token = self._settlement.received(offsets)
        if count == 0:  # all filtered out: nobody will acknowledge it
            self._store(self._settlement.acknowledge(token))
        return token

    def tend(self) -> None:
        """Nothing: the library has threads of its own, and a poll would tell the group that this member gets on."""

    def acknowledge(self, deliveries: Deliveries) -> None:
        """Store offsets for the next commit. Of a partition that moved to another member they are dropped, noted."""
        if isinstance(deliveries.token, int):
            self._store(self._settlement.acknowledge(deliveries.token))

    def settle(self, deliveries: Deliveries, failed: NDArray[np.intp]) -> None:
        """Kafka knows no failed message; ``KafkaSubscriber`` does it for a reader with a dead letter topic."""
        raise BrokerError(f"reader {self._spec.reader.name!r} has no dead letter topic: it cannot fail a message")

    def _store(self, offsets: dict[Partition, int]) -> None:
        for position in _positions(offsets):
            try:
                self._open_consumer().store_offsets(offsets=[position])
            except KafkaException as error:
                if error.args[0].code() not in _MOVED:
                    raise BrokerError(f"offset of {position} cannot be stored: {error.args[0].str()}") from error
                self._watch.note("error", f"acknowledged too late: {position.topic}[{position.partition}] has moved")

    def events(self) -> list[ClientEvent]:
        """Connection events since the last call."""
        return self._watch.take()

    def effective_settings(self) -> dict[str, str]:
        """The library, and every property that it was given, without the password."""
        return {CLIENT: self._library_name} | shown(self._properties)

    def close(self) -> None:
        """Commit what is stored and leave the group. Bounded: with the broker gone the library may wait much longer."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            closing = threading.Thread(target=consumer.close, name="kafka-close", daemon=True)
            closing.start()
            closing.join(_CLOSE_TIMEOUT_S)

    def _open_consumer(self) -> Client:
        if self._consumer is None:
            raise BrokerError(f"subscriber {self._spec.name!r} is not open")
        return self._consumer


def _positions(offsets: dict[Partition, int]) -> list[TopicPartition]:
    return [TopicPartition(topic, number, offset) for (topic, number), offset in offsets.items()]
