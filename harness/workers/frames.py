"""Frames on a pipe: a JSON object and, behind it, raw bytes. ``>II`` lengths in front."""

from __future__ import annotations

import json
import struct
from typing import Any, Protocol

_LENGTHS = struct.Struct(">II")

Header = dict[str, Any]


class Readable(Protocol):
    """A blocking binary stream; ``read`` gives fewer bytes than asked for at its end only."""

    def read(self, size: int, /) -> bytes:
        """At most ``size`` bytes."""


def encoded(header: Header, body: bytes = b"") -> bytes:
    """One frame."""
    text = json.dumps(header, separators=(",", ":")).encode()
    return _LENGTHS.pack(len(text), len(body)) + text + body


def read_frame(stream: Readable) -> tuple[Header, bytes] | None:
    """The next frame; None at the end of the stream, also in the middle of a frame (the writer was killed)."""
    lengths = stream.read(_LENGTHS.size)
    if len(lengths) < _LENGTHS.size:
        return None
    header_length, body_length = _LENGTHS.unpack(lengths)
    text, body = stream.read(header_length), stream.read(body_length) if body_length else b""
    if len(text) < header_length or len(body) < body_length:
        return None
    return json.loads(text), body
