"""Fields of Kafka's requests and answers, in the encodings before the "flexible versions". Big-endian throughout.

Protocol: https://kafka.apache.org/protocol
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

i16 = struct.Struct(">h").pack
i32 = struct.Struct(">i").pack
i64 = struct.Struct(">q").pack
_I8, _I16, _I32, _I64 = (struct.Struct(f">{code}") for code in "bhiq")


def text(value: str | None) -> bytes:
    """A string that may be null."""
    if value is None:
        return i16(-1)
    encoded = value.encode()
    return i16(len(encoded)) + encoded


def items(encoded: Sequence[bytes]) -> bytes:
    """An array of encoded items."""
    return i32(len(encoded)) + b"".join(encoded)


class Fields:
    """Reads a request, field by field.

    Raises:
        struct.error: in every method: the request ends too early.
    """

    def __init__(self, raw: bytes) -> None:
        self._raw, self._at = raw, 0

    def _number(self, form: struct.Struct) -> int:
        (value,) = form.unpack_from(self._raw, self._at)
        self._at += form.size
        return int(value)

    def i8(self) -> int:
        """A signed byte."""
        return self._number(_I8)

    def i16(self) -> int:
        """A signed number of two bytes."""
        return self._number(_I16)

    def i32(self) -> int:
        """A signed number of four bytes."""
        return self._number(_I32)

    def i64(self) -> int:
        """A signed number of eight bytes."""
        return self._number(_I64)

    def text(self) -> str | None:
        """A string that may be null."""
        length = self.i16()
        return None if length < 0 else self._bytes(length).decode()

    def data(self) -> bytes:
        """Bytes behind their length; null is none."""
        return self._bytes(max(0, self.i32()))

    def skip(self, length: int) -> None:
        """Go on behind so many bytes."""
        self._at += max(0, length)

    def by_topic(self, partition: Callable[[], bytes]) -> bytes:
        """The answer to an array of topics, each with an array of partitions; ``partition`` reads one and answers."""
        return self.by_topic_named(lambda _name: partition())

    def by_topic_named(self, partition: Callable[[str], bytes]) -> bytes:
        """The same, for one who has to know the topic's name."""
        answers = []
        for _ in range(self.i32()):
            name = self.text() or ""
            answers.append(text(name) + items([partition(name) for _ in range(self.i32())]))
        return items(answers)

    def _bytes(self, length: int) -> bytes:
        found = self._raw[self._at : self._at + length]
        self._at += length
        return found
