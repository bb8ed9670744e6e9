"""SMP (protocol 0x0f): adding and removing subscriptions."""

from dataclasses import dataclass
from typing import Final

from .frame import U32, ProtocolError, text

ADD: Final = 0
REMOVE: Final = 1
ADD_TO_QUEUE: Final = 2
REMOVE_FROM_QUEUE: Final = 3
ADD_FOR_CLIENT: Final = 4
REMOVE_FOR_CLIENT: Final = 5
OF_QUEUES: Final = (ADD_TO_QUEUE, REMOVE_FROM_QUEUE)

FLAG_RESPONSE_REQUIRED: Final = 0x08


@dataclass(frozen=True, slots=True)
class Request:
    """A subscription request; ``owner`` is the queue or client that it is for, empty for the sender itself."""

    kind: int
    flags: int
    owner: str
    subscription: str

    @property
    def response_required(self) -> bool:
        """The client waits for an answer."""
        return bool(self.flags & FLAG_RESPONSE_REQUIRED)


def decode(body: bytes) -> Request:
    """Decode a request. Raises :class:`~.frame.ProtocolError`."""
    if len(body) < 6:
        raise ProtocolError(f"an SMP body of {len(body)} bytes")
    (length,) = U32.unpack_from(body, 1)
    if not 6 <= length <= len(body):
        raise ProtocolError(f"an SMP body of {len(body)} bytes that says {length}")
    kind, flags = body[0] & 0x7F, body[5]
    if kind > REMOVE_FOR_CLIENT:
        raise ProtocolError(f"SMP message type {kind}")
    if kind in (ADD, REMOVE):
        return Request(kind, flags, "", text(body[6:length]))
    owner, at = _counted(body, 6, length)
    subscription, _ = _counted(body, at, length)
    return Request(kind, flags, owner, subscription)


def _counted(body: bytes, at: int, end: int) -> tuple[str, int]:
    if at >= end or at + 1 + body[at] > end:
        raise ProtocolError("a name in an SMP body reaches over its end")
    stop = at + 1 + body[at]
    return text(body[at + 1 : stop]), stop
