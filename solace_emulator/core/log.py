"""What the rules ask of durable storage, and what they write to it.

The rules append records and are told later up to which position everything is safe; who writes, when and how is the
edge's business. All records of one turn become durable together or not at all.
"""

import json
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

Position: TypeAlias = int


class Unreadable(Exception):
    """A record that was written cannot be read back: what lies in its place is something else."""


class Placed(Protocol):
    """Who wants to know where its record lies."""

    def placed(self, offset: int) -> None:
        """The record was written at this offset in bytes of the segment that was named when it was appended."""
        ...


class Log(Protocol):
    """An append-only log with group commit."""

    @property
    def durable(self) -> Position:
        """Everything appended up to this position survives a crash."""
        ...

    @property
    def position(self) -> Position:
        """The position of the last record appended."""
        ...

    @property
    def segment(self) -> int:
        """The number of the segment that the next record goes to."""
        ...

    def append(self, record: bytes, holder: Placed | None = None) -> Position:
        """Append a record; it becomes durable with the next commit. ``holder`` is told where it lies once written.

        A record that waited for space on the disk may lie elsewhere: then nobody is told.
        """
        ...

    def commit(self) -> None:
        """Ask for everything appended so far to become durable soon; without this it is only written."""
        ...

    def read(self, segment: int, offset: int, least: int) -> bytes:
        """Return a record that was written, of ``least`` bytes or some more. Raises :class:`Unreadable`."""
        ...


@dataclass(frozen=True, slots=True)
class ConfigSet:
    """A configured object has these values now. ``path`` are its identifiers, outermost first."""

    kind: str
    path: tuple[str, ...]
    value: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ConfigDeleted:
    """A configured object is gone."""

    kind: str
    path: tuple[str, ...]


@dataclass(slots=True)  # not frozen, which would make it thrice as slow to build: there is one for each message
class Spooled:
    """A message was spooled to queues (by number), from a publisher flow (0: none) as that flow's message."""

    message_id: int
    queues: tuple[int, ...]
    flow: int
    publisher_message_id: int
    spooled_at_ms: int
    expires: bool
    flags: int
    cos: int
    kept: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class Removed:
    """Messages left a queue: acknowledged, moved or discarded."""

    queue: int
    message_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Added:
    """Messages that are on the spool are held by a queue (by number) again: a replay."""

    queue: int
    message_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PublisherState:
    """A publisher flow exists, has taken its messages up to ``last`` and refused some of the latest."""

    vpn: str
    name: str
    flow: int
    last: int
    refused: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class PublisherClosed:
    """A publisher flow is gone."""

    flow: int


@dataclass(frozen=True, slots=True)
class MessageRefused:
    """A publisher flow's message was refused; a cumulative acknowledge must never cover it."""

    flow: int
    publisher_message_id: int


@dataclass(frozen=True, slots=True)
class Counters:
    """Numbers that must never be used again. ``next_delivery`` is a ceiling: all ids below it may be in use."""

    next_message: int
    next_number: int
    next_delivery: int


@dataclass(frozen=True, slots=True)
class Delivered:
    """At a clean stop: how often messages that are still in a queue have been delivered."""

    queue: int
    counts: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class CleanStop:
    """The broker stopped in order: what was delivered is known exactly."""


@dataclass(frozen=True, slots=True)
class SnapshotBegins:
    """A segment begins: the records up to :class:`SnapshotEnds` say everything but the messages."""


@dataclass(frozen=True, slots=True)
class SnapshotEnds:
    """What was configured before and not named since :class:`SnapshotBegins` is gone.

    That is news only behind damage: the records which said so are among those that were lost.
    """


Record: TypeAlias = (
    ConfigSet
    | ConfigDeleted
    | Spooled
    | Removed
    | Added
    | PublisherState
    | PublisherClosed
    | MessageRefused
    | Counters
    | Delivered
    | CleanStop
    | SnapshotBegins
    | SnapshotEnds
)

