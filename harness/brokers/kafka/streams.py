"""Streams over Kafka: one consumer of a group with offsets committed as far as everything before is accepted, one
idempotent producer."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import cast

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka import Message as KafkaMessage

from crep.harness.brokers.contract import BrokerError, ClientEvent, Message, Outcome
from crep.harness.brokers.kafka.client import ConnectionWatch, connection, given_up, shown
from crep.harness.brokers.kafka.messages import from_kafka, to_headers
from crep.harness.brokers.kafka.presence import await_cluster
from crep.harness.brokers.streams import GiveBack, Sent, SinkSpec, SourceSpec

COMMIT_EVERY_S = 0.2
HOLD_AFTER_S = 1.0
"""A pause throws away what the library has fetched ahead, so a sink that is full for a moment causes none."""
TOPICS_WITHIN_S = 2.0
"""How long a sink's topics may be unknown to a broker that answers: of new ones it learns a moment later."""
_LAST_COMMIT_S = 5.0
_CLOSE_S = 0.005
_ACKNOWLEDGED = Outcome.ACKNOWLEDGED
_made = tuple.__new__
Partition = tuple[str, int]  # topic, number


class OpenOffsets:
    """One partition's messages under way, accepted in any order; the offset up to which all is accepted. Pure."""

    def __init__(self) -> None:
        self._open: deque[int] = deque()
        self._accepted: set[int] = set()
        self.settled: int | None = None  # the next offset to read; None: nothing was accepted yet

    def received(self, offset: int) -> None:
        """A message came; offsets only rise."""
        self._open.append(offset)

    def accept(self, offset: int) -> None:
        """It is done with."""
        if self._open and self._open[0] == offset and not self._accepted:  # in order, as nearly always
            self.settled = self._open.popleft() + 1
            return
        self._accepted.add(offset)
        while self._open and self._open[0] in self._accepted:
            self.settled = self._open.popleft() + 1
            self._accepted.discard(self.settled - 1)

    def again_from(self, offset: int) -> None:
        """Everything from this offset on will come again."""
        while self._open and self._open[-1] >= offset:
            self._accepted.discard(self._open.pop())


_Token = tuple[OpenOffsets, Partition, int]
"""Of a received message: the offsets of the assignment that it came with (another one is another object), its partition
and offset. A plain tuple, as there is one for each message."""


