"""The bulk publisher on librdkafka: an outcome per message, the library's own queue as window, no resend above it."""

from __future__ import annotations

import time
from functools import partial

import numpy as np
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from crep.harness.brokers.client_library import CLIENT
from crep.harness.brokers.contract import Batch, BrokerError, ClientEvent, Outcome, Outcomes, PublisherSpec
from crep.harness.brokers.kafka.client import CONNECT_TIMEOUT_S, ConnectionWatch, given_up, shown, unreachable
from crep.harness.brokers.kafka.producing import Headers, fixed_headers, publisher_properties

_POLL_AT_MOST_S = 0.005


class _Keys(dict[int, bytes]):
    """Message keys by number, made on first use: four bytes, so that equal keys meet in one partition."""

    def __missing__(self, number: int) -> bytes:
        made = self[number] = number.to_bytes(4, "big")
        return made


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
        self._client, self._fallback = "api", ""
        self._topic_headers: list[Headers] = fixed_headers(spec) or [[] for _ in spec.topics]
        self._keys = _Keys()
        self._success = Outcome.ACKNOWLEDGED if spec.guaranteed else Outcome.SENT
        self._sequences: list[int] = []  # what was reported since the last `_take`, and when
        self._stamps: list[int] = []
        self._failed: dict[int, Outcome] = {}  # index in these two: every other one is a success
        self._reasons: dict[int, str] = {}
        self._untaken = 0  # messages whose outcome has not left `_take`
        self._properties = publisher_properties(spec)

    def instead_of_native(self, reason: str) -> None:
        """The C library was asked for and cannot be used: say so among the events and in the provenance."""
        self._fallback = f"client 'native' cannot be used, 'api' is used instead: {reason}"
        self._client = f"api (native cannot be used: {reason})"

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
        if self._fallback:
            self._watch.note("fallback", self._fallback)

    def send_batch(self, batch: Batch, start: int) -> int:
        """Hand messages to the library's queue until it is full; the queue's length is in the settings."""
        producer, report, topic, keys = self._open_producer(), self._report, self._topic, self._keys
        taken = 0
        for sequence, body, key, headers in zip(
            batch.sequence[start:].tolist(),
            batch.bodies[start:],
            batch.key[start:].tolist(),
            self._headers(batch, start),
            strict=True,
        ):
            try:
                producer.produce(topic, body, keys[key], on_delivery=partial(report, sequence), headers=headers)
            except BufferError:
                producer.poll(0)
                break
            except KafkaException as error:
                self._fail(sequence, Outcome.REJECTED, error.args[0])
            taken += 1
        self._untaken += taken
        return taken

    def _headers(self, batch: Batch, start: int) -> list[Headers]:
        by_topic, topics, name = self._topic_headers, batch.topic[start:].tolist(), self._spec.stamp_property
        if batch.stamps is None or name is None:
            return [by_topic[topic] for topic in topics]
        return [[*by_topic[topic], (name, stamp)] for topic, stamp in zip(topics, batch.stamps[start:], strict=True)]

    def _report(self, sequence: int, error: KafkaError | None, _message: Message) -> None:
        if error is None:
            self._sequences.append(sequence)
            self._stamps.append(time.monotonic_ns())
        else:
            self._fail(sequence, given_up(error), error)

    def _fail(self, sequence: int, outcome: Outcome, error: KafkaError) -> None:
        self._failed[len(self._sequences)] = outcome
        self._sequences.append(sequence)
        self._stamps.append(time.monotonic_ns())
        self._reasons[sequence] = str(error.str())

    def poll(self, timeout_s: float) -> Outcomes:
        """Serve the library's delivery reports."""
        producer = self._open_producer()
        producer.poll(0)
        if not self._sequences and timeout_s > 0:
            producer.poll(timeout_s)
        return self._take()

    def _take(self) -> Outcomes:
        count = len(self._sequences)
        outcomes = np.full(count, self._success, dtype=np.uint8)
        for index, outcome in self._failed.items():
            outcomes[index] = outcome
        if count > len(self._failed):
            self._watch.flowing("delivery report")
        sequences, stamps = np.array(self._sequences, dtype=np.uint64), np.array(self._stamps, dtype=np.int64)
        taken = Outcomes(sequences, outcomes, stamps, self._reasons)
        self._untaken -= count
        self._sequences, self._stamps, self._failed, self._reasons = [], [], {}, {}
        return taken

    def drain(self, timeout_s: float) -> Outcomes:
        """Flush; returns early when every message has its outcome."""
        producer, deadline = self._open_producer(), time.monotonic() + timeout_s
        while self._untaken > len(self._sequences) and (left := deadline - time.monotonic()) > 0:
            producer.flush(min(left, 0.1))
        return self._take()

    def events(self) -> list[ClientEvent]:
        """Connection events since the last call."""
        return self._watch.take()

    def effective_settings(self) -> dict[str, str]:
        """The library, and every property that it was given, without the password."""
        return {CLIENT: self._client} | shown(self._properties)

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
