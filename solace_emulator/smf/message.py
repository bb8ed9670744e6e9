"""A message (protocol TrMsg): what belongs to it for good, and what belongs to one hop.

A broker keeps the body and most parameters byte for byte. Message ids, flow id, redelivery marks and the like are the
hop's own: they are read, dropped, and written anew for each consumer.
"""

from functools import lru_cache
from typing import Final

from . import frame as f

PERSISTENT: Final = 1
NON_PERSISTENT: Final = 0
DIRECT: Final = 2

_HOP: Final = frozenset(
    {
        f.USER_NAME,
        f.PASSWORD,
        f.RESPONSE,
        f.MESSAGE_ID,
        f.PREVIOUS_MESSAGE_ID,
        f.REDELIVERED,
        f.FLOW_ID,
        f.FLOW_REDELIVERED,
        f.EXTENDED,
        f.CORRELATION_TAG,
        f.ACK_IMMEDIATELY,
    }
)
_REDELIVERED_PARAMETER: Final = bytes((f.REDELIVERED, 2))
_HEADS_REMEMBERED: Final = 4096
_REMEMBERED_BYTES: Final = 512  # of parameters: a topic has 250 at most
#: How the official clients write a message id and the one before it: type with UH bits, length, and 8 bytes.
_MESSAGE_ID_MARK: Final = bytes((0x80 | f.MESSAGE_ID, 10))
_PREVIOUS_ID_MARK: Final = bytes((0x80 | f.PREVIOUS_MESSAGE_ID, 10))
_NO_ID: Final = bytes(8)
_id_in: Final = f.U64.unpack_from


class Message:
    """A message as a broker keeps it.

    ``kept`` are the encoded SMF parameters that travel with it, ``body`` all sections behind them; ``flags`` and
    ``cos`` are header bytes 0 and 2. ``time_to_live`` is in milliseconds, 0 for ever.
    """

    __slots__ = ("body", "cos", "delivery_mode", "flags", "kept", "priority", "time_to_live", "topic")

    def __init__(self, flags: int, cos: int, head: "Head", body: bytes) -> None:
        self.flags = flags
        self.cos = cos
        self.kept = head.kept
        self.body = body
        self.topic = head.topic
        self.delivery_mode = head.delivery_mode
        self.time_to_live = head.time_to_live
        self.priority = head.priority

    @property
    def size(self) -> int:
        """Bytes that count against spool quotas and message size limits."""
        return len(self.body) + len(self.kept)

    @property
    def dmq_eligible(self) -> bool:
        """The publisher allows a move to a dead message queue."""
        return bool(self.flags & f.FLAG_DMQ_ELIGIBLE)


class PublishedHop:
    """The publisher hop's own parameters of a guaranteed message."""

    __slots__ = ("acknowledge_now", "flow_id", "message_id", "previous_id")

    def __init__(self, head: "Head", message_id: int, previous_id: int) -> None:
        self.flow_id = head.flow_id
        self.message_id = message_id
        self.previous_id = previous_id
        self.acknowledge_now = head.acknowledge_now


class Head:
    """What a message's SMF parameters say. Raises :class:`~.frame.ProtocolError` for what are none.

    ``ids`` are where the values of the message id and the one before it begin, -1: not there.
    """

    __slots__ = (
        "acknowledge_now",
        "delivery_mode",
        "flow_id",
        "ids",
        "kept",
        "message_id",
        "previous_id",
        "priority",
        "time_to_live",
        "topic",
    )

    def __init__(self, params: bytes) -> None:
        self.topic = ""
        self.delivery_mode = DIRECT
        self.time_to_live = 0
        self.priority = 4
        self.flow_id = -1
        self.message_id = 0
        self.previous_id = 0
        self.acknowledge_now = False
        message_id_at = previous_id_at = -1
        kept: list[bytes] = []
        for key, start, at, stop in f.parameters(params, 0, len(params)):
            value = params[at:stop]
            if key not in _HOP:
                kept.append(params[start:stop])
                self._learn(key, value)
            elif key == f.FLOW_ID:
                self.flow_id = f.number(value)
            elif key == f.MESSAGE_ID:
                self.message_id, message_id_at = f.number(value), at
            elif key == f.PREVIOUS_MESSAGE_ID:
                self.previous_id, previous_id_at = f.number(value), at
            elif key == f.ACK_IMMEDIATELY:
                self.acknowledge_now = True
        self.kept = b"".join(kept)
        self.ids = (message_id_at, previous_id_at)

    def _learn(self, key: int, value: bytes) -> None:
        if key == f.TOPIC:
            self.topic = f.text(value)
        elif key == f.PRIORITY:
            self.priority = f.number(value, 4)
        elif key == f.DELIVERY_MODE:
            self.delivery_mode = f.number(value)
        elif key == f.TIME_TO_LIVE:
            self.time_to_live = f.number(value)


