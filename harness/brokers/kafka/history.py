"""Kafka's log, read by partition from an offset or a time up to where it ended when it was opened."""

from __future__ import annotations

import time
from collections.abc import Sequence

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka import Message as KafkaMessage

from crep.harness.brokers.contract import BrokerError, ClientEvent, Message, NotSupported
from crep.harness.brokers.history import HistorySpec
from crep.harness.brokers.kafka.client import CONNECT_TIMEOUT_S, ConnectionWatch, connection, shown, unreachable
from crep.harness.brokers.kafka.messages import from_kafka
from crep.harness.brokers.streams import GiveBack

_ANSWER_S = 10.0
Partition = tuple[str, int]  # topic, number


class KafkaHistory:
    """See ``history.History``. Partitions come each in order, among each other by chance."""

    def __init__(self, spec: HistorySpec) -> None:
        if spec.after is not None:
            raise NotSupported(
                "Kafka has no message ids to begin behind", hint="give offsets by partition, or a time to begin from"
            )
        self._spec = spec
        self._watch = ConnectionWatch()
        self._properties = {
            "fetch.queue.backoff.ms": 1,
            **connection(spec.endpoint, spec.name),
            **spec.settings,
            "group.id": spec.name,  # the library asks for one; nothing is joined or committed
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
        }
        self._consumer: Consumer | None = None
        self._open: dict[Partition, int] = {}  # those that are not read to their end, with the offset behind it

    def open(self, give_back: GiveBack | None = None) -> None:
        """Find where each partition begins and ends, and assign them. Raises BrokerError."""
        del give_back
        try:
            self._consumer = consumer = Consumer({**self._properties, **self._watch.options()})
        except KafkaException as error:
            raise BrokerError(f"the Kafka client refused its settings: {error.args[0].str()}") from error
        try:
            assigned = [one for place in self._spec.places for one in self._bounded(consumer, place)]
            consumer.assign(assigned)
        except KafkaException as error:
            self.close()
            raise BrokerError(f"Kafka at {self._spec.endpoint.bootstrap}: {error.args[0].str()}") from error
        except BrokerError:
            self.close()
            raise

    def _bounded(self, consumer: Consumer, topic: str) -> list[TopicPartition]:
        numbers = self._partitions(consumer, topic)
        chosen = self._spec.offsets
        for number in chosen:
            if number not in numbers:
                raise BrokerError(f"topic {topic!r} has no partition {number}: it has {len(numbers)}")
        wanted = [number for number in numbers if not chosen or number in chosen]
        firsts = self._at(consumer, topic, wanted, self._spec.since_ms)
        lasts = self._at(consumer, topic, wanted, self._spec.until_ms)
        assigned = []
        for number in wanted:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, number), _ANSWER_S)
            first, last = firsts.get(number, low), min(lasts.get(number, high), high)
            if number in chosen:
                first = chosen[number]
                if not low <= first <= high:
                    raise BrokerError(
                        f"{topic}[{number}] has the offsets {low} to {high}, not {first}",
                        hint="retention may have removed it",
                    )
            first = max(low, self._spec.reached.get(f"{topic}[{number}]", first))
            if first < last:
                self._open[topic, number] = last
                assigned.append(TopicPartition(topic, number, first))
        return assigned

    def _partitions(self, consumer: Consumer, topic: str) -> list[int]:
        deadline = time.monotonic() + CONNECT_TIMEOUT_S
        while True:
            try:
                found = consumer.list_topics(topic, timeout=1.0).topics[topic]
            except KafkaException as error:
                if self._watch.refused or time.monotonic() > deadline:
                    raise unreachable(self._spec.endpoint, error, self._watch) from error
                continue
            if found.error is None and found.partitions:
                return sorted(found.partitions)
            if time.monotonic() > deadline:
                raise BrokerError(
                    f"Kafka at {self._spec.endpoint.bootstrap} has no topic {topic!r}", hint="correct its name"
                )
            time.sleep(0.1)

    def _at(self, consumer: Consumer, topic: str, numbers: Sequence[int], at_ms: int | None) -> dict[int, int]:
        """The first offset of each partition whose message has this time or a later one; absent: the edge itself."""
        if at_ms is None or not numbers:
            return {}
        asked = [TopicPartition(topic, number, at_ms) for number in numbers]
        found: dict[int, int] = {}
        for one in consumer.offsets_for_times(asked, _ANSWER_S):
            if one.error is not None:
                raise KafkaException(one.error)
            if one.offset in (OFFSET_END, -1):  # all are older
                found[one.partition] = consumer.get_watermark_offsets(TopicPartition(topic, one.partition), _ANSWER_S)[
                    1
                ]
            elif one.offset != OFFSET_BEGINNING:
                found[one.partition] = one.offset
        return found

    def receive(self, max_messages: int, timeout_s: float) -> list[Message]:
        """See ``Source``; what lies behind the end is passed over."""
        if max_messages <= 0:
            time.sleep(timeout_s)
            return []
        if not self._open:
            return []
        messages = []
        for raw in self._started().consume(max_messages, timeout_s):
            message = self._message(raw)
            if message is not None:
                messages.append(message)
        return messages

    def _message(self, raw: KafkaMessage) -> Message | None:
        partition, offset, error = (raw.topic(), raw.partition()), raw.offset(), raw.error()
        if error is not None:
            # the end of a partition comes as an error: where a compacted or transactional log ends without a message
            if error.code() == KafkaError._PARTITION_EOF:
                if partition in self._open and offset >= self._open[partition]:
                    self._end(partition)
            elif error.code() == KafkaError._AUTO_OFFSET_RESET:
                raise BrokerError(
                    f"{partition[0]}[{partition[1]}]: {error.str()}", hint="retention may have removed it"
                )
            else:
                self._watch.note("error", error.str())
            return None
        last = self._open.get(partition)
        if last is None:
            return None
        if offset >= last - 1:
            self._end(partition)
        return None if offset >= last else from_kafka(raw, self._spec.topic_header)

    def _end(self, partition: Partition) -> None:
        del self._open[partition]
        self._started().incremental_unassign([TopicPartition(*partition)])

    def ended(self) -> bool:
        """See ``History``."""
        return not self._open

    def accept(self, messages: Sequence[Message]) -> None:
        """Nothing is settled: the log stays as it is."""

    def fail(self, messages: Sequence[Message]) -> None:
        """Not offered: whoever wants it again opens it again."""
        raise NotSupported("a history is read once; open it again to read it again")

    def backlog(self) -> int | None:
        """See ``Source``; not counted."""
        return None

    def events(self) -> list[ClientEvent]:
        """See ``Source``."""
        return self._watch.take()

    def effective_settings(self) -> dict[str, str]:
        """See ``Source``."""
        return shown(self._properties)

    def close(self) -> None:
        """See ``Source``."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def _started(self) -> Consumer:
        if self._consumer is None:
            raise BrokerError(f"history {self._spec.name!r} is not open")
        return self._consumer
