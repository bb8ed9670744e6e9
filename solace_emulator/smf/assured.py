"""AssuredCtrl (protocols 0x09 and 0x13): the control of guaranteed messaging."""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from .frame import U32, ProtocolError

OPEN_FLOW: Final = 0x00
CLIENT_ACK: Final = 0x03
BIND: Final = 0x04
UNBIND: Final = 0x05
UNSUBSCRIBE: Final = 0x06
CLOSE_FLOW: Final = 0x07
CREATE: Final = 0x08
DELETE: Final = 0x09
TRANSACTION: Final = 0x0B
FLOW_CHANGE_UPDATE: Final = 0x0C

LAST_ID_SENT: Final = 0x01
LAST_ID_ACKED: Final = 0x02
WINDOW: Final = 0x03
APPLICATION_ACK: Final = 0x05
FLOW_ID: Final = 0x06
QUEUE_NAME: Final = 0x07
TOPIC_ENDPOINT_NAME: Final = 0x08
FLOW_NAME: Final = 0x0A
DURABILITY: Final = 0x0B
ACCESS_TYPE: Final = 0x0C
SELECTOR: Final = 0x0D
TRANSPORT_WINDOW: Final = 0x0E
LAST_ID_RECEIVED: Final = 0x10
OTHERS_PERMISSIONS: Final = 0x11
FLOW_TYPE: Final = 0x12
QUOTA_MB: Final = 0x13
MAX_MESSAGE_SIZE: Final = 0x14
GRANTED_PERMISSIONS: Final = 0x15
RESPECT_TTL: Final = 0x16
TRANSACTION_SESSION: Final = 0x18
NO_LOCAL: Final = 0x1F
ACTIVE: Final = 0x20
WANTS_FLOW_CHANGES: Final = 0x21
PUBLISHER_ID: Final = 0x23
SPOOLED_MESSAGES: Final = 0x25
MAX_REDELIVERY: Final = 0x2A
ENDPOINT_ID: Final = 0x2C
MAX_UNACKED: Final = 0x31
START_REPLAY: Final = 0x33
ENDPOINT_ERROR_ID: Final = 0x34
SPOOL_ID: Final = 0x36

DURABLE: Final = 1
TEMPORARY: Final = 2

FLOW_CONSUMER: Final = 1
FLOW_BROWSER: Final = 2
FLOW_CONSUMER_WITH_OUTCOMES: Final = 3

#: First byte of START_REPLAY; a time in nanoseconds (8 bytes) or a replication group message id (16) follows.
REPLAY_ALL: Final = b"\0"
REPLAY_SINCE: Final = b"\1"
REPLAY_AFTER: Final = b"\2"

OUTCOME_ACCEPTED: Final = 0
OUTCOME_FAILED: Final = 1
OUTCOME_RELEASED: Final = 2
OUTCOME_REJECTED: Final = 3

_RANGE: Final = struct.Struct(">QQ")


@dataclass(frozen=True, slots=True)
class AssuredCtrl:
    """A decoded body. ``params`` keeps order and repeats: an acknowledgement has any number of ranges."""

    version: int
    kind: int
    params: tuple[tuple[int, bytes], ...]

    def by_type(self) -> dict[int, bytes]:
        """Return the parameters by type; of a repeated one the last."""
        return dict(self.params)


@dataclass(frozen=True, slots=True)
class AckRange:
    """Delivery ids ``first`` to ``last``, both included, settled with ``outcome``."""

    first: int
    last: int
    outcome: int


def decode(body: bytes) -> AssuredCtrl:
    """Decode a body of any version. Raises :class:`~.frame.ProtocolError`."""
    if len(body) < 3:
        raise ProtocolError(f"an AssuredCtrl body of {len(body)} bytes")
    version = body[0] & 0x3F
    if version >= 3:
        if len(body) < 6:
            raise ProtocolError(f"an AssuredCtrl body of {len(body)} bytes")
        kind, at = body[1], 6
        (end,) = U32.unpack_from(body, 2)
    else:
        kind, at = body[1] >> 4, 3
        end = 4 * ((body[1] & 0x0F) << 8 | body[2])
    if not at <= end <= len(body):
        raise ProtocolError(f"an AssuredCtrl body of {len(body)} bytes that says {end}")
    found: list[tuple[int, bytes]] = []
    while at < end:
        key = body[at] & 0x3F
        if body[at] == 0 and version < 3:  # zero padding up to a whole word
            at += 1
            continue
        at, value = _parameter(body, at, end)
        found.append((key, value))
    return AssuredCtrl(version, kind, tuple(found))


def _parameter(body: bytes, at: int, end: int) -> tuple[int, bytes]:
    value = at + 2
    if value > end:
        raise ProtocolError("an AssuredCtrl parameter without its length")
    length = body[at + 1]
    if length == 0:
        value = at + 6
        if value > end:
            raise ProtocolError("an AssuredCtrl parameter without its 4-byte length")
        (length,) = U32.unpack_from(body, at + 2)
    stop = at + length
    if stop < value or stop > end:
        raise ProtocolError(f"an AssuredCtrl parameter that says {length} bytes")
    return stop, body[value:stop]


def encode(version: int, kind: int, params: Iterable[tuple[int, bytes]]) -> bytes:
    """Encode a body in the given version."""
    content = b"".join(_encode_parameter(key, value) for key, value in params)
    if version >= 3:
        return bytes((version, kind)) + U32.pack(len(content) + 6) + content
    words = (3 + len(content) + 3) // 4
    return (bytes((version,)) + struct.pack(">H", kind << 12 | words) + content).ljust(4 * words, b"\0")


def _encode_parameter(key: int, value: bytes) -> bytes:
    length = len(value) + 2
    if length < 256:
        return bytes((key, length)) + value
    return bytes((key, 0)) + U32.pack(len(value) + 6) + value


def ack_range(value: bytes) -> AckRange:
    """Decode an application acknowledgement. Without an outcome byte it is accepted. Raises ProtocolError."""
    if len(value) not in (16, 17):
        raise ProtocolError(f"an application acknowledgement of {len(value)} bytes")
    first, last = _RANGE.unpack_from(value)
    outcome = value[16] if len(value) > 16 else OUTCOME_ACCEPTED
    if outcome > OUTCOME_REJECTED:
        raise ProtocolError(f"settlement outcome {outcome}")
    return AckRange(first, last, outcome)
