"""Dead letters on Kafka, which has none: the consuming client does it (a workaround, named in the mapping).

::

    receive ─▶ reader fails ─▶ kept in memory ─▶ receive (again) … the last time ─▶ dead letter topic ─▶ acknowledged
                  │                                                                                          │
                  └─ its offset, and those behind it in the partition, are not committed ◄── until then ─────┘

Meanwhile the partition's other messages go on, in turns with those that failed, which are handed to the reader again
at once. A client that crashes has committed nothing of it: whoever reads the partition next counts its deliveries
anew, and may write it into the dead letter topic a second time.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import partial

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from crep.harness.brokers.contract import SubscriberSpec
from crep.harness.brokers.kafka.client import ConnectionWatch, connection

ORIGIN, REASON, DELIVERIES = "crep-dead-letter-of", "crep-dead-letter-reason", "crep-dead-letter-deliveries"
"""Headers of a dead letter: ``topic[partition]@offset``, words, and a number."""
_FLUSH_S = 5.0
_AGAIN_AFTER_S = 1.0


@dataclass(frozen=True)
class Failed:
    """A message that the reader failed to process ``deliveries`` times; ``token`` is that of its first delivery."""

    message: Message
    token: int
    deliveries: int


class DeadLettering:
    """What one member failed to process. Used by one thread.

    Args:
        spec: the member; its reader has ``dead_letters_after``.
        settled: called with the token of a delivery of which nothing is kept here any more.
        watch: told what goes wrong.
    """

    def __init__(self, spec: SubscriberSpec, settled: Callable[[int], None], watch: ConnectionWatch) -> None:
        limit = spec.reader.dead_letters_after
        assert limit is not None  # noqa: S101 - the caller asked
        self._limit, self._settled, self._watch = limit, settled, watch
        self._topic = str(spec.objects["dead_letter_topics"][spec.reader.name])
        self._spec = spec
        self._producer: Producer | None = None
        self._waiting: deque[Failed] = deque()  # to be handed over again
        self._refused: deque[Failed] = deque()  # by the dead letter topic
        self._refused_s = 0.0
        self._kept: Counter[int] = Counter()  # token → messages that are here

    def open(self) -> None:
        """Make the producer; it connects by itself."""
        largest = self._spec.objects.get("max_message_bytes") or 0
        properties = connection(self._spec.endpoint, f"{self._spec.name}-dead-letters") | {
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": 5,
            "message.max.bytes": max(1_000_000, 3 * largest),
            "delivery.timeout.ms": max(1000, round(self._spec.reconnect_for_s * 1000)),
        }
        self._producer = Producer(properties | self._watch.options())

    def failed(self, messages: Collection[Message], token: int) -> None:
        """Keep messages of a first delivery, to be handed over again; not empty."""
        self._kept[token] += len(messages)
        for message in messages:
            self._count(Failed(message, token, 1))

    def failed_again(self, one: Failed) -> None:
        """The reader failed at it once more."""
        self._count(replace(one, deliveries=one.deliveries + 1))

    def processed(self, one: Failed) -> None:
        """It needs no further delivery."""
        self._kept[one.token] -= 1
        if not self._kept[one.token]:
            del self._kept[one.token]
            self._settled(one.token)

    def waiting(self) -> bool:
        """Let the dead letter topic's acknowledgements come in; whether anything is to be handed over again."""
        if self._producer is not None:
            self._producer.poll(0)
        if self._refused and time.monotonic() >= self._refused_s:
            self._bury(self._refused.popleft())
        return bool(self._waiting)

    def again(self, most: int) -> list[Failed]:
        """What is to be handed over again."""
        return [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]

    def forget(self, partitions: Collection[int]) -> None:
        """Drop what is of partitions that are another member's now, which will get it from there."""
        for kept in (self._waiting, self._refused):
            for one in [one for one in kept if one.message.partition() in partitions]:
                kept.remove(one)
                self.processed(one)

    def close(self) -> None:
        """Wait a little for acknowledgements; what has none stays uncommitted."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.flush(_FLUSH_S)

    def _count(self, one: Failed) -> None:
        if one.deliveries < self._limit:
            self._waiting.append(one)
        else:
            self._bury(one)

    def _bury(self, one: Failed) -> None:
        if self._producer is None:
            return  # closing: whoever reads the partition next will get it
        message = one.message
        origin = f"{message.topic()}[{message.partition()}]@{message.offset()}"
        headers = [
            *(message.headers() or ()),
            (ORIGIN, origin.encode()),
            (REASON, f"not processed in {one.deliveries} deliveries".encode()),
            (DELIVERIES, str(one.deliveries).encode()),
        ]
        report = partial(self._buried, one)
        try:
            self._producer.produce(self._topic, message.value(), message.key(), headers=headers, on_delivery=report)
        except (BufferError, KafkaException) as error:
            self._not_buried(one, str(error))

    def _buried(self, one: Failed, error: KafkaError | None, _message: Message) -> None:
        if error is None:
            self.processed(one)
        else:
            self._not_buried(one, error.str())

    def _not_buried(self, one: Failed, reason: str) -> None:
        self._watch.note("error", f"the dead letter topic {self._topic!r} did not take a message: {reason}")
        self._refused.append(one)
        self._refused_s = time.monotonic() + _AGAIN_AFTER_S
