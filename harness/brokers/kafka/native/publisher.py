"""The bulk publisher on the C library: a batch a call, outcomes in the groups in which the broker acknowledged them.

librdkafka reports the outcomes of one produce response as one event, which names each message: ``private`` is its
sequence number. The time of an outcome is that of its event, not that of a Python callback behind thousands of others.

Payloads are not copied: the library reads them where the engine has rendered them, until it reports (``lent``).
"""

from __future__ import annotations

import time
from ctypes import byref, c_char_p, c_int

import numpy as np
from confluent_kafka import KafkaError
from numpy.typing import NDArray

from crep.harness.brokers.client_library import CLIENT
from crep.harness.brokers.contract import Batch, BrokerError, ClientEvent, Outcome, Outcomes, PublisherSpec
from crep.harness.brokers.kafka.client import CONNECT_TIMEOUT_S, ConnectionWatch, given_up, shown, unreachable
from crep.harness.brokers.kafka.native.lent import LentBuffers
from crep.harness.brokers.kafka.native.library import (
    DELIVERED,
    FAILED,
    IN_PLACE,
    LOGGED,
    MESSAGE,
    UNASSIGNED,
    NativeClientUnavailable,
    load,
)
from crep.harness.brokers.kafka.native.memory import structures_at
from crep.harness.brokers.kafka.producing import fixed_headers, publisher_properties
from crep.harness.brokers.packed import Packed

_KEY_BYTES = 4
_PURGE_ALL = 0x1 | 0x2  # RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT
_DESTROY_AT_ONCE = 0x8  # RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE: nothing is waited for
_MOST_EVENTS = 1000  # a call to poll
_QUEUE_MESSAGES, _QUEUE_KILOBYTES = 100_000, 1_048_576  # the library's own defaults


