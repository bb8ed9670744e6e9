"""The bulk publisher on the C library: prepared messages, up to fifty a call, outcomes by the window."""

from __future__ import annotations

import time
from ctypes import byref, c_uint32

import numpy as np
from numpy.typing import NDArray

from crep.harness.brokers.contract import Batch, BrokerError, Outcome, Outcomes, PublisherSpec
from crep.harness.brokers.solace.client import Patience, SolaceClient
from crep.harness.brokers.solace.errors import fate_of
from crep.harness.brokers.solace.native.block import PLACES, Block
from crep.harness.brokers.solace.native.library import MOST_AT_ONCE, DeliveryMode, Result, load
from crep.harness.brokers.solace.native.properties import PUBLISHER_WINDOW, session_properties
from crep.harness.brokers.solace.native.session import Session
from crep.harness.brokers.solace.native.slots import Slots

_RING = 2 * PUBLISHER_WINDOW
_FLUSH_WITHIN_S = 3.0
# The library cannot compose or encode the message: offering it again would change nothing.
_BAD_MESSAGE = frozenset(
    f"SOLCLIENT_SUBCODE_{name}"
    for name in (
        "PARAM_OUT_OF_RANGE",
        "PARAM_NULL_PTR",
        "PARAM_CONFLICT",
        "USER_DATA_TOO_LARGE",
        "TOPIC_TOO_LARGE",
        "INVALID_TOPIC_SYNTAX",
        "TOPIC_MISSING",
        "MESSAGE_TOO_LARGE",
        "MAX_TOTAL_MSGSIZE_EXCEEDED",
    )
)