#: A publisher's messages differ in ids and body, seldom in anything else: what was read once need not be read again.
_remembered: Final = lru_cache(_HEADS_REMEMBERED)(Head)


def decode(frame: f.Frame) -> tuple[Message, PublishedHop]:
    """Take a message frame apart. Raises :class:`~.frame.ProtocolError`."""
    raw, length = frame.raw, frame.header_length
    head, message_id, previous_id = _head(raw[f.HEADER_LENGTH : length], guaranteed=bool(raw[0] & f.FLAG_GUARANTEED))
    return Message(raw[0], raw[2], head, raw[length:]), PublishedHop(head, message_id, previous_id)


def _head(params: bytes, *, guaranteed: bool) -> tuple[Head, int, int]:
    """Return what parameters say, message id and the one before it. Raises :class:`~.frame.ProtocolError`."""
    head: Head | None
    if len(params) > _REMEMBERED_BYTES:
        head = Head(params)
    elif guaranteed:
        id_at, previous_at = params.find(_MESSAGE_ID_MARK) + 2, params.find(_PREVIOUS_ID_MARK) + 2
        head = _without_ids(params, id_at, previous_at)
        if head is not None:
            return head, _id_in(params, id_at)[0], _id_in(params, previous_at)[0]
        head = Head(params)
    else:
        head = _remembered(params)
    return head, head.message_id, head.previous_id


def _without_ids(params: bytes, id_at: int, previous_at: int) -> Head | None:
    """Return what parameters say but for the two ids whose values seem to be at these places; None: they are not.

    They are there if that is where a reader finds them after both were blanked out: no value moves another.
    """
    first, second = (previous_at, id_at) if previous_at < id_at else (id_at, previous_at)
    if not 1 < first <= second - 10 <= len(params) - 18:  # 1: the mark was not found
        return None
    try:
        head = _remembered(params[:first] + _NO_ID + params[first + 8 : second] + _NO_ID + params[second + 8 :])
    except f.ProtocolError:
        return None
    return head if head.ids == (id_at, previous_at) else None


def restore(flags: int, cos: int, kept: bytes, body: bytes) -> Message:
    """Rebuild a message from its stored parts. Raises :class:`~.frame.ProtocolError`."""
    return Message(flags, cos, _head(kept, guaranteed=False)[0], body)


def encode_direct(message: Message) -> bytes:
    """Encode a message for a direct subscriber: not guaranteed, nothing of a hop."""
    return f.frame(
        f.MESSAGE, message.kept, message.body, flags=message.flags & ~f.FLAG_GUARANTEED, cos=message.cos, ttl=0xFF
    )


def encode_delivery(
    message: Message,
    flow_parameter: bytes,
    delivery_id: int,
    previous_id: int,
    *,
    redelivered: bool,
    count: int | None,
    spooled_id: int | None = None,
) -> bytes:
    """Encode a delivery to a consumer flow.

    ``count`` is that of earlier deliveries, ``spooled_id`` what the message is known by on the spool; None: not told.
    """
    extended = (b"" if spooled_id is None else f.extended_u64(f.EXT_SPOOLED_MESSAGE_ID, spooled_id)) + (
        b"" if count is None else f.extended_u32(f.EXT_REDELIVERY_COUNT, count)
    )
    params = (
        flow_parameter
        + b"\x11\x0a"
        + delivery_id.to_bytes(8, "big")
        + b"\x12\x0a"
        + previous_id.to_bytes(8, "big")
        + (_REDELIVERED_PARAMETER if redelivered else b"")
        + message.kept
        + (f.parameter(f.EXTENDED, extended) if extended else b"")
    )
    return f.frame(
        f.MESSAGE,
        params,
        message.body,
        flags=(message.flags | f.FLAG_GUARANTEED) & ~f.FLAG_DELIVER_TO_ONE,
        cos=message.cos,
        ttl=0xFF,
    )
