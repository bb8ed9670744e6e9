"""The bulk subscriber on the C library: a flow on a reader's queue, or a direct subscription, read in the engine's
own thread."""

from __future__ import annotations

import time
from ctypes import addressof, c_uint32, c_uint64, c_void_p
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crep.harness.brokers.contract import (
    REDELIVERED_NOT_OFFERED,
    BrokerError,
    Deliveries,
    Json,
    SubscriberSpec,
)
from crep.harness.brokers.solace.client import SolaceClient
from crep.harness.brokers.solace.native.byte_property import byte_property, bytes_at
from crep.harness.brokers.solace.native.library import RELEASE_MESSAGE, Library, Result, load
from crep.harness.brokers.solace.native.properties import FLOW_WINDOW, session_properties
from crep.harness.brokers.solace.native.session import Session

_ACCEPTED, _FAILED = 0, 2  # solClient_msgOutcome_t


class NativeSubscriber(SolaceClient):
    """One session with one flow or one subscription.

    Raises:
        NativeClientUnavailable: the C library, or one of the settings, cannot be used with it.
    """

    def __init__(self, spec: SubscriberSpec) -> None:
        library = load()
        super().__init__(spec, f"native ({library.version})", {"wait": "poll mode, no thread of the library"})
        self._spec, self._library = spec, library
        self._session_properties = session_properties(spec.endpoint, spec.name, self._properties)
        self._queue: Json | None = spec.objects["queues"].get(spec.reader.name)
        self._direct: Json | None = spec.objects["direct"].get(spec.reader.name)
        self._session: Session | None = None
        self._inbox = _Inbox(library, stored=self._queue is not None, stamp_property=spec.stamp_property)

    def open(self) -> None:
        """Connect, then bind to the queue or subscribe. Returns when the broker has confirmed.

        Raises:
            BrokerError: no connection in time; the login, the bind or the subscription was refused.
        """
        spec = self._spec
        if self._queue is None and self._direct is None:
            raise BrokerError(f"nothing was provisioned for reader {spec.reader.name!r}")
        self._session = Session(
            self._library,
            spec.endpoint,
            self._session_properties,
            self._log,
            on_message=self._inbox.on_message,
            rebind_for_s=spec.reconnect_for_s,
            on_unbound=self._inbox.forget,
        )
        try:
            self._session.connect()
            if self._queue is not None:
                self._session.bind(self._queue["name"], fails=spec.reader.dead_letters_after is not None)
            elif self._direct is not None:
                share, topic = self._direct["share_name"], self._direct["subscription"]
                self._session.subscribe(f"#share/{share}/{topic}" if share else topic)
        except BrokerError:
            self.close()
            raise

    def ready(self, timeout_s: float) -> None:
        """A confirmed bind or subscription receives all that is published from then on: `open` waited for it."""
        self._open_session()

    def receive(self, max_messages: int, timeout_s: float) -> Deliveries:
        """What has come; wait only when that is nothing. Of a queue at most a window's messages.

        The library gathers acknowledgements into ranges, but writes each one alone, in a frame and a system call of
        its own, while more than two windows of messages are without (7.33, seen on the wire): then acknowledging costs
        twice as much as all the rest.

        Raises:
            BrokerError: the connection or the flow is lost for good.
        """
        session, inbox = self._open_session(), self._inbox
        if self._queue is not None:
            max_messages = min(max_messages, FLOW_WINDOW)
        deadline = time.monotonic() + timeout_s
        while True:
            before = -1
            while before != len(inbox) and len(inbox) < max_messages:  # as long as each look brings more
                before = len(inbox)
                session.process(wait=False)
            if len(inbox):
                return inbox.take(max_messages, session.binding)
            if session.lost is not None:
                raise BrokerError(f"reader {self._spec.reader.name!r} cannot receive: {session.lost}")
            if time.monotonic() >= deadline:
                return inbox.take(0, session.binding)
            session.process(wait=True)

    def tend(self) -> None:
        """Read and write in this thread: the library has none. What comes, a window at most, waits in the inbox."""
        self._open_session().process(wait=False)

    def acknowledge(self, deliveries: Deliveries) -> None:
        """Settle each message. One that cannot be settled (the connection is down) stays stored and comes again."""
        if deliveries.token is None:
            return
        session = self._open_session()
        if not self._settles(session, deliveries):
            return
        assert isinstance(deliveries.token, list)  # noqa: S101 - made in `_Inbox.take`
        acknowledge, flow, failed = (
            self._library.quick.flow_sendAck,
            session.flow,
            0,
        )  # never blocks: gathered, then sent
        for message_id in deliveries.token:
            if acknowledge(flow, message_id) != Result.OK:
                failed += 1
        if failed:
            self._log.note("error", f"{failed} messages not acknowledged: {self._library.last_error()[1]}")

    def settle(self, deliveries: Deliveries, failed: NDArray[np.intp]) -> None:
        """As ``acknowledge``, but those at the places ``failed`` the broker delivers again, or dead-letters."""
        if deliveries.token is None:
            return
        session = self._open_session()
        if not self._settles(session, deliveries):
            return
        settle, flow = self._library.quick.flow_settleMsg, session.flow
        assert isinstance(deliveries.token, list)  # noqa: S101 - made in `_Inbox.take`
        outcomes = np.full(len(deliveries.token), _ACCEPTED)
        outcomes[failed] = _FAILED
        unsettled = 0
        for message_id, outcome in zip(deliveries.token, outcomes.tolist(), strict=True):
            if settle(flow, message_id, outcome) != Result.OK:
                unsettled += 1
        if unsettled:
            self._log.note("error", f"{unsettled} messages not settled: {self._library.last_error()[1]}")

    def _settles(self, session: Session, deliveries: Deliveries) -> bool:
        """Whether the flow that they came on is there: else they come again, and their ids mean nothing on another."""
        assert isinstance(deliveries.token, _Ids)  # noqa: S101 - made in `_Inbox.take`
        if deliveries.token.binding != session.binding:
            self._log.note("error", f"{len(deliveries)} messages not settled: their flow has ended, they come again")
            return False
        return True

    def close(self) -> None:
        """Unbind and disconnect; what was not acknowledged stays on the queue."""
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def _open_session(self) -> Session:
        if self._session is None:
            raise BrokerError(f"subscriber {self._spec.name!r} is not open")
        return self._session