class NativePublisher(SolaceClient):
    """One session, guaranteed or direct.

    A guaranteed message is taken when the library has put it into its window; a direct one when it is in the
    library's output buffer, and then it is ``SENT``. What the broker refuses is reported one by one, before the
    acknowledgement that covers its neighbours.

    Raises:
        NativeClientUnavailable: the C library, or one of the settings, cannot be used with it.
    """

    def __init__(self, spec: PublisherSpec) -> None:
        library = load()
        guaranteed = {"publisher window": str(PUBLISHER_WINDOW), "acknowledge events": "windowed"}
        fixed = {"messages per call": str(MOST_AT_ONCE), "wait": "poll mode, no thread of the library"}
        super().__init__(spec, f"native ({library.version})", fixed | (guaranteed if spec.guaranteed else {}))
        self._spec, self._library = spec, library
        self._session_properties = session_properties(spec.endpoint, spec.name, self._properties)
        self._session: Session | None = None
        self._slots: Slots | None = None
        self._block: Block | None = None  # direct messages without properties
        self._patience = Patience()
        self._written = c_uint32()
        self._sequences = np.zeros(_RING, np.uint64)  # by slot
        self._refused = np.zeros(_RING, np.bool_)  # by slot: has an outcome already, its neighbours have not
        self._outcomes: list[tuple[NDArray[np.uint64], Outcome, int]] = []
        self._reasons: dict[int, str] = {}

    def open(self) -> None:
        """Connect.

        Raises:
            BrokerError: no connection in time, the login was refused, or it may not publish guaranteed messages.
        """
        spec = self._spec
        self._session = Session(
            self._library,
            spec.endpoint,
            self._session_properties,
            self._log,
            on_acknowledged=self._acknowledged,
            on_rejected=self._rejected,
        )
        prefix = spec.objects["topic_prefix"]
        try:
            self._session.connect()
            if spec.guaranteed and not self._session.is_capable("PUB_GUARANTEED"):
                raise BrokerError(
                    f"Solace at {spec.endpoint.smf} lets user {spec.endpoint.username or 'default'!r} send no "
                    "guaranteed messages: its client profile must allow it, and the message VPN needs a spool"
                )
            self._slots = Slots(
                self._library,
                _RING,
                DeliveryMode.PERSISTENT if spec.guaranteed else DeliveryMode.DIRECT,
                [f"{prefix}/{topic}" for topic in spec.topics],
                stamp_property=spec.stamp_property,
                key_property=spec.objects["key_property"],
                ttl_ms=spec.ttl_ms,
                properties=spec.properties,
            )
            if not spec.guaranteed and spec.objects["key_property"] is None and not spec.properties:
                block = Block(self._library, [f"{prefix}/{topic}" for topic in spec.topics])
                self._block = block if block.suits else None
        except BrokerError:
            self.close()
            raise

    def send_batch(self, batch: Batch, start: int) -> int:
        """Hand over until the window is full or the connection is down; only a bad message is refused for good here.

        What the library could not send is left to be offered again, for a few seconds at most where the message
        itself seems to be the cause.
        """
        session, slots = self._open_session()
        if self._block is not None and batch.stamps is None:
            taken = self._send_block(session, self._block, batch, start)
            if taken is not None:
                return taken
        topics, at, end = batch.topic.tolist(), start, len(batch.sequence)
        while at < end:
            count = min(slots.room, end - at)
            if not count:
                break  # every slot is under way
            first = slots.load(batch.bodies[at : at + count], topics[at : at + count])
            self._describe(slots, batch, at, count)
            result = self._library.calls.session_sendMultipleMsg(session.handle, first, count, byref(self._written))
            taken = count if result == Result.OK else min(self._written.value, count)
            self._taken(slots, batch.sequence[at : at + taken])
            at += taken
            if result == Result.FAIL and taken < count and self._give_up(int(batch.sequence[at])):
                at += 1
            elif result != Result.OK:
                break  # the window or the socket is full, or there is no connection: offered again by the engine
        return at - start

    def _send_block(self, session: Session, block: Block, batch: Batch, start: int) -> int | None:
        """Direct messages of one length; None where these are not, or where the library fails at one of them."""
        sent = start
        while sent < len(batch.sequence):
            bodies = batch.bodies[sent : sent + PLACES]
            if not block.fill(bodies, batch.topic[sent : sent + PLACES]):
                break
            for at in range(0, len(bodies), MOST_AT_ONCE):
                count = min(MOST_AT_ONCE, len(bodies) - at)
                result = self._library.calls.session_sendMultipleMsg(
                    session.handle, block.address(at), count, byref(self._written)
                )
                taken = count if result == Result.OK else min(self._written.value, count)
                self._sent(batch.sequence[sent : sent + taken])
                sent += taken
                if result == Result.FAIL:
                    return sent - start or None
                if result != Result.OK:
                    return sent - start
        return sent - start or None

    def _sent(self, sequences: NDArray[np.uint64]) -> None:
        if len(sequences):
            self._outcomes.append((sequences, Outcome.SENT, time.monotonic_ns()))

    def _describe(self, slots: Slots, batch: Batch, at: int, count: int) -> None:
        stamps = batch.stamps if self._spec.stamp_property is not None else None
        keyed = self._spec.objects["key_property"] is not None
        if stamps is None and not keyed:
            return
        for i in range(count):
            slots.describe(i, None if stamps is None else stamps[at + i], str(batch.key[at + i]) if keyed else None)

    def _taken(self, slots: Slots, sequences: NDArray[np.uint64]) -> None:
        count = len(sequences)
        if not count:
            return
        if self._spec.guaranteed:
            slot = slots.tail % slots.size
            self._sequences[slot : slot + count], self._refused[slot : slot + count] = sequences, False
            slots.tail += count
        else:  # copied by the library: the slots are free at once
            slots.head = slots.tail = slots.tail + count
            self._sent(sequences)

    def _give_up(self, sequence: int) -> bool:
        """The library failed at this message: whether that is its end."""
        code, words = self._library.last_error()
        if code not in _BAD_MESSAGE and not self._patience.over(sequence):
            return False
        self._put(sequence, Outcome.REJECTED, words or code)
        return True

    def _put(self, sequence: int, outcome: Outcome, reason: str) -> None:
        self._outcomes.append((np.array([sequence], np.uint64), outcome, time.monotonic_ns()))
        self._reasons[sequence] = reason

    def _acknowledged(self, tag: int) -> None:
        """All messages up to this one have been stored, but for those that were refused before."""
        slots = self._slots
        position = None if slots is None else slots.position_of(tag)
        if slots is None or position is None:
            return
        covered = np.arange(slots.head, position + 1) % slots.size
        self._outcomes.append(
            (self._sequences[covered[~self._refused[covered]]], Outcome.ACKNOWLEDGED, time.monotonic_ns())
        )
        slots.head = position + 1

    def _rejected(self, tag: int, reason: str, code: str) -> None:
        """One message has been refused, or given up by the library."""
        slots = self._slots
        position = None if slots is None else slots.position_of(tag)
        if slots is None or position is None or self._refused[position % slots.size]:
            return
        slot = position % slots.size
        self._refused[slot] = True
        self._put(int(self._sequences[slot]), fate_of(code), reason)
        while slots.head < slots.tail and self._refused[slots.head % slots.size]:
            slots.head += 1

    def poll(self, timeout_s: float) -> Outcomes:
        """What the library reported, stamped when it did; with a timeout, up to 10 ms longer where nothing happens."""
        session, _ = self._open_session()
        session.process(wait=False)
        if timeout_s > 0 and not self._outcomes:
            session.process(wait=True)
        return self._take()

    def _take(self) -> Outcomes:
        taken, self._outcomes = self._outcomes, []
        reasons, self._reasons = self._reasons, {}
        counts = [len(sequences) for sequences, _, _ in taken]
        return Outcomes(
            np.concatenate([sequences for sequences, _, _ in taken]) if taken else np.empty(0, np.uint64),
            np.repeat(np.array([outcome for _, outcome, _ in taken], np.uint8), counts),
            np.repeat(np.array([at_ns for _, _, at_ns in taken], np.int64), counts),
            reasons,
        )

    def drain(self, timeout_s: float) -> Outcomes:
        """Wait for the outcomes of what is under way; a direct message has its own already."""
        session, slots = self._open_session()
        deadline = time.monotonic() + timeout_s
        session.process(wait=False)
        while slots.under_way and session.lost is None and time.monotonic() < deadline:
            session.process(wait=True)
        return self._take()

    def close(self) -> None:
        """Disconnect; messages without an outcome keep none. Direct ones are written out before, where that goes."""
        session, self._session = self._session, None
        slots, self._slots = self._slots, None
        block, self._block = self._block, None
        if session is not None:
            if not self._spec.guaranteed and slots is not None and not session.flush(_FLUSH_WITHIN_S):
                self._log.note("error", "the last direct messages may not have left: the broker has not read them")
            session.close()
        for messages in (slots, block):
            if messages is not None:
                messages.free()

    def _open_session(self) -> tuple[Session, Slots]:
        if self._session is None or self._slots is None:
            raise BrokerError(f"publisher {self._spec.name!r} is not open")
        return self._session, self._slots
