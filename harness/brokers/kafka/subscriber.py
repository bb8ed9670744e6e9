"""The bulk subscriber on librdkafka: one member of one reader.

==================  ===========================================================================================
group               consumer group; starts at the earliest offset, which on a run's fresh topic loses nothing
exclusive           consumer group over the one-partition turn topic; its holder reads all of the channel
at-most-once, one   no group: starts at the resolved end of each partition, commits nothing
at-most-once, many  consumer group that commits before it hands over; drops what it cannot commit, and commits later
==================  ===========================================================================================

Acknowledged offsets are *stored*; the library commits what is stored every ``auto.commit.interval.ms``, before a
rebalance and at close.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import methodcaller

import numpy as np
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from crep.harness.brokers.client_library import CLIENT
from crep.harness.brokers.contract import (
    REDELIVERED_NOT_OFFERED,
    BrokerError,
    ClientEvent,
    Deliveries,
    SubscriberSpec,
)
from crep.harness.brokers.kafka.client import CONNECT_TIMEOUT_S, ConnectionWatch, connection, shown, unreachable
from crep.harness.brokers.kafka.settlement import Partition, Settlement
from crep.harness.brokers.topics import topic_matches

_CLOSE_TIMEOUT_S = 10.0
_COMMIT_WITHIN_S = 2.0
_COMMIT_AGAIN_AFTER_S = 1.0
_ANSWER_POLL_S = 0.001
_ERROR, _PARTITION, _OFFSET, _VALUE = (methodcaller(name) for name in ("error", "partition", "offset", "value"))
_MOVED = frozenset({KafkaError._STATE, KafkaError._UNKNOWN_PARTITION})


@dataclass
class _Commit:
    """One commit on its way; the library answers inside a later poll."""

    answered: bool = False
    failure: KafkaError | None = None


class KafkaSubscriber:
    """One consumer. ``receive`` must be called again and again from `ready` on: rebalances happen inside it."""

    def __init__(self, spec: SubscriberSpec) -> None:
        self._spec = spec
        self._topic = str(spec.objects["topic"])
        self._partitions = int(spec.objects["partitions"])
        self._header = str(spec.objects["topic_header"])  # there where this reader has a filter
        self._at_most_once = spec.reader.delivery == "at-most-once"
        self._group: str | None = spec.objects["groups"].get(spec.reader.name)
        self._turn: str | None = spec.objects["turns"].get(spec.reader.name)
        self._watch = ConnectionWatch()
        self._consumer: Consumer | None = None
        self._assigned = threading.Event()
        self._early: list[Message] = []  # came while `ready` was polling
        self._early_ns = 0
        self._settlement = Settlement()
        self._uncommitted: dict[Partition, int] = {}  # positions of dropped messages (at-most-once group)
        self._commit: _Commit | None = None
        self._commit_again_s = 0.0
        self._selected: dict[bytes, bool] = {}
        self._properties = self._configuration()

    def _configuration(self) -> dict[str, object]:
        spec = self._spec
        settings = {name: value for name, value in spec.settings.items() if name != CLIENT}  # of publishers
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
        try:
            answers = {"on_commit": self._on_commit} if self._at_most_once else {}
            self._consumer = Consumer({**self._properties, **self._watch.options(), **answers})
        except KafkaException as error:
            raise BrokerError(f"the Kafka client refused its settings: {error.args[0].str()}") from error
        deadline = time.monotonic() + CONNECT_TIMEOUT_S
        while True:
            try:
                found = self._consumer.list_topics(timeout=1.0).topics.get(self._topic)
                break
            except KafkaException as error:
                self._keep(self._consumer.poll(0))
                if self._watch.refused or time.monotonic() > deadline:
                    self.close()
                    raise unreachable(self._spec.endpoint, error, self._watch) from error
        if found is None:
            self.close()
            raise BrokerError(f"Kafka at {self._spec.endpoint.bootstrap} has no topic {self._topic!r}")
        if self._group is not None:
            self._consumer.subscribe([self._turn or self._topic], on_assign=self._on_assign, on_revoke=self._on_revoke)
        self._watch.connected = True
        self._watch.take()

    def _on_assign(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        if self._turn is not None:
            # Holding the turn means reading every partition of the channel, from where the group committed.
            consumer.assign([TopicPartition(self._topic, p) for p in range(self._partitions)] if partitions else [])
        self._assigned.set()

    def _on_revoke(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        # The next member goes on from what is committed: a later commit would set it back, what is kept comes twice.
        if self._turn is None:
            gone = {(place.topic, place.partition) for place in partitions}
            self._uncommitted = {at: offset for at, offset in self._uncommitted.items() if at not in gone}
            self._early = [one for one in self._early if (one.topic(), one.partition()) not in gone]
            return
        self._uncommitted, self._early = {}, []
        if not self._at_most_once:
            self._commit_stored(consumer)
        consumer.unassign()

    def _commit_stored(self, consumer: Consumer) -> None:
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
            self._keep(consumer.poll(0.05))

    def _start_at_the_end(self, consumer: Consumer, deadline: float) -> None:
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

    def _keep(self, message: Message | None) -> None:
        if message is not None:
            self._early.append(message)
            self._early_ns = time.monotonic_ns()

    def receive(self, max_messages: int, timeout_s: float) -> Deliveries:
        """Wait for a first message, then take what else has come."""
        consumer = self._open_consumer()
        if self._uncommitted and time.monotonic() >= self._commit_again_s:
            self._commit_first({})
        messages, first_ns = self._early[:max_messages], self._early_ns
        if messages:
            self._early = self._early[max_messages:]
        else:
            first = consumer.poll(timeout_s)
            if first is None:
                return self._deliveries([], 0, 0)
            messages, first_ns = [first], time.monotonic_ns()
        if max_messages > len(messages):
            messages += consumer.consume(max_messages - len(messages), 0)
        return self._deliveries(messages, first_ns, time.monotonic_ns())

    def _deliveries(self, messages: list[Message], first_ns: int, rest_ns: int) -> Deliveries:
        arrived = messages
        if any(map(_ERROR, messages)):
            self._note_errors(messages)
            arrived = [message for message in messages if message.error() is None]
        offsets = self._offsets(map(_PARTITION, arrived), map(_OFFSET, arrived))
        if offsets:
            self._watch.flowing("message")
            if self._group is not None and self._at_most_once and not self._commit_first(offsets):
                return self._deliveries([], 0, 0)
        wanted = arrived if self._spec.reader.topic_filter is None else [one for one in arrived if self._wants(one)]
        received_ns = np.full(len(wanted), rest_ns, dtype=np.int64)
        if wanted and wanted[0] is messages[0]:
            received_ns[0] = first_ns
        name = self._spec.stamp_property
        return Deliveries(
            [value or b"" for value in map(_VALUE, wanted)],
            None if name is None else [_header(one, name) for one in wanted],
            received_ns,
            np.full(len(wanted), REDELIVERED_NOT_OFFERED, dtype=np.uint8),
            self._open_token(offsets, len(wanted)),
        )

    def _offsets(self, partitions: Iterable[int], offsets: Iterable[int]) -> dict[Partition, int]:
        """Where each partition is to be read on, after messages in this order. All are of the channel's one topic."""
        last = dict(zip(partitions, offsets, strict=True))
        return {(self._topic, partition): offset + 1 for partition, offset in last.items()}

    def _note_errors(self, messages: list[Message]) -> None:
        for message in messages:
            if message.error() is not None:
                self._watch.note("error", message.error().str())

    def _wants(self, message: Message) -> bool:
        return self._selects(_header(message, self._header))

    def _selects(self, topic: bytes) -> bool:
        """The reader's filter, remembered per topic."""
        known = self._selected.get(topic)
        if known is None:
            known = self._selected[topic] = topic_matches(
                self._spec.reader.topic_filter, topic.decode(errors="replace")
            )
        return known

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
            self._keep(consumer.poll(_ANSWER_POLL_S))
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

    def acknowledge(self, deliveries: Deliveries) -> None:
        """Store offsets for the next commit. Of a partition that moved to another member they are dropped, noted."""
        if isinstance(deliveries.token, int):
            self._store(self._settlement.acknowledge(deliveries.token))

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
        """Every property that was given to librdkafka, without the password."""
        return shown(self._properties)

    def close(self) -> None:
        """Commit what is stored and leave the group. Bounded: with the broker gone the library may wait much longer."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            closing = threading.Thread(target=consumer.close, name="kafka-close", daemon=True)
            closing.start()
            closing.join(_CLOSE_TIMEOUT_S)

    def _open_consumer(self) -> Consumer:
        if self._consumer is None:
            raise BrokerError(f"subscriber {self._spec.name!r} is not open")
        return self._consumer


def _header(message: Message, name: str) -> bytes:
    return dict(message.headers() or ()).get(name) or b""


def _positions(offsets: dict[Partition, int]) -> list[TopicPartition]:
    return [TopicPartition(topic, number, offset) for (topic, number), offset in offsets.items()]