class _Inbox:
    """What the library has called back with and nobody has taken; columns of equal length, in order of receipt."""

    def __init__(self, library: Library, *, stored: bool, stamp_property: str | None) -> None:
        self._stored, self._library = stored, library
        self._stamp_property = None if stamp_property is None else stamp_property.encode()
        self._bodies: list[bytes] = []
        self._received: list[int] = []
        self._redelivered: list[int] = []
        self._ids: list[int] = []
        self._stamps: list[bytes] = []
        self._address, self._length, self._id = c_void_p(), c_uint32(), c_uint64()  # where the library writes
        self.on_message = self._callback()

    def __len__(self) -> int:
        return len(self._received)

    def _callback(self) -> Any:
        """The message callback: a closure, since it runs for each message and looks up nothing but its own cells."""
        quick = self._library.quick
        attachment, message_id, is_redelivered = (
            quick.msg_getBinaryAttachmentPtr,
            quick.msg_getMsgId,
            quick.msg_isRedelivered,
        )
        address, length, number = self._address, self._length, self._id
        to_address, to_length, to_number = addressof(address), addressof(length), addressof(number)
        now, body_at, found = time.monotonic_ns, bytes_at, Result.OK.value
        stored, stamped, stamp_of = self._stored, self._stamp_property is not None, self._stamp_of
        received, bodies, redelivered = self._received.append, self._bodies.append, self._redelivered.append
        ids, stamps = self._ids.append, self._stamps.append

        def on_message(_from: int, message: int, _user: int) -> int:
            received(now())
            bodies(body_at(address, length.value) if attachment(message, to_address, to_length) == found else b"")
            if stored:
                message_id(message, to_number)
                ids(number.value)
                redelivered(is_redelivered(message))
            if stamped:
                stamps(stamp_of(message))
            return RELEASE_MESSAGE

        return on_message

    def _stamp_of(self, message: int) -> bytes:
        """The user property; empty where the message has none."""
        return byte_property(self._library, message, self._stamp_property or b"")

    def forget(self) -> None:
        """The flow has ended: what nobody has taken comes again on the next."""
        for column in (self._bodies, self._received, self._redelivered, self._ids, self._stamps):
            column.clear()

    def take(self, most: int, binding: int) -> Deliveries:
        """The oldest ``most`` messages. The token is the list of the library's message ids, None without a queue."""
        bodies, received = _taken(self._bodies, most), np.array(_taken(self._received, most), np.int64)
        if self._stored:
            redelivered = np.array(_taken(self._redelivered, most), np.uint8)
        else:
            redelivered = np.full(len(bodies), REDELIVERED_NOT_OFFERED, np.uint8)
        stamps = _taken(self._stamps, most) if self._stamp_property is not None else None
        ids = _Ids(binding, _taken(self._ids, most)) if self._stored else None
        return Deliveries(bodies, stamps, received, redelivered, ids)


class _Ids(list[int]):
    """The library's message ids, and the binding (``Session.binding``) that they came by."""

    def __init__(self, binding: int, ids: list[int]) -> None:
        super().__init__(ids)
        self.binding = binding


def _taken(column: list[Any], most: int) -> list[Any]:
    taken = column[:most]
    del column[:most]
    return taken