_CHECKED: Final = struct.Struct(">BI")  # kind, CRC-32 of what follows: a message is read back by itself
_SPOOLED: Final = struct.Struct(">QIQQ?BBHII")
_KIND_JSON: Final = 1
_KIND_SPOOLED: Final = 4
_KIND_REMOVED: Final = 3
_KIND_ADDED: Final = 5
_JSON_TYPES: Final[dict[str, type]] = {
    kind.__name__: kind
    for kind in (
        ConfigSet,
        ConfigDeleted,
        PublisherState,
        PublisherClosed,
        MessageRefused,
        Counters,
        Delivered,
        CleanStop,
        SnapshotBegins,
        SnapshotEnds,
    )
}


def encode(record: Record) -> bytes:
    """Encode a record. The frequent ones are packed, the others are JSON."""
    if isinstance(record, Spooled):
        head = _SPOOLED.pack(
            record.message_id,
            record.flow,
            record.publisher_message_id,
            record.spooled_at_ms,
            record.expires,
            record.flags,
            record.cos,
            len(record.queues),
            len(record.kept),
            len(record.body),
        )
        queues = struct.pack(f">{len(record.queues)}I", *record.queues)
        check = zlib.crc32(record.body, zlib.crc32(record.kept, zlib.crc32(queues, zlib.crc32(head))))
        return b"".join((_CHECKED.pack(_KIND_SPOOLED, check), head, queues, record.kept, record.body))
    if isinstance(record, Removed | Added):
        kind = _KIND_REMOVED if isinstance(record, Removed) else _KIND_ADDED
        return struct.pack(f">BI{len(record.message_ids)}Q", kind, record.queue, *record.message_ids)
    values = {name: getattr(record, name) for name in record.__slots__}
    return bytes((_KIND_JSON,)) + json.dumps([type(record).__name__, values], separators=(",", ":")).encode()


def decode(data: bytes) -> Record:
    """Decode a record. Raises ``ValueError`` for anything that :func:`encode` did not make."""
    kind = data[0] if data else 0
    try:
        if kind == _KIND_SPOOLED:
            return _decode_spooled(data)
        if kind in (_KIND_REMOVED, _KIND_ADDED):
            count = (len(data) - 5) // 8
            queue, *ids = struct.unpack(f">I{count}Q", data[1:])
            return Removed(queue, tuple(ids)) if kind == _KIND_REMOVED else Added(queue, tuple(ids))
        if kind == _KIND_JSON:
            name, values = json.loads(data[1:])
            record: Record = _JSON_TYPES[name](**{key: _tupled(value) for key, value in values.items()})
            return record
    except (struct.error, KeyError, TypeError, UnicodeDecodeError) as error:
        raise ValueError(f"a journal record of kind {kind} cannot be read: {error}") from error
    raise ValueError(f"a journal record of unknown kind {kind}")


def spooled_length(size: int) -> int:
    """Return the length of the record of a message of this size in one queue; each further queue takes 4 bytes."""
    return _CHECKED.size + _SPOOLED.size + 4 + size


def _decode_spooled(data: bytes) -> Spooled:
    _, check = _CHECKED.unpack_from(data)
    if zlib.crc32(memoryview(data)[_CHECKED.size :]) != check:
        raise ValueError("a spooled message's check sum is wrong")
    head = _SPOOLED.unpack_from(data, _CHECKED.size)
    message_id, flow, publisher_id, spooled_at, expires, flags, cos, count, kept_length, body_length = head
    at = _CHECKED.size + _SPOOLED.size
    queues = struct.unpack_from(f">{count}I", data, at)
    at += 4 * count
    if at + kept_length + body_length != len(data):
        raise ValueError("a spooled message's length does not fit its parts")
    kept = data[at : at + kept_length]
    body = data[at + kept_length :]
    return Spooled(message_id, queues, flow, publisher_id, spooled_at, expires, flags, cos, kept, body)


def _tupled(value: Any) -> Any:
    """JSON has no tuples: give them back."""
    return tuple(_tupled(item) for item in value) if isinstance(value, list) else value


def batched(ids: Sequence[int], size: int = 1000) -> Iterator[tuple[int, ...]]:
    """Cut ids into tuples of at most ``size``: no record grows without bound."""
    for at in range(0, len(ids), size):
        yield tuple(ids[at : at + size])
