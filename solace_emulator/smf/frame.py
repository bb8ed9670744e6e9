"""The SMF frame: header, parameters, and cutting a byte stream into frames.

A frame is a 12-byte header, SMF parameters up to the header length, and a body up to the message length; all integers
are big-endian. A parameter is *standard* (type and length byte, or a 4-byte length when that byte is 0) or *light*
(one byte that holds type and length 0 to 3).
"""

import struct
from collections.abc import Iterator
from typing import Final

HEADER: Final = struct.Struct(">BBBBII")
HEADER_LENGTH: Final = 12
VERSION: Final = 3

# Encapsulated protocols (byte 1, bits 5-0).
ASSURED_CTRL: Final = 0x09
KEEP_ALIVE: Final = 0x0B
CLIENT_CTRL: Final = 0x0C
MESSAGE: Final = 0x0D
SMP: Final = 0x0F
ASSURED_PASS_THROUGH: Final = 0x13

# Header byte 0.
FLAG_DISCARD_INDICATION: Final = 0x80
FLAG_DELIVER_TO_ONE: Final = 0x20
FLAG_GUARANTEED: Final = 0x10
FLAG_DMQ_ELIGIBLE: Final = 0x08

# Standard parameter types.
PUBLISHER_ID: Final = 0x01
PRIORITY: Final = 0x03
USER_NAME: Final = 0x06
PASSWORD: Final = 0x07
RESPONSE: Final = 0x08
DELIVERY_MODE: Final = 0x10
MESSAGE_ID: Final = 0x11
PREVIOUS_MESSAGE_ID: Final = 0x12
REDELIVERED: Final = 0x13
CONTENTS_SUMMARY: Final = 0x16
FLOW_ID: Final = 0x17
TOPIC: Final = 0x18
FLOW_REDELIVERED: Final = 0x19
TIME_TO_LIVE: Final = 0x1C
EXTENDED: Final = 0x1F

# Light parameter types, told apart from the standard ones by an offset.
LIGHT: Final = 0x100
CORRELATION_TAG: Final = LIGHT | 0
ACK_IMMEDIATELY: Final = LIGHT | 3

EXT_SPOOLED_MESSAGE_ID: Final = 0x2D  # with the spool id of the bind answer: the replication group message id
EXT_REDELIVERY_COUNT: Final = 0x2E

U32: Final = struct.Struct(">I")
U64: Final = struct.Struct(">Q")
_EXTENDED_U32: Final = struct.Struct(">HI")
_EXTENDED_U64: Final = struct.Struct(">HQ")


class ProtocolError(ValueError):
    """Bytes that are no SMF: the connection that sent them cannot be read any further."""


class Frame:
    """One whole frame. ``raw`` is every byte of it; ``header_length`` tells where the body starts."""

    __slots__ = ("header_length", "protocol", "raw")

    def __init__(self, raw: bytes, protocol: int, header_length: int) -> None:
        self.raw = raw
        self.protocol = protocol
        self.header_length = header_length

    @property
    def flags(self) -> int:
        """Header byte 0, with the version in its low bits."""
        return self.raw[0]

    @property
    def body(self) -> bytes:
        """Everything behind the SMF parameters."""
        return self.raw[self.header_length :]

    def parameters(self) -> dict[int, bytes]:
        """Return the SMF parameters by type; of a repeated one the last. Raises :class:`ProtocolError`."""
        raw = self.raw
        return {key: raw[a:b] for key, _, a, b in parameters(raw, HEADER_LENGTH, self.header_length)}


