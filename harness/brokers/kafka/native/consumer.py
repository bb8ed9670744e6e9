"""A consumer on the C library: as much of ``confluent_kafka.Consumer`` as a subscriber needs, messages by address."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from ctypes import byref, c_int64
from typing import Any

import numpy as np
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from numpy.typing import NDArray

from crep.harness.brokers.kafka.native.library import ERROR, LOG, MOVED, Library
from crep.harness.brokers.kafka.reading import Moved

Pointers = NDArray[np.uint64]
"""Addresses of messages (``library.MESSAGE``); they and what they point to are the library's until ``release``."""

NO_MESSAGES: Pointers = np.empty(0, np.uint64)
_CLOSED_ALREADY = 0x8  # RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE
_ANY = -1  # partition


class NativeConsumer:
    """One member of a group, or a reader without one. Callbacks run inside ``take`` and ``close``, on their thread.

    Args:
        library: as loaded.
        properties: librdkafka's.
        failed: told each error, code and words, that is not one message's.
        logged: told each line of the library's log: facility and words.
        committed: told the outcome of each commit; None where nobody asks.

    Raises:
        BrokerError: a property is refused.
    """

    def __init__(
        self,
        library: Library,
        properties: dict[str, object],
        *,
        failed: Callable[[int, str], None],
        logged: Callable[[str, str], None],
        committed: Callable[[KafkaError | None], None] | None,
    ) -> None:
        self._library, self._calls = library, library.calls
        self._failed, self._logged, self._committed = failed, logged, committed
        self._on_assign: Moved = _nothing
        self._on_revoke: Moved = _nothing
        self._assigned_by_callback = False
        self._raised: list[BaseException] = []
        self._callbacks: dict[str, Any] = {
            "error_cb": ERROR(self._error),
            "log_cb": LOG(self._line),
            "rebalance_cb": MOVED(self._rebalanced),
        }
        if committed is not None:
            self._callbacks["offset_commit_cb"] = MOVED(self._commit_answered)
        self._handle = library.consumer(properties, self._callbacks)
        self._calls.poll_set_consumer(self._handle)
        self._queue = int(self._calls.queue_get_consumer(self._handle))
        self._pointers: Pointers = np.empty(1, np.uint64)

    def has_topic(self, topic: str, timeout_s: float) -> bool:
        """Whether the broker has it.

        Raises:
            KafkaException: no answer.
        """
        leaders = self._library.leaders(self._handle, topic, round(timeout_s * 1000))
        if isinstance(leaders, str):
            raise KafkaException(KafkaError(KafkaError._TRANSPORT, leaders))
        return bool(leaders)

    def subscribe(self, topics: list[str], *, on_assign: Moved, on_revoke: Moved) -> None:
        """Join the group."""
        self._on_assign, self._on_revoke = on_assign, on_revoke
        self._with_places([TopicPartition(topic, _ANY) for topic in topics], self._calls.subscribe)

    def assign(self, partitions: list[TopicPartition]) -> None:
        """Read these."""
        self._assigned_by_callback = True
        self._with_places(partitions, self._calls.assign)

    def unassign(self) -> None:
        """Read none."""
        self._assigned_by_callback = True
        self._require(self._calls.assign(self._handle, None))

    def commit(self, *, offsets: list[TopicPartition] | None = None, asynchronous: bool) -> None:
        """Commit these, or all that is stored."""
        if offsets is None:
            self._require(self._calls.commit(self._handle, None, asynchronous))
        else:
            self._with_places(offsets, lambda handle, places: self._calls.commit(handle, places, asynchronous))

    def store_offsets(self, *, offsets: list[TopicPartition]) -> None:
        """Let the next commit take these."""
        self._with_places(offsets, self._calls.offsets_store)

    def get_watermark_offsets(self, partition: TopicPartition, timeout: float, cached: bool) -> tuple[int, int]:
        """First offset, and the one behind the last; always asked of the broker."""
        low, high = c_int64(), c_int64()
        name, number = partition.topic.encode(), partition.partition
        self._require(
            self._calls.query_watermark_offsets(
                self._handle, name, number, byref(low), byref(high), round(timeout * 1000)
            )
        )
        return low.value, high.value

    def take(self, most: int, timeout_s: float) -> Pointers:
        """Wait for a first message, then take what else has come; errors come as messages too."""
        if len(self._pointers) < most:
            self._pointers = np.empty(most, np.uint64)
        count = self._consume(0, most, 0)
        if not count and timeout_s > 0:
            count = self._consume(0, 1, max(1, round(timeout_s * 1000)))
            if count and most > 1:
                count += self._consume(1, most - 1, 0)
        return self._pointers[:count].copy()

    def _consume(self, behind: int, most: int, wait_ms: int) -> int:
        place = self._pointers.ctypes.data + behind * self._pointers.itemsize
        count = int(self._calls.consume_batch_queue(self._queue, wait_ms, place, most))
        if self._raised:
            raise self._raised.pop()
        return max(0, count)

    def release(self, messages: Pointers) -> None:
        """Give messages back; what they point to is gone."""
        deque(map(self._calls.message_destroy, messages.tolist()), maxlen=0)

    def close(self) -> None:
        """Commit what is stored, leave, disconnect. Every message has been given back before."""
        if self._handle:
            self._calls.consumer_close(self._handle)  # with its callbacks
            handle, self._handle = self._handle, 0
            self._calls.queue_destroy(self._queue)
            self._calls.destroy_flags(handle, _CLOSED_ALREADY)

    def _with_places(self, places: Sequence[TopicPartition], function: Callable[[int, Any], int]) -> None:
        """Call with a list of places; the failure of one place is the call's, since crep stores them one by one."""
        calls = self._calls
        listed = calls.topic_partition_list_new(len(places))
        try:
            for place in places:
                added = calls.topic_partition_list_add(listed, place.topic.encode(), place.partition)
                added.contents.offset = place.offset
            self._require(function(self._handle, listed))
        finally:
            calls.topic_partition_list_destroy(listed)

    def _require(self, code: int) -> None:
        if code:
            raise KafkaException(KafkaError(code, self._library.text(code)))

    def _error(self, _handle: int, code: int, words: bytes | None, _opaque: object) -> None:
        self._failed(code, (words or b"").decode(errors="replace"))

    def _line(self, _handle: int, _level: int, facility: bytes | None, line: bytes | None) -> None:
        self._logged((facility or b"").decode(errors="replace"), (line or b"").decode(errors="replace"))

    def _commit_answered(self, _handle: int, code: int, places: Any, _opaque: object) -> None:
        code = code or next((item.err for item in _items(places) if item.err), 0)
        if self._committed is not None:
            self._committed(KafkaError(code, self._library.text(code)) if code else None)

    def _rebalanced(self, _handle: int, code: int, places: Any, _opaque: object) -> None:
        """An exception cannot pass through the library: it is raised by the ``take`` that this runs in."""
        try:
            self._rebalance(code, places)
        except Exception as error:  # noqa: BLE001 - raised again in `_consume`
            self._raised.append(error)

    def _rebalance(self, code: int, places: Any) -> None:
        moved = [TopicPartition((item.topic or b"").decode(), item.partition) for item in _items(places)]
        self._assigned_by_callback = False
        assigning = code == KafkaError._ASSIGN_PARTITIONS
        if assigning:
            self._on_assign(self, moved)
        elif code == KafkaError._REVOKE_PARTITIONS:
            self._on_revoke(self, moved)
        else:
            self._failed(code, self._library.text(code))
        if self._assigned_by_callback:
            return
        if self._calls.rebalance_protocol(self._handle) == b"COOPERATIVE":
            change = self._calls.incremental_assign if assigning else self._calls.incremental_unassign
            failure = change(self._handle, places)
            if failure:
                code = int(self._calls.error_code(failure))
                self._calls.error_destroy(failure)
                self._require(code)
        else:
            self._require(self._calls.assign(self._handle, places if assigning else None))


def _items(places: Any) -> list[Any]:
    """The items of a list of places; the library gives none where there is nothing to tell."""
    if not places:
        return []
    return [places.contents.items[number] for number in range(places.contents.count)]


def _nothing(_consumer: object, _partitions: Sequence[TopicPartition]) -> None:
    """Where no group is joined nothing moves."""
