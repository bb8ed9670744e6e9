"""The C library that the confluent-kafka wheel carries, declared once: functions, structures, codes.

``load`` opens an own handle on the very file that the package has loaded, and checks its version and its functions.
Whatever is not as expected raises ``NativeClientUnavailable``; the adapter then takes the public client and says so.
Names and types are those of the library's public header ``rdkafka.h``, without the prefix ``rd_kafka_``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ctypes import (
    CDLL,
    CFUNCTYPE,
    POINTER,
    PyDLL,
    Structure,
    byref,
    c_char_p,
    c_int,
    c_int32,
    c_int64,
    c_size_t,
    c_ssize_t,
    c_void_p,
    create_string_buffer,
)
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import confluent_kafka
import numpy as np

from crep.harness.brokers.contract import BrokerError

OLDEST, BELOW = (2, 3), (3, 0)
"""Versions (major, minor) whose declarations these are; 2.16 is the one that was driven, 3 may change them."""

PRODUCER, CONSUMER = 0, 1
UNASSIGNED: Final = -1
"""``RD_KAFKA_PARTITION_UA``: the library's partitioner chooses."""
IN_PLACE: Final = 0x0
"""Neither ``RD_KAFKA_MSG_F_COPY`` nor ``_FREE``: the library reads payloads where they are until it reports them."""
DELIVERED, LOGGED, FAILED = 0x1, 0x4, 0x8
"""``RD_KAFKA_EVENT_DR``, ``_LOG`` and ``_ERROR``."""
_ERROR_BYTES: Final = 512

MESSAGE = np.dtype(
    {
        "names": ["err", "topic", "partition", "payload", "length", "key", "key_length", "offset", "private"],
        "formats": ["i4", "u8", "i4", "u8", "u8", "u8", "u8", "i8", "u8"],
        "offsets": [0, 8, 16, 24, 32, 40, 48, 56, 64],
        "itemsize": 72,
    }
)
"""``rd_kafka_message_t`` on a 64-bit machine; ``private`` is the application's own word."""


class NativeClientUnavailable(BrokerError):
    """The C library cannot be used as it is declared here; the text says why. The public client still can."""


class _Partition(Structure):
    _fields_ = (
        ("id", c_int32),
        ("err", c_int),
        ("leader", c_int32),
        ("replica_count", c_int),
        ("replicas", c_void_p),
        ("isr_count", c_int),
        ("isrs", c_void_p),
    )


class _Topic(Structure):
    _fields_ = (("name", c_char_p), ("partition_count", c_int), ("partitions", POINTER(_Partition)), ("err", c_int))


class Metadata(Structure):
    """``rd_kafka_metadata_t``, as far as it is read here."""

    _fields_ = (
        ("broker_count", c_int),
        ("brokers", c_void_p),
        ("topic_count", c_int),
        ("topics", POINTER(_Topic)),
        ("origin_id", c_int32),
        ("origin_name", c_char_p),
    )


class Place(Structure):
    """``rd_kafka_topic_partition_t``."""

    _fields_ = (
        ("topic", c_char_p),
        ("partition", c_int32),
        ("offset", c_int64),
        ("metadata", c_void_p),
        ("metadata_size", c_size_t),
        ("opaque", c_void_p),
        ("err", c_int),
        ("private", c_void_p),
    )


class Places(Structure):
    """``rd_kafka_topic_partition_list_t``."""

    _fields_ = (("count", c_int), ("size", c_int), ("items", POINTER(Place)))


MOVED = CFUNCTYPE(None, c_void_p, c_int, POINTER(Places), c_void_p)
"""``rebalance_cb`` and ``offset_commit_cb``: handle, code, places, opaque."""
ERROR = CFUNCTYPE(None, c_void_p, c_int, c_char_p, c_void_p)
"""``error_cb``: handle, code, words, opaque."""
LOG = CFUNCTYPE(None, c_void_p, c_int, c_char_p, c_char_p)
"""``log_cb``: handle, level, facility, line."""

_ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "version_str": (),
    "conf_new": (),
    "conf_destroy": (c_void_p,),
    "conf_set": (c_void_p, c_char_p, c_char_p, c_char_p, c_size_t),
    "conf_set_events": (c_void_p, c_int),
    "conf_set_log_cb": (c_void_p, LOG),
    "conf_set_error_cb": (c_void_p, ERROR),
    "conf_set_rebalance_cb": (c_void_p, MOVED),
    "conf_set_offset_commit_cb": (c_void_p, MOVED),
    "new": (c_int, c_void_p, c_char_p, c_size_t),
    "destroy_flags": (c_void_p, c_int),
    "metadata": (c_void_p, c_int, c_void_p, POINTER(POINTER(Metadata)), c_int),
    "metadata_destroy": (POINTER(Metadata),),
    "topic_new": (c_void_p, c_char_p, c_void_p),
    "topic_destroy": (c_void_p,),
    "produce_batch": (c_void_p, c_int32, c_int, c_void_p, c_int),
    "outq_len": (c_void_p,),
    "purge": (c_void_p, c_int),
    "set_log_queue": (c_void_p, c_void_p),
    "queue_get_main": (c_void_p,),
    "queue_destroy": (c_void_p,),
    "queue_poll": (c_void_p, c_int),
    "event_type": (c_void_p,),
    "event_error": (c_void_p,),
    "event_error_string": (c_void_p,),
    "event_log": (c_void_p, POINTER(c_char_p), POINTER(c_char_p), POINTER(c_int)),
    "event_message_count": (c_void_p,),
    "event_message_array": (c_void_p, c_void_p, c_size_t),
    "event_destroy": (c_void_p,),
    "err2str": (c_int,),
    "poll_set_consumer": (c_void_p,),
    "queue_get_consumer": (c_void_p,),
    "subscribe": (c_void_p, POINTER(Places)),
    "assign": (c_void_p, POINTER(Places)),
    "incremental_assign": (c_void_p, POINTER(Places)),
    "incremental_unassign": (c_void_p, POINTER(Places)),
    "rebalance_protocol": (c_void_p,),
    "error_code": (c_void_p,),
    "error_destroy": (c_void_p,),
    "commit": (c_void_p, POINTER(Places), c_int),
    "offsets_store": (c_void_p, POINTER(Places)),
    "query_watermark_offsets": (c_void_p, c_char_p, c_int32, c_void_p, c_void_p, c_int),
    "topic_partition_list_new": (c_int,),
    "topic_partition_list_add": (POINTER(Places), c_char_p, c_int32),
    "topic_partition_list_destroy": (POINTER(Places),),
    "consume_batch_queue": (c_void_p, c_int, c_void_p, c_size_t),
    "message_destroy": (c_void_p,),
    "consumer_close": (c_void_p,),
}
_RETURNS: dict[str, Any] = {
    "version_str": c_char_p,
    "conf_new": c_void_p,
    "conf_destroy": None,
    "conf_set_events": None,
    "conf_set_log_cb": None,
    "new": c_void_p,
    "destroy_flags": None,
    "metadata_destroy": None,
    "topic_new": c_void_p,
    "topic_destroy": None,
    "queue_get_main": c_void_p,
    "queue_destroy": None,
    "queue_poll": c_void_p,
    "event_error_string": c_char_p,
    "event_message_count": c_size_t,
    "event_message_array": c_size_t,
    "event_destroy": None,
    "err2str": c_char_p,
    "conf_set_error_cb": None,
    "conf_set_rebalance_cb": None,
    "conf_set_offset_commit_cb": None,
    "queue_get_consumer": c_void_p,
    "incremental_assign": c_void_p,
    "incremental_unassign": c_void_p,
    "rebalance_protocol": c_char_p,
    "error_destroy": None,
    "topic_partition_list_new": POINTER(Places),
    "topic_partition_list_add": POINTER(Place),
    "topic_partition_list_destroy": None,
    "consume_batch_queue": c_ssize_t,
    "message_destroy": None,
}
_WITHOUT_PAUSE = frozenset({"message_destroy"})
"""Called with Python's interpreter lock held: they neither wait nor call back, and letting go of it costs as much as
they do."""


class Functions:
    """The declared functions, by their names without the prefix. Python's interpreter lock is free during a call, but
    of ``_WITHOUT_PAUSE``.
    """

    def __init__(self, handle: CDLL, holding: PyDLL) -> None:
        for name, arguments in _ARGUMENTS.items():
            try:
                function = getattr(holding if name in _WITHOUT_PAUSE else handle, f"rd_kafka_{name}")
            except AttributeError as error:
                raise NativeClientUnavailable(f"librdkafka has no function rd_kafka_{name}") from error
            function.argtypes, function.restype = list(arguments), _RETURNS.get(name, c_int)
            setattr(self, name, function)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        raise AttributeError(f"function rd_kafka_{name} is not declared in native/library.py")


