"""Where a message that was lost is, as the broker's own storage tells.

An *identity* is the first 16 bytes of a message's stamp: whose it is (8 bytes, the same for all messages of one
publisher of one run), then its sequence (8 bytes, little-endian). It stands at the beginning of the payload, or in
hexadecimal digits at that of a property.
"""

from __future__ import annotations

from binascii import unhexlify
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

State = Literal["never-stored", "stored", "dead-lettered", "not-found", "not-looked-for"]
"""``never-stored``: the storage was read to its end, keeps all that it ever took, and has no such message.

``stored``: it is there, and was not delivered. ``not-found``: it is not there, but may have been. ``not-looked-for``:
the storage could not be read, or not to its end.
"""

IDENTITY_BYTES, OWNER_BYTES = 16, 8


@dataclass(frozen=True)
class Sought:
    """A message that is looked for, and the number of its key."""

    identity: bytes
    key: int

    @property
    def owner(self) -> bytes:
        """Equal for all messages of one publisher."""
        return self.identity[:OWNER_BYTES]

    @property
    def sequence(self) -> int:
        """Its place among its publisher's messages."""
        return sequence_of(self.identity)


@dataclass(frozen=True)
class Location:
    """What was found: where (native object with offset or id), and why it is so, where the storage shows that."""

    state: State
    where: str = ""
    why: str = ""


def sequence_of(identity: bytes) -> int:
    """The sequence in an identity."""
    return int.from_bytes(identity[OWNER_BYTES:IDENTITY_BYTES], "little")


def identity_of(owners: frozenset[bytes], body: bytes, properties: Iterable[object]) -> bytes | None:
    """The identity of a stored message, if one of these owners sent it."""
    begins = bytes(body[:IDENTITY_BYTES])  # libraries hand out bytearrays too, which no set holds
    if len(begins) == IDENTITY_BYTES and begins[:OWNER_BYTES] in owners:
        return begins
    for value in properties:
        identity = _from_digits(value)
        if identity is not None and identity[:OWNER_BYTES] in owners:
            return identity
    return None


def carries(identity: bytes, body: bytes, properties: Iterable[object]) -> bool:
    """Whether a message's body has that identity in it, or a property begins with its digits."""
    return identity in body or any(_from_digits(value) == identity for value in properties)


def _from_digits(value: object) -> bytes | None:
    if isinstance(value, str):
        value = value.encode()
    if not isinstance(value, bytes | bytearray) or len(value) < 2 * IDENTITY_BYTES:
        return None
    try:
        return unhexlify(value[: 2 * IDENTITY_BYTES])
    except ValueError:
        return None
