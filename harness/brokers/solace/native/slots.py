"""A ring of prepared messages: what is under way keeps its place until the broker has said what became of it.

::

    head ─────────── under way ─────────── tail ── free ──┐
      ▲ oldest without an outcome           ▲ next to send │
      └────────────────────────────────────────────────────┘

A message's position is counted from 0 for ever; its slot is the position modulo the size of the ring, its correlation
tag the slot plus one (zero is *no tag*). The body is not copied: the message points into the ``bytes`` object, which
the ring holds until the slot is free. (A persistent message is sent again from there after a reconnect.)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from ctypes import addressof, byref, c_void_p, sizeof

from crep.harness.brokers.solace.native.library import (
    MOST_AT_ONCE,
    TOPIC,
    DeliveryMode,
    Destination,
    Library,
)

_PROPERTIES_BYTES = 128  # a hint to the library: room for a stamp and a key


class Slots:
    """``size`` messages of one delivery mode, and where in the ring they are.

    Args:
        library: what to call.
        size: of the ring.
        mode: of every message.
        topics: full names; a message's topic is given by its place here.
        stamp_property, key_property: names of the user properties, None where there are none.
        ttl_ms: time to live of every message, None for no limit.
        properties: more user properties, the same in every message.

    Raises:
        BrokerError: a topic that the library does not accept.
    """

    def __init__(
        self,
        library: Library,
        size: int,
        mode: DeliveryMode,
        topics: Sequence[str],
        *,
        stamp_property: str | None,
        key_property: str | None,
        ttl_ms: int | None = None,
        properties: Mapping[str, str | int | float | bool] | None = None,
    ) -> None:
        self._library, self.size = library, size
        self._destinations = [Destination(TOPIC, topic.encode()) for topic in topics]
        self._pointers = [byref(destination) for destination in self._destinations]
        self._stamp_property = None if stamp_property is None else stamp_property.encode()
        self._key_property = None if key_property is None else key_property.encode()
        self._properties = dict(properties or {})
        self._messages = (c_void_p * size)()
        self._addresses: list[int] = []
        self._topics = [-1] * size
        self._bodies: list[bytes] = [b""] * size
        self.head = self.tail = 0
        self._allocate(mode, ttl_ms)
        for topic, pointer in zip(topics, self._pointers, strict=True):  # so that none is refused later, unseen
            set_up = library.quick.msg_setDestination(self._addresses[0], pointer, sizeof(Destination))
            library.check(set_up, f"publish to topic {topic!r}")

    def _allocate(self, mode: DeliveryMode, ttl_ms: int | None) -> None:
        quick, check, message = self._library.quick, self._library.check, c_void_p()
        for slot in range(self.size):
            check(quick.msg_alloc(byref(message)), "make a message")
            assert message.value is not None  # noqa: S101 - the library said so
            self._messages[slot] = message.value
            self._addresses.append(message.value)
            check(quick.msg_setDeliveryMode(message, mode), "set a delivery mode")
            check(quick.msg_setDMQEligible(message, True), "make a message eligible for dead letters")
            check(quick.msg_setCorrelationTagPtr(message, slot + 1, 0), "tag a message")
            if ttl_ms is not None:
                check(quick.msg_setTimeToLive(message, ttl_ms), "limit the life of a message")
            if self._properties:
                self._give_properties(message.value, None, None)

    @property
    def room(self) -> int:
        """Consecutive free slots from ``tail`` on, as many as go out in one call."""
        return min(MOST_AT_ONCE, self.size - (self.tail - self.head), self.size - self.tail % self.size)

    @property
    def under_way(self) -> int:
        """Messages without an outcome."""
        return self.tail - self.head

    def load(self, bodies: Iterable[bytes], topics: Iterable[int]) -> int:
        """Put messages (at most ``room``) into the slots from ``tail`` on, without moving it; both of equal length.

        Returns:
            The address of the first message, for ``session_sendMultipleMsg``.
        """
        quick = self._library.quick
        attach, direct, slot = quick.msg_setBinaryAttachmentPtr, quick.msg_setDestination, self.tail % self.size
        first, destination_size = slot, sizeof(Destination)
        for body, topic in zip(bodies, topics, strict=True):
            message = self._addresses[slot]
            attach(message, body, len(body))
            self._bodies[slot] = body
            if self._topics[slot] != topic:
                direct(message, self._pointers[topic], destination_size)
                self._topics[slot] = topic
            slot += 1
        return addressof(self._messages) + first * sizeof(c_void_p)

    def describe(self, place: int, stamp: bytes | None, key: str | None) -> None:
        """Give the message at ``tail + place`` its user properties in place of those that it had."""
        self._give_properties(self._addresses[(self.tail + place) % self.size], stamp, key)

    def _give_properties(self, message: int, stamp: bytes | None, key: str | None) -> None:
        quick, properties, check = self._library.quick, c_void_p(), self._library.check
        check(quick.msg_createUserPropertyMap(message, byref(properties), _PROPERTIES_BYTES), "make user properties")
        if stamp is not None:
            added = quick.container_addByteArray(properties, stamp, len(stamp), self._stamp_property)
            check(added, "add the stamp")
        if key is not None:
            check(quick.container_addString(properties, key.encode(), self._key_property), "add the key")
        for name, value in self._properties.items():
            check(self._add(properties, name.encode(), value), f"add property {name!r}")
        quick.container_closeMapStream(byref(properties))

    def _add(self, properties: c_void_p, name: bytes, value: str | float | bool) -> int:
        quick = self._library.quick
        if isinstance(value, bool):
            return int(quick.container_addBoolean(properties, value, name))
        if isinstance(value, int):
            return int(quick.container_addInt64(properties, value, name))
        if isinstance(value, float):
            return int(quick.container_addDouble(properties, value, name))
        return int(quick.container_addString(properties, value.encode(), name))

    def position_of(self, tag: int) -> int | None:
        """The position under way with this tag; None where none is."""
        position = self.head + (tag - 1 - self.head) % self.size
        return position if tag and position < self.tail else None

    def free(self) -> None:
        """Give the messages back to the library; none is under way any more, or ever will be."""
        for slot in range(len(self._addresses)):
            self._library.quick.msg_free(byref(c_void_p(self._addresses[slot])))
        self._addresses.clear()
