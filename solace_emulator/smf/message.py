"""A message (protocol TrMsg): what belongs to it for good, and what belongs to one hop.

A broker keeps the body and most parameters byte for byte. Message ids, flow id, redelivery marks and the like are the
hop's own: they are read, dropped, and written anew for each consumer.
"""

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


class Message:
    """A message as a broker keeps it.

    ``kept`` are the encoded SMF parameters that travel with it, ``body`` all sections behind them; ``flags`` and
    ``cos`` are header bytes 0 and 2. ``time_to_live`` is in milliseconds, 0 for ever.
    """

    __slots__ = ("body", "cos", "delivery_mode", "flags", "kept", "priority", "time_to_live", "topic")

    def __init__(self, flags: int, cos: int, kept: bytes, body: bytes) -> None:
        self.flags = flags
        self.cos = cos
        self.kept = kept
        self.body = body
        self.topic = ""
        self.delivery_mode = DIRECT
        self.time_to_live = 0
        self.priority = 4

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

    def __init__(self) -> None:
        self.flow_id = -1
        self.message_id = 0
        self.previous_id = 0
        self.acknowledge_now = False


def decode(frame: f.Frame) -> tuple[Message, PublishedHop]:
    """Take a message frame apart. Raises :class:`~.frame.ProtocolError`."""
    raw = frame.raw
    hop = PublishedHop()
    message = Message(raw[0], raw[2], b"", raw[frame.header_length :])
    kept: list[bytes] = []
    for key, start, value, stop in f.parameters(raw, f.HEADER_LENGTH, frame.header_length):
        if key not in _HOP:
            kept.append(raw[start:stop])
            _learn(message, key, raw[value:stop])
        elif key == f.FLOW_ID:
            hop.flow_id = f.number(raw[value:stop])
        elif key == f.MESSAGE_ID:
            hop.message_id = f.number(raw[value:stop])
        elif key == f.PREVIOUS_MESSAGE_ID:
            hop.previous_id = f.number(raw[value:stop])
        elif key == f.ACK_IMMEDIATELY:
            hop.acknowledge_now = True
    message.kept = b"".join(kept)
    return message, hop


def restore(flags: int, cos: int, kept: bytes, body: bytes) -> Message:
    """Rebuild a message from its stored parts. Raises :class:`~.frame.ProtocolError`."""
    message = Message(flags, cos, kept, body)
    for key, _, value, stop in f.parameters(kept, 0, len(kept)):
        _learn(message, key, kept[value:stop])
    return message


def _learn(message: Message, key: int, value: bytes) -> None:
    if key == f.TOPIC:
        message.topic = f.text(value)
    elif key == f.PRIORITY:
        message.priority = f.number(value, 4)
    elif key == f.DELIVERY_MODE:
        message.delivery_mode = f.number(value)
    elif key == f.TIME_TO_LIVE:
        message.time_to_live = f.number(value)


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
