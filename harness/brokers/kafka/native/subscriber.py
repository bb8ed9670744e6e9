"""The bulk subscriber on the C library: a batch a call, payloads read where the library has them.

The messages of a batch are the library's until the next ``receive``: their fields are gathered all at once, payloads
are looked at in place (``contract.Packed`` over the process's memory), and no Python object is made for any of them.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import NDArray

from crep.harness.brokers.contract import REDELIVERED_NOT_OFFERED, Deliveries, SubscriberSpec
from crep.harness.brokers.kafka.native.consumer import NO_MESSAGES, NativeConsumer, Pointers
from crep.harness.brokers.kafka.native.library import MESSAGE, NativeClientUnavailable, load
from crep.harness.brokers.kafka.native.memory import FIRST, process_memory, structures_at
from crep.harness.brokers.kafka.reading import KafkaReading
from crep.harness.brokers.kafka.settlement import Partition
from crep.harness.brokers.packed import Packed

_NONE = np.zeros(0, MESSAGE)


class NativeKafkaSubscriber(KafkaReading[NativeConsumer]):
    """One consumer, of a reader that needs no headers.

    Raises:
        NativeClientUnavailable: the C library cannot be used, or headers are to be read, one message at a time.
    """

    def __init__(self, spec: SubscriberSpec) -> None:
        if spec.stamp_property is not None or spec.reader.topic_filter is not None:
            raise NativeClientUnavailable("it reads the headers of its messages, which librdkafka gives one by one")
        if spec.reader.dead_letters_after is not None:
            raise NativeClientUnavailable("it keeps the messages that its reader fails to process, headers and all")
        super().__init__(spec)
        self._library = load()
        self._library_name = f"native (librdkafka {self._library.version})"
        self._memory = process_memory()
        self._early = NO_MESSAGES  # came while something else was waited for
        self._early_ns = 0
        self._handed_over = NO_MESSAGES  # the engine looks at them until it asks for more

    def _client(self, properties: Mapping[str, object]) -> NativeConsumer:
        committed = (lambda error: self._on_commit(error, [])) if self._at_most_once else None
        watch = self._watch
        return NativeConsumer(
            self._library, dict(properties), failed=watch.failed, logged=watch.logged, committed=committed
        )

    def _has_topic(self) -> bool:
        return self._open_consumer().has_topic(self._topic, 1.0)

    def _serve(self, timeout_s: float) -> None:
        came = self._open_consumer().take(1, timeout_s)
        if len(came):
            self._early = np.concatenate([self._early, came])
            self._early_ns = time.monotonic_ns()

    def _forget(self, partitions: Collection[int]) -> None:
        gone = np.isin(structures_at(self._early, MESSAGE)["partition"], list(partitions))
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
        messages = structures_at(came, MESSAGE)
        if messages["err"].any():
            for code in messages["err"][messages["err"] != 0].tolist():
                self._watch.note("error", self._library.text(code))
            messages = messages[messages["err"] == 0]
        offsets = self._offsets(messages["partition"], messages["offset"])
        if not self._may_hand_over(offsets):
            messages, offsets = _NONE, {}
        count = len(messages)
        starts = messages["payload"].astype(np.int64) - FIRST
        return Deliveries(
            Packed(self._memory, starts, messages["length"].astype(np.int64)),
            None,
            np.full(count, received_ns, np.int64),
            np.full(count, REDELIVERED_NOT_OFFERED, np.uint8),
            self._open_token(offsets, count),
        )

    def _offsets(self, partitions: NDArray[np.int32], offsets: NDArray[np.int64]) -> dict[Partition, int]:
        """Where each partition is to be read on: behind its last message. All are of the channel's one topic."""
        if not len(partitions):
            return {}
        behind = np.zeros(int(partitions.max()) + 1, np.int64)
        behind[partitions] = offsets + 1  # of equal indices the last one stays
        return {(self._topic, number): int(behind[number]) for number in np.flatnonzero(behind).tolist()}

    def close(self) -> None:
        """Give the messages back, then as ``KafkaReading``."""
        if self._consumer is not None:
            self._release(self._consumer)
            self._consumer.release(self._early)
            self._early = NO_MESSAGES
        super().close()