class KafkaSource:
    """A member of a group. See ``streams.Source``."""

    def __init__(self, spec: SourceSpec) -> None:
        if spec.group is None:
            raise BrokerError(f"{spec.name}: a Kafka source needs a group")
        self._spec = spec
        self._watch = ConnectionWatch()
        self._properties = {
            "auto.offset.reset": "earliest",
            "fetch.queue.backoff.ms": 1,
            **connection(spec.endpoint, spec.name),
            **spec.settings,
            "group.id": spec.group,
            "enable.auto.commit": False,
        }
        self._consumer: Consumer | None = None
        self._offsets: dict[Partition, OpenOffsets] = {}
        self._committed: dict[Partition, int] = {}
        self._committed_s = 0.0
        self._give_back: GiveBack = lambda: None
        self._held_since_s: float | None = None
        self._paused = False
        self._early: list[KafkaMessage] = []  # came while nothing was to be taken

    def open(self, give_back: GiveBack | None = None) -> None:
        """See ``Source``; the topics are looked up, so that a wrong name is told at once."""
        self._give_back = give_back or self._give_back
        try:
            consumer = Consumer({**self._properties, **self._watch.options()})
        except KafkaException as error:
            raise BrokerError(f"the Kafka client refused its settings: {error.args[0].str()}") from error
        self._consumer = consumer
        try:
            await_cluster(consumer, self._spec.endpoint, self._watch, self._spec.places)
        except BrokerError:
            self.close()
            raise
        consumer.subscribe(
            list(self._spec.places), on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost
        )

    def _assigned(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        for one in partitions:
            self._offsets[one.topic, one.partition] = OpenOffsets()

    def _revoked(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self._early.clear()  # behind what is committed: whoever gets the partition reads it
        self._give_back()
        self._commit(wait=True)
        self._forget(partitions)

    def _lost(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        """Another member may read them already: nothing is committed."""
        self._forget(partitions)

    def _forget(self, partitions: Iterable[TopicPartition]) -> None:
        for one in partitions:
            self._offsets.pop((one.topic, one.partition), None)
            self._committed.pop((one.topic, one.partition), None)

    def receive(self, max_messages: int, timeout_s: float) -> list[Message]:
        """See ``Source``."""
        consumer = self._open_consumer()
        if time.monotonic() - self._committed_s >= COMMIT_EVERY_S:
            self._commit(wait=False)
        if max_messages <= 0:
            self._hold(consumer, timeout_s)
            return []
        self._held_since_s = None
        if self._paused:
            self._paused = False
            consumer.resume(consumer.assignment())
        raws, self._early = self._early[:max_messages], self._early[max_messages:]
        if not raws:
            raws = consumer.consume(1, timeout_s)
            if raws and max_messages > 1:
                raws += consumer.consume(max_messages - 1, 0)
        if not raws:
            self._watch.see_that_it_is_worth_trying(self._spec.reconnect_for_s, self._spec.endpoint)
        return self._messages(raws)

    def _hold(self, consumer: Consumer, timeout_s: float) -> None:
        """Membership is kept by polling; what a poll brings although all is paused waits here."""
        now = time.monotonic()
        if self._held_since_s is None:
            self._held_since_s = now
        if now - self._held_since_s < HOLD_AFTER_S:
            time.sleep(timeout_s)
            return
        if not self._paused:
            self._paused = True
            consumer.pause(consumer.assignment())
        raw = consumer.poll(timeout_s)
        if raw is not None:
            self._early.append(raw)

    def _messages(self, raws: list[KafkaMessage]) -> list[Message]:
        messages: list[Message] = []
        topic_header = self._spec.topic_header
        partition: Partition | None = None
        offsets: OpenOffsets | None = None
        for raw in raws:
            error = raw.error()
            if error is not None:
                self._watch.note("error", error.str())
                continue
            here = (raw.topic(), raw.partition())
            if here != partition:  # the library gives many of one partition in a row
                partition, offsets = here, self._offsets.get(here)
            if offsets is None:
                continue  # of a partition that was taken away
            offset = raw.offset()
            offsets.received(offset)
            messages.append(from_kafka(raw, topic_header, (offsets, partition, offset)))
        if messages:
            self._watch.flowing("message")
        return messages

    def accept(self, messages: Sequence[Message]) -> None:
        """See ``Source``; committed with the next ones that come, ``COMMIT_EVERY_S`` later at the earliest."""
        known: OpenOffsets | None = None
        ours = False
        for message in messages:
            offsets, partition, offset = _token_of(message)
            if offsets is not known:
                known, ours = offsets, self._offsets.get(partition) is offsets
            if ours:
                offsets.accept(offset)

    def fail(self, messages: Sequence[Message]) -> None:
        """See ``Source``."""
        first: dict[Partition, int] = {}
        for message in messages:
            offsets, partition, offset = _token_of(message)
            if self._offsets.get(partition) is offsets:
                first[partition] = min(offset, first.get(partition, offset))
        for partition, offset in first.items():
            old = self._offsets[partition]
            old.again_from(offset)
            self._early = [raw for raw in self._early if (raw.topic(), raw.partition()) != partition]
            self._open_consumer().seek(TopicPartition(*partition, offset))

    def _commit(self, *, wait: bool) -> None:
        self._committed_s = time.monotonic()
        due = {
            partition: offsets.settled
            for partition, offsets in self._offsets.items()
            if offsets.settled is not None and offsets.settled != self._committed.get(partition)
        }
        if not due:
            return
        try:
            self._open_consumer().commit(
                offsets=[TopicPartition(*partition, offset) for partition, offset in due.items()],
                asynchronous=not wait,
            )
        except KafkaException as error:
            self._watch.note("error", f"offsets were not committed: {error.args[0].str()}")
            return
        self._committed.update(due)

    def backlog(self) -> int | None:
        """Messages behind the committed offsets of this member's own partitions, as far as the broker told."""
        consumer, total = self._open_consumer(), 0
        for partition, offsets in self._offsets.items():
            try:
                low, high = consumer.get_watermark_offsets(TopicPartition(*partition), cached=True)
            except KafkaException:
                return None
            if high < 0:
                return None
            total += max(0, high - max(low, offsets.settled or self._committed.get(partition, low)))
        return total

    def events(self) -> list[ClientEvent]:
        """See ``Source``."""
        return self._watch.take()

    def effective_settings(self) -> dict[str, str]:
        """See ``Source``."""
        return shown(self._properties)

    def close(self) -> None:
        """See ``Source``."""
        if self._consumer is not None:
            self._commit(wait=True)
            self._consumer.close()
            self._consumer = None

    def _open_consumer(self) -> Consumer:
        if self._consumer is None:
            raise BrokerError(f"source {self._spec.name!r} is not open")
        return self._consumer


def _token_of(message: Message) -> _Token:
    token = message.token
    if type(token) is not tuple or not isinstance(token[0], OpenOffsets):
        raise BrokerError("only a message that was received from this source can be settled here")
    return cast(_Token, token)


class KafkaSink:
    """One idempotent producer. See ``streams.Sink``."""

    def __init__(self, spec: SinkSpec) -> None:
        self._spec = spec
        self._watch = ConnectionWatch()
        self._producer: Producer | None = None
        self._sent: list[Sent] = []
        self._pending = 0
        self._properties: Mapping[str, object] = {
            "linger.ms": 5,
            "partitioner": "murmur2_random",
            **connection(spec.endpoint, spec.name),
            **spec.settings,
            "acks": "all",
            "enable.idempotence": True,
        }

    def open(self) -> None:
        """See ``Sink``."""
        try:
            self._producer = Producer({**self._properties, **self._watch.options()})
        except KafkaException as error:
            raise BrokerError(f"the Kafka client refused its settings: {error.args[0].str()}") from error
        try:
            await_cluster(self._producer, self._spec.endpoint, self._watch, self._spec.must_exist, TOPICS_WITHIN_S)
        except BrokerError:
            self.close()
            raise
        self._watch.connected = True
        self._watch.take()

    def send(self, message: Message, token: int) -> bool:
        """See ``Sink``; what the library refuses to compose is *rejected* at once."""
        spec = self._spec
        try:
            # By place: taking these by name costs the library half as much again as all else that it does here.
            self._open_producer().produce(
                spec.topic or message.topic,
                None if message.null_payload else message.payload,
                message.key,
                -1,  # the partition follows the key
                partial(self._report, token),
                None,
                0,
                to_headers(message, spec.topic_header),
            )
        except BufferError:
            return False
        except KafkaException as error:
            self._sent.append(Sent(token, Outcome.REJECTED, str(error.args[0].str())))
        self._pending += 1
        return True

    def _report(self, token: int, error: KafkaError | None, _: KafkaMessage) -> None:
        if error is None:
            self._sent.append(_made(Sent, (token, _ACKNOWLEDGED, None)))  # as the constructor does, in half its time
        else:
            self._sent.append(Sent(token, given_up(error), str(error.str())))

    def poll(self, timeout_s: float) -> list[Sent]:
        """See ``Sink``."""
        producer = self._open_producer()
        producer.poll(0)
        if not self._sent and timeout_s > 0:
            producer.poll(timeout_s)
        if not self._sent and self._pending:
            self._watch.see_that_it_is_worth_trying(self._spec.reconnect_for_s, self._spec.endpoint)
        sent, self._sent = self._sent, []
        self._pending -= len(sent)
        if any(one.outcome is Outcome.ACKNOWLEDGED for one in sent):
            self._watch.flowing("delivery report")
        return sent

    def drain(self, timeout_s: float) -> list[Sent]:
        """See ``Sink``."""
        producer, deadline = self._open_producer(), time.monotonic() + timeout_s
        while self._pending > len(self._sent) and (left := deadline - time.monotonic()) > 0:
            producer.flush(min(left, 0.1))
        return self.poll(0)

    @property
    def pending(self) -> int:
        """See ``Sink``."""
        return self._pending

    def events(self) -> list[ClientEvent]:
        """See ``Sink``."""
        return self._watch.take()

    def effective_settings(self) -> dict[str, str]:
        """See ``Sink``."""
        return shown(self._properties)

    def close(self) -> None:
        """See ``Sink``."""
        if self._producer is not None:
            self._producer.purge(blocking=False)
            self._producer.poll(_CLOSE_S)
            self._producer = None

    def _open_producer(self) -> Producer:
        if self._producer is None:
            raise BrokerError(f"sink {self._spec.name!r} is not open")
        return self._producer
