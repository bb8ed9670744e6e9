"""The bulk subscriber on the package's objects: one `Message` of confluent-kafka for each message."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from operator import methodcaller

import numpy as np
from confluent_kafka import Consumer, KafkaException, Message
from numpy.typing import NDArray

from crep.harness.brokers.contract import (
    REDELIVERED_NOT_OFFERED,
    BrokerError,
    Deliveries,
    SubscriberSpec,
)
from crep.harness.brokers.kafka.dead_letters import DeadLettering
from crep.harness.brokers.kafka.reading import KafkaReading
from crep.harness.brokers.kafka.settlement import Partition
from crep.harness.brokers.topics import topic_matches

_ERROR, _PARTITION, _OFFSET, _VALUE = (methodcaller(name) for name in ("error", "partition", "offset", "value"))


class KafkaSubscriber(KafkaReading[Consumer]):
    """One consumer; the only one that reads headers: for a reader with a filter, and for stamps in a property."""

    def __init__(self, spec: SubscriberSpec) -> None:
        super().__init__(spec)
        self._header = str(spec.objects["topic_header"])  # there where this reader has a filter
        self._selected: dict[bytes, bool] = {}
        self._early: list[Message] = []  # came while something else was waited for
        self._early_ns = 0
        self._library_name = "api"
        self._handed_over: list[Message] = []  # by the last `receive`
        self._is_turn_of_fresh = False
        gives_up = spec.reader.dead_letters_after is not None
        self._failures = DeadLettering(spec, self._settled, self._watch) if gives_up else None

    def open(self) -> None:
        """As ``KafkaReading``, and ready to write dead letters."""
        super().open()
        if self._failures is not None:
            self._failures.open()

    def instead_of_native(self, reason: str) -> None:
        """The C library was asked for and cannot be used: say so among the events and in the provenance."""
        self._fallback = f"client 'native' cannot be used, 'api' is used instead: {reason}"
        self._library_name = f"api (native cannot be used: {reason})"

    def _client(self, properties: Mapping[str, object]) -> Consumer:
        answers = {"on_commit": self._on_commit} if self._at_most_once else {}
        try:
            return Consumer({**properties, **self._watch.options(), **answers})
        except KafkaException as error:
            raise BrokerError(f"the Kafka client refused its settings: {error.args[0].str()}") from error

    def _has_topic(self) -> bool:
        # All topics: asking for one by name may make a broker create it.
        return self._topic in self._open_consumer().list_topics(timeout=1.0).topics

    def _serve(self, timeout_s: float) -> None:
        message = self._open_consumer().poll(timeout_s)
        if message is not None:
            self._early.append(message)
            self._early_ns = time.monotonic_ns()

    def _forget(self, partitions: Collection[int]) -> None:
        self._early = [message for message in self._early if message.partition() not in partitions]
        if self._failures is not None:
            self._settlement.forget({(self._topic, partition) for partition in partitions})
            self._failures.forget(partitions)

    def receive(self, max_messages: int, timeout_s: float) -> Deliveries:
        """Wait for a first message, then take what else has come; in turns with what the reader failed to process."""
        if self._failures is None or not self._failures.waiting():
            return self._fresh(max_messages, timeout_s)
        if self._is_turn_of_fresh:
            self._is_turn_of_fresh = False
            if len(fresh := self._fresh(max_messages, 0.0)):
                return fresh
        self._is_turn_of_fresh = True
        again = self._failures.again(max_messages)
        came_ns = np.full(len(again), time.monotonic_ns(), np.int64)
        return self._as_deliveries([one.message for one in again], came_ns, again)

    def _fresh(self, max_messages: int, timeout_s: float) -> Deliveries:
        consumer = self._open_consumer()
        self._commit_what_is_late()
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
        last = dict(zip(map(_PARTITION, arrived), map(_OFFSET, arrived), strict=True))  # of the channel's one topic
        offsets: dict[Partition, int] = {(self._topic, number): offset + 1 for number, offset in last.items()}
        if not self._may_hand_over(offsets):
            return self._deliveries([], 0, 0)
        wanted = arrived if self._spec.reader.topic_filter is None else [one for one in arrived if self._wants(one)]
        received_ns = np.full(len(wanted), rest_ns, dtype=np.int64)
        if wanted and wanted[0] is messages[0]:
            received_ns[0] = first_ns
        self._handed_over = wanted
        return self._as_deliveries(wanted, received_ns, self._open_token(offsets, len(wanted)))

    def _as_deliveries(self, messages: list[Message], received_ns: NDArray[np.int64], token: object) -> Deliveries:
        name = self._spec.stamp_property
        return Deliveries(
            [value or b"" for value in map(_VALUE, messages)],
            None if name is None else [_header(one, name) for one in messages],
            received_ns,
            np.full(len(messages), REDELIVERED_NOT_OFFERED, dtype=np.uint8),
            token,
        )

    def acknowledge(self, deliveries: Deliveries) -> None:
        """Store offsets for the next commit; of what came again, the reader could process it now."""
        if self._failures is None or not isinstance(deliveries.token, list):
            super().acknowledge(deliveries)
            return
        for one in deliveries.token:
            self._failures.processed(one)

    def settle(self, deliveries: Deliveries, failed: NDArray[np.intp]) -> None:
        """As ``acknowledge``; what failed is kept, and its delivery's offsets are not stored until that is settled."""
        failures, token, places = self._failures, deliveries.token, failed.tolist()
        if failures is None:
            super().settle(deliveries, failed)
        elif not places:
            self.acknowledge(deliveries)
        elif isinstance(token, list):
            for place, one in enumerate(token):
                (failures.failed_again if place in set(places) else failures.processed)(one)
        elif isinstance(token, int):
            failures.failed([self._handed_over[place] for place in places], token)

    def _settled(self, token: int) -> None:
        """Nothing of a delivery is kept any more."""
        self._store(self._settlement.acknowledge(token))

    def close(self) -> None:
        """Write the dead letters that are under way, then as ``KafkaReading``."""
        if self._failures is not None:
            self._failures.close()
        super().close()

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


def _header(message: Message, name: str) -> bytes:
    return dict(message.headers() or ()).get(name) or b""