@dataclass(frozen=True)
class Library:
    """The loaded library and the version that it says it is."""

    version: str
    calls: Functions

    def text(self, code: int) -> str:
        """The library's words for an error code."""
        return str((self.calls.err2str(code) or b"").decode(errors="replace"))

    def producer(self, properties: Mapping[str, object], events: int) -> int:
        """A producer's handle; nothing of it is printed, ``events`` come to its main queue.

        Raises:
            BrokerError: a property is unknown or refused, or the producer cannot be made.
        """
        configuration = self._configuration(properties)
        self.calls.conf_set_events(configuration, events)
        return self._client(PRODUCER, configuration)

    def consumer(self, properties: Mapping[str, object], callbacks: Mapping[str, object]) -> int:
        """A consumer's handle; nothing of it is printed. The caller keeps the callbacks (by name: ``error_cb``, …).

        Raises:
            BrokerError: as ``producer``.
        """
        configuration = self._configuration(properties)
        for name, callback in callbacks.items():
            getattr(self.calls, f"conf_set_{name}")(configuration, callback)
        return self._client(CONSUMER, configuration)

    def _configuration(self, properties: Mapping[str, object]) -> int:
        calls, words = self.calls, create_string_buffer(_ERROR_BYTES)
        configuration = int(calls.conf_new())
        for name, value in {**properties, "log.queue": True}.items():  # lines come where they are polled for
            text = str(value).lower() if isinstance(value, bool) else str(value)
            if calls.conf_set(configuration, name.encode(), text.encode(), words, _ERROR_BYTES):
                calls.conf_destroy(configuration)
                raise BrokerError(f"the Kafka client refused its settings: {words.value.decode(errors='replace')}")
        calls.conf_set_log_cb(configuration, LOG())
        return configuration

    def _client(self, kind: int, configuration: int) -> int:
        calls, words = self.calls, create_string_buffer(_ERROR_BYTES)
        handle = calls.new(kind, configuration, words, _ERROR_BYTES)  # owns the configuration if it succeeds
        if not handle:
            calls.conf_destroy(configuration)
            raise BrokerError(f"the Kafka client refused its settings: {words.value.decode(errors='replace')}")
        calls.set_log_queue(handle, None)  # to its main queue
        return int(handle)

    def leaders(self, handle: int, topic: str, timeout_ms: int) -> list[int] | str:
        """The leader (−1: none) of each partition of a topic, empty where there is no such topic; or what went wrong.

        All topics are asked for: asking for one by name may make a broker create it.
        """
        found = POINTER(Metadata)()
        code = self.calls.metadata(handle, 1, None, byref(found), timeout_ms)
        if code:
            return self.text(code)
        try:
            answer = found.contents
            topics = (answer.topics[i] for i in range(answer.topic_count))
            one = next((one for one in topics if one.name == topic.encode()), None)
            return [] if one is None else [one.partitions[i].leader for i in range(one.partition_count)]
        finally:
            self.calls.metadata_destroy(found)


@cache
def load() -> Library:
    """The library of the installed package.

    Raises:
        NativeClientUnavailable: it cannot be found or opened, is of an unknown version, or lacks a function.
    """
    return opened(_file())


def _file() -> Path:
    package = Path(confluent_kafka.__file__).parent
    folders = (package.parent / "confluent_kafka.libs", package / ".dylibs")  # as auditwheel and delocate lay them
    found = [file for folder in folders for file in sorted(folder.glob("librdkafka*"))]
    if len(found) != 1:
        raise NativeClientUnavailable(f"the package confluent-kafka carries {len(found)} files librdkafka*, not one")
    return found[0]


def opened(path: Path) -> Library:
    """A handle on the library file.

    Raises:
        NativeClientUnavailable: as ``load``.
    """
    try:
        handle, holding = CDLL(str(path)), PyDLL(str(path))
    except OSError as error:
        raise NativeClientUnavailable(f"librdkafka cannot be opened: {error}") from error
    calls = Functions(handle, holding)
    version = (calls.version_str() or b"").decode(errors="replace")
    require_known(version)
    return Library(version, calls)


def require_known(version: str) -> None:
    """Let versions from ``OLDEST`` up to, not including, ``BELOW`` pass; ``version`` is as the library writes it.

    Raises:
        NativeClientUnavailable: another version, or one that is not understood.
    """
    parts = version.split(".")
    try:
        known = OLDEST <= (int(parts[0]), int(parts[1])) < BELOW
    except (ValueError, IndexError):
        known = False
    if not known:
        raise NativeClientUnavailable(
            f"librdkafka says version {version!r}; the native client knows {OLDEST[0]}.{OLDEST[1]} and later versions "
            f"below {BELOW[0]}.{BELOW[1]}"
        )
