"""Direct messages of one length, prepared for each topic: sending them calls nothing per message.

Setting body and topic of a message costs two calls, which is more than the library needs to send it. The library copies
a direct message when it takes it, so the same messages serve again at once: place *i* of the block has a fixed buffer,
and one message for each topic that points to it.

::

    bodies ──copy──► buffer │ place 0 │ place 1 │ …      messages │ topic 0: m00 m01 … │ topic 1: m10 m11 … │
                                 ▲         ▲                            chosen by (topic, place) ──► send
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from ctypes import byref, c_void_p, sizeof

import numpy as np
from numpy.typing import NDArray

from crep.harness.brokers.packed import Packed
from crep.harness.brokers.solace.native.library import TOPIC, DeliveryMode, Destination, Library

PLACES = 250
"""Messages in one block."""
_MOST_TOPICS = 32  # each has a message for every place
_LONGEST = 16 << 10  # bytes: beyond, the copy costs more than the calls that it spares


class Block:
    """``PLACES`` places for messages of the length of the last ``fill``.

    Args:
        library: what to call.
        topics: full names; a message's topic is given by its place here.
    """

    def __init__(self, library: Library, topics: Sequence[str]) -> None:
        self._library, self._topics = library, topics
        self._length = 0
        self._buffer: ctypes.Array[ctypes.c_char] | None = None
        self._messages: NDArray[np.uint64] = np.zeros((len(topics), PLACES), np.uint64)
        self._chosen = np.zeros(PLACES, np.uint64)

    @property
    def suits(self) -> bool:
        """Whether there are few enough topics."""
        return len(self._topics) <= _MOST_TOPICS

    def fill(self, bodies: Sequence[bytes], topics: NDArray[np.uint32]) -> bool:
        """Make the block of these messages, at most ``PLACES``; False where they are not of one moderate length."""
        packed = bodies if isinstance(bodies, Packed) else Packed.of(bodies)
        count, length = len(packed), int(packed.lengths[0])
        in_a_row = packed.starts[-1] - packed.starts[0] == (count - 1) * length
        if length > _LONGEST or not in_a_row or not (packed.lengths == length).all():
            return False
        if length != self._length or self._buffer is None:
            self._prepare(length)
        assert self._buffer is not None  # noqa: S101 - just prepared
        if not self._messages[topics, 0].all():
            for topic in np.unique(topics[self._messages[topics, 0] == 0]).tolist():
                self._allocate(topic)
        ctypes.memmove(self._buffer, packed.address + int(packed.starts[0]), length * count)
        self._chosen[:count] = self._messages[topics, np.arange(count)]
        return True

    def address(self, place: int) -> int:
        """Of the pointer to the message at ``place``, for ``session_sendMultipleMsg``."""
        return self._chosen.ctypes.data + place * sizeof(c_void_p)

    def _prepare(self, length: int) -> None:
        self.free()
        self._length, self._buffer = length, ctypes.create_string_buffer(max(1, length * PLACES))

    def _allocate(self, topic: int) -> None:
        quick, check, message = self._library.quick, self._library.check, c_void_p()
        assert self._buffer is not None  # noqa: S101 - prepared before
        destination = Destination(TOPIC, self._topics[topic].encode())
        start = ctypes.addressof(self._buffer)
        for place in range(PLACES):
            check(quick.msg_alloc(byref(message)), "make a message")
            self._messages[topic, place] = message.value or 0
            check(quick.msg_setDeliveryMode(message, DeliveryMode.DIRECT), "set a delivery mode")
            check(quick.msg_setDestination(message, byref(destination), sizeof(destination)), "set a topic")
            body = ctypes.cast(start + place * self._length, ctypes.c_char_p)
            check(quick.msg_setBinaryAttachmentPtr(message, body, self._length), "set a body")

    def free(self) -> None:
        """Give the messages back to the library."""
        for message in self._messages[self._messages != 0].tolist():
            self._library.quick.msg_free(byref(c_void_p(message)))
        self._messages[:] = 0
