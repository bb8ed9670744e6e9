"""Structured data types: decoding of a message's header and user properties.

A message with more than a raw payload has a contents summary (parameter 0x16) that lists its sections; the section of
type 4 is binary metadata, whose SDT block is a stream of two items: two bytes of payload kind, and a map with the keys
``h`` (header) and ``p`` (user properties).
"""

import struct
from collections.abc import Iterator
from typing import Final

from . import frame as f
from .message import Message

_BINARY_METADATA: Final = 4
_MAX_DEPTH: Final = 16

Value = None | bool | int | float | str | bytes | list["Value"] | dict[str, "Value"]


def properties(message: Message) -> dict[str, Value]:
    """Return a message's user properties; none when it has no readable metadata."""
    try:
        for section in _metadata_sections(message):
            for item in _blocks(section):
                if isinstance(item, list):
                    for part in item:
                        if isinstance(part, dict) and isinstance(part.get("p"), dict):
                            found = part["p"]
                            assert isinstance(found, dict)  # noqa: S101 - looked at in the line above
                            return found
    except f.ProtocolError:
        return {}
    return {}


def _metadata_sections(message: Message) -> Iterator[bytes]:
    kept = message.kept
    for key, _, value, stop in f.parameters(kept, 0, len(kept)):
        if key != f.CONTENTS_SUMMARY:
            continue
        at, summary, start = 0, kept[value:stop], 0
        while at < len(summary):
            kind, width = summary[at] >> 4, summary[at] & 0x0F
            if width < 2 or at + width > len(summary):
                raise f.ProtocolError("a contents summary with an entry that does not fit")
            size = int.from_bytes(summary[at + 1 : at + width], "big")
            if kind == _BINARY_METADATA:
                yield message.body[start : start + size]
            start += size
            at += width


def _blocks(section: bytes) -> Iterator[Value]:
    """Yield the items of the SDT blocks (type 0) of binary metadata."""
    if not section:
        return
    count, at = section[0], 1 + 4 * section[0]
    for number in range(count):
        head = section[1 + 4 * number : 5 + 4 * number]
        if len(head) < 4:
            raise f.ProtocolError("binary metadata without its block lengths")
        length = int.from_bytes(head[1:], "big")
        if head[0] == 0:
            yield from decode(section[at : at + length])
        at += length


def decode(raw: bytes, depth: int = 0) -> Iterator[Value]:
    """Yield the SDT items in ``raw``. Raises :class:`~.frame.ProtocolError`."""
    if depth > _MAX_DEPTH:
        raise f.ProtocolError(f"SDT containers nested more than {_MAX_DEPTH} deep")
    at = 0
    while at < len(raw):
        tag, width = raw[at] >> 2, (raw[at] & 3) + 1
        length = int.from_bytes(raw[at + 1 : at + 1 + width], "big")
        if length < 1 + width or at + length > len(raw):
            raise f.ProtocolError(f"an SDT item that says {length} bytes")
        yield _value(tag, raw[at + 1 + width : at + length], depth)
        at += length


def _value(tag: int, raw: bytes, depth: int) -> Value:  # noqa: PLR0911 - one line for each type
    match tag:
        case 0:
            return None
        case 1:
            return raw != b"\0"
        case 2:
            return int.from_bytes(raw, "big", signed=True)
        case 3 | 5:
            return int.from_bytes(raw, "big")
        case 4:
            if len(raw) not in (4, 8):
                raise f.ProtocolError(f"an SDT float of {len(raw)} bytes")
            number: float = struct.unpack(">f" if len(raw) == 4 else ">d", raw)[0]
            return number
        case 7:
            return f.text(raw)
        case 10:
            items = list(decode(raw, depth + 1))
            return {str(key): value for key, value in zip(items[::2], items[1::2], strict=False)}
        case 11:
            return list(decode(raw, depth + 1))
        case _:
            return raw