class NativeKafkaPublisher:
    """One producer for one channel, of messages without headers.

    Outcomes are those of ``KafkaPublisher``: what the library gives up on without proof is ``UNKNOWN``.

    Raises:
        NativeClientUnavailable: the C library cannot be used, or the messages have headers, which it takes one by one.
    """

    def __init__(self, spec: PublisherSpec) -> None:
        if spec.stamp_property is not None or fixed_headers(spec) is not None:
            raise NativeClientUnavailable("its messages have headers, and librdkafka takes batches only without")
        self._spec, self._library = spec, load()
        self._calls = self._library.calls
        self._watch = ConnectionWatch()
        self._properties = publisher_properties(spec)
        self._most = int(self._properties.get("queue.buffering.max.messages", _QUEUE_MESSAGES))
        self._most_bytes = 1024 * int(self._properties.get("queue.buffering.max.kbytes", _QUEUE_KILOBYTES))
        self._topic_name = str(spec.objects["topic"])
        self._success = Outcome.ACKNOWLEDGED if spec.guaranteed else Outcome.SENT
        self._handle = self._queue = self._topic = 0
        self._keys = np.zeros(0, ">u4")
        self._messages = np.zeros(0, MESSAGE)
        self._pointers = np.empty(self._most, np.uint64)
        self._under_way = 0  # messages that the library has taken and not reported
        self._bytes_under_way = 0
        self._lent = LentBuffers()
        self._came: list[tuple[NDArray[np.uint64], NDArray[np.uint8], int]] = []
        self._reasons: dict[int, str] = {}

    def open(self) -> None:
        """Connect and see the topic.

        Raises:
            BrokerError: no answer within 10 s, login refused, or the topic is not there.
        """
        self._handle = self._library.producer(self._properties, DELIVERED | LOGGED | FAILED)
        self._queue = int(self._calls.queue_get_main(self._handle))
        deadline = time.monotonic() + CONNECT_TIMEOUT_S
        try:
            while True:
                leaders = self._library.leaders(self._handle, self._topic_name, 1000)
                self._read_events(0)
                if isinstance(leaders, str):
                    if self._watch.refused or time.monotonic() > deadline:
                        raise unreachable(self._spec.endpoint, leaders, self._watch)
                    continue
                if leaders and min(leaders) >= 0:
                    break
                if time.monotonic() > deadline:
                    raise BrokerError(
                        f"Kafka at {self._spec.endpoint.bootstrap} has no usable topic {self._topic_name!r}: "
                        f"{'a partition has no leader' if leaders else 'it does not exist'}"
                    )
                time.sleep(0.1)
        except BrokerError:
            self.close()
            raise
        self._topic = int(self._calls.topic_new(self._handle, self._topic_name.encode(), None))
        self._watch.connected = True
        self._watch.take()

    def send_batch(self, batch: Batch, start: int) -> int:
        """Hand over as many messages as the library's queue has room for; what it refuses for good is an outcome."""
        bodies = batch.bodies if isinstance(batch.bodies, Packed) else Packed.of(batch.bodies)
        count = self._room(bodies.lengths[start:])
        if count == 0:
            return 0
        part = slice(start, start + count)
        messages = self._described(batch.sequence[part], batch.key[part], bodies, part)
        self._calls.produce_batch(self._open_topic(), UNASSIGNED, IN_PLACE, messages.ctypes.data, count)
        refused = np.flatnonzero(messages["err"])
        lengths = bodies.lengths[part]
        if len(refused):
            taken = self._refuse(messages, refused)
            if taken < count:
                count, lengths = taken, lengths[:taken]
        kept = messages["err"][:count] == 0
        messages_kept = int(np.count_nonzero(kept))
        self._lent.lend(bodies.buffer, int(batch.sequence[start]), messages_kept)
        self._under_way += messages_kept
        self._bytes_under_way += int(lengths[kept].sum())
        return count

    def _room(self, lengths: NDArray[np.int64]) -> int:
        """How many messages fit: were one refused for want of room, a later one might get in before it."""
        count = min(len(lengths), self._most - self._under_way, self._most - int(self._calls.outq_len(self._handle)))
        if count <= 0:
            return 0
        return int(np.searchsorted(np.cumsum(lengths[:count]), self._most_bytes - self._bytes_under_way, side="right"))

    def _described(
        self, sequences: NDArray[np.uint64], keys: NDArray[np.uint32], bodies: Packed, part: slice
    ) -> NDArray[np.void]:
        """``rd_kafka_message_t`` for each; they point into ``bodies``, and into ``_keys``, which the call copies."""
        count = len(sequences)
        if len(self._messages) < count:
            self._messages, self._keys = np.zeros(count, MESSAGE), np.zeros(count, ">u4")
            self._messages["key"] = self._keys.ctypes.data + _KEY_BYTES * np.arange(count)
            self._messages["key_length"] = _KEY_BYTES
        messages = self._messages[:count]
        self._keys[:count] = keys
        messages["err"], messages["private"] = 0, sequences
        messages["payload"], messages["length"] = bodies.address + bodies.starts[part], bodies.lengths[part]
        return messages

    def _refuse(self, messages: NDArray[np.void], refused: NDArray[np.intp]) -> int:
        """Outcomes of what the library did not take; returns how many messages are dealt with."""
        now_ns = time.monotonic_ns()
        for at in refused.tolist():
            code = int(messages["err"][at])
            if code == KafkaError._QUEUE_FULL:
                if len(refused) < len(messages) - at and not messages["err"][at:].all():
                    raise BrokerError("librdkafka took a message after one for which it had no room: order is lost")
                return int(at)
            self._came.append((messages["private"][at : at + 1].copy(), _one(Outcome.REJECTED), now_ns))
            self._reasons[int(messages["private"][at])] = self._library.text(code)
        return len(messages)

    def poll(self, timeout_s: float) -> Outcomes:
        """Read the library's reports; with a timeout, wait for the first."""
        self._read_events(0)
        if not self._came and timeout_s > 0:
            self._read_events(timeout_s)
        return self._take()

    def _read_events(self, timeout_s: float) -> None:
        calls, wait_ms = self._calls, max(1, round(timeout_s * 1000)) if timeout_s > 0 else 0
        for _ in range(_MOST_EVENTS):
            event = calls.queue_poll(self._queue, wait_ms)
            if not event:
                return
            wait_ms = 0
            try:
                kind = calls.event_type(event)
                if kind == DELIVERED:
                    self._delivered(event, time.monotonic_ns())
                elif kind == FAILED:
                    self._watch.failed(calls.event_error(event), _text(calls.event_error_string(event)))
                elif kind == LOGGED:
                    facility, line, level = c_char_p(), c_char_p(), c_int()
                    calls.event_log(event, byref(facility), byref(line), byref(level))
                    self._watch.logged(_text(facility.value), _text(line.value))
            finally:
                calls.event_destroy(event)

    def _delivered(self, event: int, at_ns: int) -> None:
        """One group of reports; its messages are the library's until the event is given back."""
        left = self._calls.event_message_count(event)
        while left > 0:
            count = self._calls.event_message_array(event, self._pointers.ctypes.data, min(left, self._most))
            if count == 0:
                return
            left -= count
            pointers = self._pointers[:count]
            messages = structures_at(pointers, MESSAGE)
            sequences, errors = messages["private"].copy(), messages["err"]
            self._lent.reported(sequences)
            self._under_way -= count
            self._bytes_under_way -= int(messages["length"].sum())
            outcomes = np.full(count, self._success, np.uint8)
            for at in np.flatnonzero(errors).tolist():
                error = KafkaError(int(errors[at]))
                outcomes[at] = given_up(error)
                self._reasons[int(sequences[at])] = self._library.text(int(errors[at]))
            if not errors.all():
                self._watch.flowing("delivery report")
            self._came.append((sequences, outcomes, at_ns))

    def _take(self) -> Outcomes:
        came, self._came = self._came, []
        reasons, self._reasons = self._reasons, {}
        if not came:
            return Outcomes(np.empty(0, np.uint64), np.empty(0, np.uint8), np.empty(0, np.int64), reasons)
        counts = [len(sequences) for sequences, _, _ in came]
        return Outcomes(
            np.concatenate([sequences for sequences, _, _ in came]),
            np.concatenate([outcomes for _, outcomes, _ in came]),
            np.repeat(np.array([at_ns for _, _, at_ns in came], np.int64), counts),
            reasons,
        )

    def drain(self, timeout_s: float) -> Outcomes:
        """Wait for reports; returns early when every message has its outcome. (What lingers is sent by itself.)"""
        deadline = time.monotonic() + timeout_s
        self._read_events(0)
        while self._under_way and (left := deadline - time.monotonic()) > 0:
            self._read_events(min(left, 0.1))
        return self._take()

    def events(self) -> list[ClientEvent]:
        """Connection events since the last call."""
        return self._watch.take()

    def effective_settings(self) -> dict[str, str]:
        """The library, and every property that it was given, without the password."""
        return {CLIENT: f"native (librdkafka {self._library.version})"} | shown(self._properties)

    def close(self) -> None:
        """Drop what is still queued and disconnect."""
        handle, topic, queue = self._handle, self._topic, self._queue
        self._handle = self._topic = self._queue = 0
        if not handle:
            return
        self._calls.purge(handle, _PURGE_ALL)
        if topic:
            self._calls.topic_destroy(topic)
        for _ in range(_MOST_EVENTS):  # an event that is kept keeps the handle
            event = self._calls.queue_poll(queue, 0)
            if not event:
                break
            self._calls.event_destroy(event)
        self._calls.queue_destroy(queue)
        self._calls.destroy_flags(handle, _DESTROY_AT_ONCE)
        self._lent.clear()

    def _open_topic(self) -> int:
        if not self._topic:
            raise BrokerError(f"publisher {self._spec.name!r} is not open")
        return self._topic


def _text(words: bytes | None) -> str:
    return (words or b"").decode(errors="replace")


def _one(outcome: Outcome) -> NDArray[np.uint8]:
    return np.array([outcome], np.uint8)
