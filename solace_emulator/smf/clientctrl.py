"""ClientCtrl (protocol 0x0c): login and the change of client settings."""

from collections.abc import Sequence
from typing import Final

from .frame import U32, ProtocolError

LOGIN: Final = 0
UPDATE: Final = 1

SOFTWARE_VERSION: Final = 0x00
SOFTWARE_DATE: Final = 0x01
PLATFORM: Final = 0x02
USER_ID: Final = 0x03
DESCRIPTION: Final = 0x04
CLIENT_NAME: Final = 0x05
VPN_NAME: Final = 0x06
P2P_TOPIC: Final = 0x08
CAPABILITIES: Final = 0x09
VIRTUAL_ROUTER_NAME: Final = 0x0A
ROUTER_NAME: Final = 0x0C
NO_LOCAL: Final = 0x0F
AUTHENTICATION_SCHEME: Final = 0x11
EXTENDED_CAPABILITIES: Final = 0x13
KEEP_ALIVE_INTERVAL: Final = 0x18  # seconds, U32

#: Values of AUTHENTICATION_SCHEME; absent means basic.
BASIC: Final = 0
CLIENT_CERTIFICATE: Final = 1

#: The order of the capability bits, most significant first.
CAPABILITY_BITS: Final = (
    "jndi",
    "compression",
    "sub_flow_guaranteed",
    "temporary_endpoint",
    "pub_flow_guaranteed",
    "browser",
    "endpoint_management",
    "selector",
    "endpoint_ttl",
    "queue_subscriptions",
    "flow_recover",
    "subscription_manager",
    "eliding",
    "transacted",
    "no_local",
    "flow_change_updates",
    "sequenced_topics",
    "discard_behaviour",
    "cut_through",
    "openmama",
    "replay",
    "compressed_ssl",
    "long_selectors",
    "shared_subscriptions",
    "bind_replay_error_id",
    "application_ack_failed",
    "variable_length_extended_parameters",
)


def decode(body: bytes) -> tuple[int, dict[int, bytes]]:
    """Return message type and parameters by type. Raises :class:`~.frame.ProtocolError`."""
    if len(body) < 6:
        raise ProtocolError(f"a ClientCtrl body of {len(body)} bytes")
    (length,) = U32.unpack_from(body, 2)
    if not 6 <= length <= len(body):
        raise ProtocolError(f"a ClientCtrl body of {len(body)} bytes that says {length}")
    found: dict[int, bytes] = {}
    at = 6
    while at < length:
        if at + 5 > length:
            raise ProtocolError("a ClientCtrl parameter without its length")
        (size,) = U32.unpack_from(body, at + 1)
        if size < 5 or at + size > length:
            raise ProtocolError(f"a ClientCtrl parameter that says {size} bytes")
        found[body[at] & 0x7F] = body[at + 5 : at + size]
        at += size
    return body[1], found


def encode(kind: int, params: Sequence[tuple[int, bytes]]) -> bytes:
    """Encode a ClientCtrl body of version 1."""
    content = b"".join(bytes((key,)) + U32.pack(len(value) + 5) + value for key, value in params)
    return bytes((1, kind)) + U32.pack(len(content) + 6) + content


def capabilities(names: frozenset[str], entries: Sequence[tuple[int, bytes]]) -> bytes:
    """Encode the capabilities value: the named bits, then entries (type, value)."""
    bits = bytearray((len(CAPABILITY_BITS) + 7) // 8)
    for index, name in enumerate(CAPABILITY_BITS):
        if name in names:
            bits[index // 8] |= 0x80 >> index % 8
    return bytes((len(CAPABILITY_BITS),)) + bytes(bits) + _entries(entries)


def extended_capabilities(entries: Sequence[tuple[int, bytes]]) -> bytes:
    """Encode the extended capabilities: no booleans. (With them repeated the Java client reads no versions.)"""
    return b"\0" + _entries(entries)


def _entries(entries: Sequence[tuple[int, bytes]]) -> bytes:
    return b"".join(bytes((key,)) + U32.pack(len(value) + 5) + value for key, value in entries)
