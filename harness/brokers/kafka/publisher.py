"""The bulk publisher on librdkafka: an outcome per message, the library's own queue as window, no resend above it."""

from __future__ import annotations

import time
from functools import partial

import numpy as np
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from crep.harness.brokers.contract import Batch, BrokerError, ClientEvent, Outcome, Outcomes, PublisherSpec
from crep.harness.brokers.kafka.client import (
    CONNECT_TIMEOUT_S,
    ConnectionWatch,
    connection,
    given_up,
    shown,
    unreachable,
)

_POLL_AT_MOST_S = 0.005


class KafkaPublisher:
    """One producer for one channel.

    A message that the library gives up on without proof is reported ``UNKNOWN`` with its reason: it will get no other
    outcome. In direct mode (``acks=0``) the library says "delivered" when it has written to the socket; that is
    ``SENT`` and nothing more.
    """

    def __init__(self, spec: PublisherSpec) -> None:
        self._spec = spec
        self._watch = ConnectionWatch()
        self._producer: Producer | None = None
        self._topic = str(spec.objects["topic"])
        header = str(spec.objects["topic_header"])
        self._topic_headers = [[(header, topic.encode())] for topic in spec.topics]
        self._keys: dict[int, bytes] = {}
        self._success = Outcome.ACKNOWLEDGED if spec.guaranteed else Outcome.SENT
        self._sequences: list[int] = []
        self._outcomes: list[int] = []
        self._stamps: list[int] = []
        self._reasons: dict[int, str] = {}
        self._in_flight = 0
        self._properties = self._configuration()

    def _configuration(self) -> dict[str, object]:
        spec = self._spec
        properties = connection(spec.endpoint, spec.name) | dict(spec.settings)
        properties["delivery.timeout.ms"] = max(
            int(spec.reconnect_for_s * 1000), int(properties.get("linger.ms", 5)) + 1
        )
        if spec.guaranteed:
            return properties | {"acks": "all"}
        return properties | {"acks": 0, "enable.idempotence": False}

    def open(self) -> None:
        """Connect and see the topic.

        Raises:
            BrokerError: no answer within 10 s, login refused, or the topic is not there.
        """
        try:
            self._producer = Producer({**self._properties, **self._watch.options()})
        except KafkaException as error:
            raise BrokerError(f"the Kafka client refused its settings: {error.args[0].str()}") from error
        deadline = time.monotonic() + CONNECT_TIMEOUT_S
        while True:
            self._producer.poll(0)
            try:
                # All topics: asking for one by name makes a broker create it.
                found = self._producer.list_topics(timeout=1.0).topics.get(self._topic)
            except KafkaException as error:
                self._producer.poll(0)
                if self._watch.refused or time.monotonic() > deadline:
                    self.close()
                    raise unreachable(self._spec.endpoint, error, self._watch) from error
                continue
            if found is not None and all(part.leader >= 0 for part in found.partitions.values()):
                break
            if time.monotonic() > deadline:
                self.close()
                raise BrokerError(
                    f"Kafka at {self._spec.endpoint.bootstrap} has no usable topic {self._topic!r}: "
                    f"{'it does not exist' if found is None else 'a partition has no leader'}"
                )
            time.sleep(0.1)
        self._watch.connected = True
        self._watch.take()

    def send_batch(self, batch: Batch, start: int) -> int:
        """Hand messages to the library's queue until it is full; the queue's length is in the settings."""
        producer, report, topic = self._open_producer(), self._report, self._topic
        sequences, topics, keys = batch.sequence.tolist(), batch.topic.tolist(), batch.key.tolist()
        stamp_property, taken = self._spec.stamp_property, 0
        try:
            for i in range(start, len(sequences)):
                headers = self._topic_headers[topics[i]]
                if batch.stamps is not None and stamp_property is not None:
                    headers = [*headers, (stamp_property, batch.stamps[i])]
                key = self._keys.get(keys[i])
                if key is None:
                    key = self._keys[keys[i]] = int(keys[i]).to_bytes(4, "big")
                sequence = sequences[i]
                try:
                    producer.produce(
                        topic, batch.bodies[i], key, on_delivery=partial(report, sequence), headers=headers
                    )
                except KafkaException as error:
                    self._refused_at_once(sequence, error)
                else:
                    self._in_flight += 1
                taken += 1
        except BufferError:
            producer.poll(0)
        return taken

    def _refused_at_once(self, sequence: int, error: KafkaException) -> None:
        self._append(sequence, Outcome.REJECTED)
        self._reasons[sequence] = str(error.args[0].str())

    def _report(self, sequence: int, error: KafkaError | None, _message: Message) -> None:
        self._in_flight -= 1
        if error is None:
            self._append(sequence, self._success)
            return
        self._append(sequence, given_up(error))
        self._reasons[sequence] = str(error.str())

    def _append(self, sequence: int, outcome: int) -> None:
        self._sequences.append(sequence)
        self._outcomes.append(outcome)
        self._stamps.append(time.monotonic_ns())

    def poll(self, timeout_s: float) -> Outcomes:
        """Serve the library's delivery reports."""
        producer = self._open_producer()
        producer.poll(0)
        if not self._sequences and timeout_s > 0:
            producer.poll(timeout_s)
        return self._take()

    def _take(self) -> Outcomes:
        taken = Outcomes(
            np.array(self._sequences, dtype=np.uint64),
            np.array(self._outcomes, dtype=np.uint8),
            np.array(self._stamps, dtype=np.int64),
            self._reasons,
        )
        if len(taken.sequence):
            if (taken.outcome == self._success).any():
                self._watch.flowing("delivery report")
            self._sequences, self._outcomes, self._stamps, self._reasons = [], [], [], {}
        return taken

    def drain(self, timeout_s: float) -> Outcomes:
        """Flush; returns early when every message has its outcome."""
        producer, deadline = self._open_producer(), time.monotonic() + timeout_s
        while self._in_flight and (left := deadline - time.monotonic()) > 0:
            producer.flush(min(left, 0.1))
        return self._take()

    def events(self) -> list[ClientEvent]:
        """Connection events since the last call."""
        return self._watch.take()

    def effective_settings(self) -> dict[str, str]:
        """Every property that was given to librdkafka, without the password."""
        return shown(self._properties)

    def close(self) -> None:
        """Drop what is still queued and disconnect."""
        if self._producer is not None:
            self._producer.purge(blocking=False)
            self._producer.poll(_POLL_AT_MOST_S)
            self._producer = None

    def _open_producer(self) -> Producer:
        if self._producer is None:
            raise BrokerError(f"publisher {self._spec.name!r} is not open")
        return self._producer