class FrameSplitter:
    """Cut a byte stream into frames; holds at most one incomplete frame.

    ``limit`` bounds a frame's length in bytes. It may be changed between calls: a session trusts a client with large
    frames only after login.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._held = bytearray()
        self._wanted = HEADER_LENGTH

    @property
    def held(self) -> int:
        """Bytes held of a frame that is not whole."""
        return len(self._held)

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that ``data`` completes. Raises :class:`ProtocolError` when the stream is unreadable."""
        held = self._held
        if held:
            held += data
            if len(held) < self._wanted:
                return []
            data = bytes(held)
            held.clear()
        frames: list[Frame] = []
        at, end = 0, len(data)
        self._wanted = HEADER_LENGTH
        while end - at >= HEADER_LENGTH:
            flags, protocol, _, _, header_length, length = HEADER.unpack_from(data, at)
            if flags & 7 != VERSION:
                raise ProtocolError(f"version {flags & 7} instead of {VERSION} in a frame header")
            if header_length < HEADER_LENGTH or length < header_length:
                raise ProtocolError(f"header length {header_length} and message length {length} cannot both be")
            if length > self.limit:
                raise ProtocolError(f"a frame of {length} bytes; at most {self.limit} are accepted here")
            if end - at < length:
                self._wanted = length
                break
            frames.append(Frame(data[at : at + length], protocol & 0x3F, header_length))
            at += length
        if at < end:
            held += data[at:]
        return frames


def parameters(raw: bytes, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield (type, start of parameter, start of value, end of value) for the SMF parameters in ``raw[at:end]``.

    Light parameters have :data:`LIGHT` added to their type. Raises :class:`ProtocolError` for a length beyond ``end``.
    """
    while at < end:
        first = raw[at]
        if first == 0:  # a pad byte
            at += 1
            continue
        if first & 0x20:
            value, stop = at + 1, at + 1 + (first & 3)
            key = LIGHT | (first >> 2 & 7)
        else:
            key, value = first & 0x1F, at + 2
            if value > end:
                raise ProtocolError("an SMF parameter without its length")
            length = raw[at + 1]
            if length == 0:
                value = at + 6
                if value > end:
                    raise ProtocolError("an SMF parameter without its 4-byte length")
                (length,) = U32.unpack_from(raw, at + 2)
            stop = at + length
            if stop < value:
                raise ProtocolError(f"SMF parameter {key:#x} says that it is {length} bytes long")
        if stop > end:
            raise ProtocolError(f"SMF parameter {key:#x} reaches {stop - end} bytes over the header")
        yield key, at, value, stop
        at = stop


def parameter(key: int, value: bytes) -> bytes:
    """Encode a standard SMF parameter."""
    length = len(value) + 2
    if length < 256:
        return bytes((key, length)) + value
    return bytes((key, 0)) + U32.pack(len(value) + 6) + value


def extended_u32(key: int, value: int) -> bytes:
    """Encode an entry of 4 bytes (format 3) for the extended parameter stream."""
    return _EXTENDED_U32.pack(3 << 12 | key, value)


def extended_u64(key: int, value: int) -> bytes:
    """Encode an entry of 8 bytes (format 4) for the extended parameter stream."""
    return _EXTENDED_U64.pack(4 << 12 | key, value)


def response(code: int, text: str) -> bytes:
    """Encode the response parameter: code, then the text without a NUL."""
    return parameter(RESPONSE, U32.pack(code) + text.encode())


def correlation(tag: bytes | None) -> bytes:
    """Encode the correlation tag of an answer; nothing when the request had none."""
    return b"\x23" + tag if tag is not None and len(tag) == 3 else b""


def frame(
    protocol: int, params: bytes = b"", body: bytes = b"", *, flags: int = VERSION, cos: int = 0, ttl: int = 1
) -> bytes:
    """Encode a frame. ``flags`` is header byte 0, ``cos`` byte 2, ``ttl`` byte 3."""
    header_length = HEADER_LENGTH + len(params)
    return HEADER.pack(flags, protocol, cos, ttl, header_length, header_length + len(body)) + params + body


def text(value: bytes) -> str:
    """Decode a NUL-ended string; bytes that are no UTF-8 are replaced, so that this never fails."""
    return value.partition(b"\0")[0].decode("utf-8", "replace")


def terminated(value: str) -> bytes:
    """Encode a NUL-ended string."""
    return value.encode() + b"\0"


def number(value: bytes | None, default: int = 0) -> int:
    """Decode a big-endian unsigned integer of up to 64 bits; ``default`` when it is absent or empty.

    Raises :class:`ProtocolError` for a longer one: every number of the protocol fits.
    """
    if not value:
        return default
    if len(value) > 8:
        raise ProtocolError(f"a number of {len(value)} bytes")
    return int.from_bytes(value, "big")


KEEP_ALIVE_FRAME: Final = frame(KEEP_ALIVE)
