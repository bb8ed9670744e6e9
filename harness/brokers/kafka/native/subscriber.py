"""The bulk subscriber on the C library: a batch a call, payloads read where the library has them.

The messages of a batch are the library's until the next ``receive``: their fields are gathered all at once, payloads
are looked at in place (``contract.Packed`` over the process's memory), and no Python object is made for any of them.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping

import numpy as np

from crep.harness.brokers.contract import REDELIVERED_NOT_OFFERED, Deliveries, Packed, SubscriberSpec
from crep.harness.brokers.kafka.native.consumer import NO_MESSAGES, NativeConsumer, Pointers
from crep.harness.brokers.kafka.native.library import NativeClientUnavailable, at, load
from crep.harness.brokers.kafka.native.memory import FIRST, int_at, process_memory, word_at
from crep.harness.brokers.kafka.reading import KafkaReading
from crep.harness.brokers.kafka.settlement import Partition

_ERR, _PARTITION, _OFFSET, _PAYLOAD, _LENGTH = map(at, ("err", "partition", "offset", "payload", "length"))


class NativeKafkaSubscriber(KafkaReading[NativeConsumer]):
    """One consumer, of a reader that needs no headers.

    Raises:
        NativeClientUnavailable: the C library cannot be used, or headers are to be read, one message at a time.
    """

    def __init__(self, spec: SubscriberSpec) -> None:
        if spec.stamp_property is not None or spec.reader.topic_filter is not None:
            raise NativeClientUnavailable("it reads the headers of its messages, which librdkafka gives one by one")
        super().__init__(spec)
        self._library = load()
        self._library_name = f"native (librdkafka {self._library.version})"
        self._memory = process_memory()
        self._early = NO_MESSAGES  # came while something else was waited for
        self._early_ns = 0
        self._handed_over = NO_MESSAGES  # the engine looks at them until it asks for more

    def _client(self, properties: Mapping[str, object]) -> NativeConsumer:
        committed = (lambda error: self._on_commit(error, [])) if self._at_most_once else None
        return NativeConsumer(self._library, dict(properties), failed=self._watch.failed, committed=committed)

    def _has_topic(self) -> bool:
        return self._open_consumer().has_topic(self._topic, 1.0)

    def _serve(self, timeout_s: float) -> None:
        came = self._open_consumer().take(1, timeout_s)
        if len(came):
            self._early = np.concatenate([self._early, came])
            self._early_ns = time.monotonic_ns()

    def _forget(self, partitions: Collection[int]) -> None:
        gone = np.isin(int_at(self._early, _PARTITION), list(partitions))
        if gone.any():
            self._open_consumer().release(self._early[gone])
            self._early = self._early[~gone]

    def receive(self, max_messages: int, timeout_s: float) -> Deliveries:
        """Wait for a first message, then take what else has come. Payloads stay valid until the next call."""
        consumer = self._open_consumer()
        self._release(consumer)
        self._commit_what_is_late()
        if len(self._early):
            came, self._early = self._early[:max_messages], self._early[max_messages:]
            received_ns = self._early_ns
        else:
            came = consumer.take(max_messages, timeout_s)
            received_ns = time.monotonic_ns()
        self._handed_over = came
        return self._deliveries(came, received_ns)

    def _release(self, consumer: NativeConsumer) -> None:
        held, self._handed_over = self._handed_over, NO_MESSAGES
        consumer.release(held)

    def _deliveries(self, came: Pointers, received_ns: int) -> Deliveries:
        errors = int_at(came, _ERR)
        if errors.any():
            for code in errors[errors != 0].tolist():
                self._watch.note("error", self._library.text(code))
            came = came[errors == 0]
        offsets = self._offsets(came)
        if not self._may_hand_over(offsets):
            came, offsets = NO_MESSAGES, {}
        count = len(came)
        return Deliveries(
            Packed(
                self._memory, word_at(came, _PAYLOAD).astype(np.int64) - FIRST, word_at(came, _LENGTH).astype(np.int64)
            ),
            None,
            np.full(count, received_ns, np.int64),
            np.full(count, REDELIVERED_NOT_OFFERED, np.uint8),
            self._open_token(offsets, count),
        )

    def _offsets(self, came: Pointers) -> dict[Partition, int]:
        """Where each partition is to be read on: behind its last message. All are of the channel's one topic."""
        if not len(came):
            return {}
        partitions = int_at(came, _PARTITION)
        behind = np.zeros(int(partitions.max()) + 1, np.int64)
        behind[partitions] = word_at(came, _OFFSET).astype(np.int64) + 1  # the last of equal indices stays
        return {(self._topic, number): int(behind[number]) for number in np.flatnonzero(behind).tolist()}

    def close(self) -> None:
        """Give the messages back, then as ``KafkaReading``."""
        if self._consumer is not None:
            self._release(self._consumer)
            self._consumer.release(self._early)
            self._early = NO_MESSAGES
        super().close()
