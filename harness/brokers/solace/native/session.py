"""A context and a session of the C library in poll mode: nothing happens unless ``process`` is called.

::

    connect ──► UP ──► process, process, … ──► close
                 │        ├─ ACKNOWLEDGEMENT, REJECTED_MESSAGE ─► the publisher
                 │        └─ messages ─► the subscriber
                 └ RECONNECTING … RECONNECTED (by itself)   DOWN: the library has given up

A flow that the broker ends (its queue's egress was shut, the permission was taken) the library gives up at once: it
binds again by itself for a replay only. An application has to; so does this class, from within ``process``.

Callbacks run inside ``process``, on the caller's thread. What one of them raises cannot pass through C: it is kept and
raised by ``process`` when the library has returned.
"""

from __future__ import annotations

import contextlib
import ctypes
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from ctypes import byref, c_char_p, c_void_p, cast, sizeof
from typing import Any

from crep.harness.brokers.contract import BrokerError, Endpoint
from crep.harness.brokers.solace.binding import BindAgain
from crep.harness.brokers.solace.events import EventLog
from crep.harness.brokers.solace.native.library import (
    EVENT_CALLBACK,
    MESSAGE_CALLBACK,
    RELEASE_MESSAGE,
    REQUEST_CONFIRM,
    Callback,
    Callbacks,
    ContextCallbacks,
    FlowEvent,
    Library,
    Result,
    SessionEvent,
)
from crep.harness.brokers.solace.native.properties import flow_properties
from crep.harness.brokers.solace.service import CONNECT_TIMEOUT_S, connect_failure

TICK_MS = 10
"""The longest that a waiting ``process`` waits when nothing happens: the resolution of the library's timers."""
_CONFIRM_WITHIN_S = 10.0
_FLUSH_TOPIC = b"crep-flush"  # nobody sends to it
_NO_SUCH_QUEUE = "SOLCLIENT_SUBCODE_UNKNOWN_QUEUE_NAME"

OnMessage = Callable[[int, int, int], int]
"""(session or flow, message, user) → ``KEEP_MESSAGE`` or ``RELEASE_MESSAGE``; raises nothing."""
Acknowledged = Callable[[int], None]
"""The correlation tag of the last of the acknowledged messages."""
Rejected = Callable[[int, str, str], None]
"""Correlation tag, reason, name of the subcode."""


class Session:
    """One connection; with ``bind``, one flow on it.

    Args:
        library: what to call.
        endpoint: for the texts of errors.
        properties: of the session, see ``properties``.
        log: hears of the connection.
        on_message: messages of subscriptions and of the flow; none by default.
        on_acknowledged, on_rejected: outcomes of guaranteed messages; none by default.
        rebind_for_s: how long to try to bind again when the broker has ended the flow.
        on_unbound: told when it has: what came on that flow and is not acknowledged comes again on the next.
    """

    def __init__(
        self,
        library: Library,
        endpoint: Endpoint,
        properties: Mapping[str, str],
        log: EventLog,
        *,
        on_message: OnMessage = lambda _from, _message, _user: RELEASE_MESSAGE,
        on_acknowledged: Acknowledged = lambda _tag: None,
        on_rejected: Rejected = lambda _tag, _reason, _code: None,
        rebind_for_s: float = 0.0,
        on_unbound: Callable[[], None] = lambda: None,
    ) -> None:
        self._library, self._endpoint, self._log = library, endpoint, log
        self._on_acknowledged, self._on_rejected = on_acknowledged, on_rejected
        self.lost: str | None = None  # why the connection, or the flow, is gone for good
        self.handle, self.flow, self._context = c_void_p(), c_void_p(), c_void_p()
        self._events: list[int] = []  # of subscription and bind, while somebody waits for them
        self._refusal: tuple[str, str] = ("", "")  # reason and subcode that came with the last of those
        self._escaped: BaseException | None = None
        self.binding = 0  # how many flows there have been: a message belongs to the one that it came on
        self._bind_again, self._on_unbound = BindAgain(rebind_for_s), on_unbound
        self._flow_settings: dict[str, str] = {}
        self._thread = threading.get_ident()
        # The library keeps the addresses only: these must live as long as the session.
        self._callbacks = (
            EVENT_CALLBACK(self._heard),
            EVENT_CALLBACK(self._heard_of_flow),
            MESSAGE_CALLBACK(on_message),
        )
        self._create(properties)

    def _create(self, properties: Mapping[str, str]) -> None:
        library, nothing = self._library, ContextCallbacks()
        context = _array({"CONTEXT_CREATE_THREAD": "0", "CONTEXT_TIME_RES_MS": str(TICK_MS)})
        created = library.calls.context_create(context, byref(self._context), byref(nothing), sizeof(nothing))
        library.check(created, "create a context")
        functions = self._functions(self._callbacks[0])
        created = library.calls.session_create(
            _array(properties), self._context, byref(self.handle), byref(functions), sizeof(functions)
        )
        try:
            library.check(created, "create a session")
        except BrokerError:
            library.calls.context_destroy(byref(self._context))
            raise

    def _functions(self, events: Any) -> Callbacks:
        return Callbacks(
            Callback(), Callback(cast(events, c_void_p), None), Callback(cast(self._callbacks[2], c_void_p), None)
        )

    def connect(self) -> None:
        """Connect and log in.

        Raises:
            BrokerError: not within the time limit, or the login was refused.
        """
        result = self._library.calls.session_connect(self.handle)
        if result not in (Result.OK, Result.IN_PROGRESS):
            code, words = self._library.last_error()
            raise connect_failure(self._endpoint, words, code)
        came = self._await({SessionEvent.UP, SessionEvent.CONNECT_FAILED, SessionEvent.DOWN}, CONNECT_TIMEOUT_S + 1.0)
        if came != SessionEvent.UP:
            reason, code = self._refusal if came is not None else (f"no answer in {CONNECT_TIMEOUT_S:.0f} s", "")
            raise connect_failure(self._endpoint, reason, code)

    def is_capable(self, capability: str) -> bool:
        """Whether broker and client profile grant it; ``capability`` is the part after ``SESSION_CAPABILITY_``."""
        return bool(self._library.calls.session_isCapable(self.handle, f"SESSION_CAPABILITY_{capability}".encode()))

    def subscribe(self, topic: str) -> None:
        """Add a topic subscription; returns when the broker has confirmed it.

        Raises:
            BrokerError: it was refused, or not confirmed in time.
        """
        result = self._library.calls.session_topicSubscribeExt(self.handle, REQUEST_CONFIRM, topic.encode())
        self._library.check(result, f"subscribe to {topic!r}", Result.IN_PROGRESS)
        came = self._await({SessionEvent.SUBSCRIPTION_OK, SessionEvent.SUBSCRIPTION_ERROR}, _CONFIRM_WITHIN_S)
        if came != SessionEvent.SUBSCRIPTION_OK:
            raise BrokerError(f"Solace at {self._endpoint.smf} refuses subscription {topic!r}: {self._why(came)}")

    def flush(self, within_s: float) -> bool:
        """Return True when the broker has read all that was sent: answered a request that was sent behind it.

        The library ends a session without writing out its buffer. Any answer will do, a refusal as well.
        """
        deadline = time.monotonic() + within_s
        self._events.clear()
        while self.lost is None and time.monotonic() < deadline:
            result = self._library.calls.session_topicSubscribeExt(self.handle, REQUEST_CONFIRM, _FLUSH_TOPIC)
            if result in (Result.OK, Result.IN_PROGRESS):
                answers: set[int] = {SessionEvent.SUBSCRIPTION_OK, SessionEvent.SUBSCRIPTION_ERROR}
                return self._await(answers, deadline - time.monotonic()) is not None
            self.process(wait=True)  # the buffer is full, or there is no connection
        return False

    def bind(self, queue: str, *, fails: bool = False) -> None:
        """Open a flow on a durable queue; returns when the broker has bound it. ``fails``: messages may be failed.

        Raises:
            BrokerError: it was refused, or not bound in time.
        """
        self._flow_settings = flow_properties(queue, fails=fails)
        self._library.check(self._create_flow(), f"bind to queue {queue!r}", Result.IN_PROGRESS)
        # A flow's events are told apart from the session's by the thousand.
        came = self._await({_OF_FLOW + FlowEvent.UP, _OF_FLOW + FlowEvent.BIND_FAILED}, _CONFIRM_WITHIN_S)
        if came != _OF_FLOW + FlowEvent.UP:
            raise BrokerError(f"Solace at {self._endpoint.smf} refuses queue {queue!r}: {self._why(came)}")

    def _create_flow(self) -> int:
        functions = self._functions(self._callbacks[1])
        self.binding += 1
        return int(
            self._library.calls.session_createFlow(
                _array(self._flow_settings), self.handle, byref(self.flow), byref(functions), sizeof(functions)
            )
        )

    def _bind_again_now(self) -> None:
        """The flow that has ended is released and a new one asked for; its event tells what came of it."""
        if self.flow:
            self._library.calls.flow_destroy(byref(self.flow))
        if self._bind_again.over(time.monotonic()):
            self.lost = self._bind_again.reason
            self._log.gave_up(self.lost)
        elif self._create_flow() not in (Result.OK, Result.IN_PROGRESS):
            self._bind_again.failed(self._library.last_error()[1], time.monotonic())  # no connection just now
        else:
            self._bind_again.asked()

    def _flow_ended(self, reason: str, code: str) -> None:
        """Within a callback, where no flow may be made."""
        if code == _NO_SUCH_QUEUE or not self._bind_again.allowed:
            self.lost = reason
            self._log.note("error", f"the flow was ended: {reason}")
            return
        self._on_unbound()
        self._log.reconnecting(f"the broker has ended the flow, binding again: {reason}")
        self._bind_again.failed(reason, time.monotonic())

    def _why(self, came: int | None) -> str:
        return self._refusal[0] if came is not None else f"no answer in {_CONFIRM_WITHIN_S:.0f} s"

    def _await(self, wanted: set[int], timeout_s: float) -> int | None:
        """The first of the ``wanted`` events, or None when the time is over or the connection is lost for good."""
        deadline = time.monotonic() + timeout_s
        while True:
            for event in self._events:
                if event in wanted:
                    self._events.clear()
                    return event
            if time.monotonic() >= deadline:
                return None
            self.process(wait=True)

    def process(self, *, wait: bool) -> None:
        """Let the library work: read, write, reconnect, call back. With ``wait``, sleep until there is something.

        It never sleeps longer than ``TICK_MS``. Without ``wait`` it cannot block, so the interpreter lock is kept: each
        callback then costs half.

        Raises:
            BrokerError: a callback failed, or this is another thread than the one that made the session.
        """
        self._check_thread()
        if self._bind_again.due(time.monotonic()):
            self._bind_again_now()
        functions = self._library.calls if wait else self._library.quick
        functions.context_processEventsWait(self._context, wait)
        if self._escaped is not None:
            escaped, self._escaped = self._escaped, None
            raise BrokerError(f"an event of the Solace C library was not understood: {escaped!r}") from escaped

    def _check_thread(self) -> None:
        """The library takes the thread that lets it work for its own: a session ended on another ends the process."""
        if threading.get_ident() != self._thread:
            raise BrokerError("a Solace session in poll mode was used on another thread than the one that made it")

    def close(self) -> None:
        """Unbind, disconnect, release. Idempotent; waits for nobody, also where the broker is frozen.

        Raises:
            BrokerError: on another thread than the one that made the session.
        """
        if not self._context:
            return
        self._check_thread()
        calls = self._library.calls
        if self.flow:
            calls.flow_destroy(byref(self.flow))
        calls.session_disconnect(self.handle)
        calls.session_destroy(byref(self.handle))
        calls.context_destroy(byref(self._context))

    def _heard(self, _session: int, event: Any, _user: int) -> None:
        with self._kept():
            said = event.contents
            if said.event == SessionEvent.ACKNOWLEDGEMENT:
                self._on_acknowledged(said.correlation or 0)
            elif said.event == SessionEvent.REJECTED_MESSAGE:
                self._on_rejected(said.correlation or 0, *self._reason(said))
            else:
                self._of_connection(said)

    def _of_connection(self, said: Any) -> None:
        event = said.event
        if event == SessionEvent.RECONNECTING:
            self._log.reconnecting(self._reason(said)[0])
        elif event == SessionEvent.RECONNECTED:
            self._log.reconnected("the session is back")
        elif event == SessionEvent.REPUBLISHED:
            self._log.note("error", f"the broker had lost the publisher flow, sent again: {_text(said.info)}")
        elif event == SessionEvent.GUARANTEED_DOWN:
            self._log.note("error", f"guaranteed publishing is not available: {self._reason(said)[0]}")
        else:
            self._events.append(event)
            if event != SessionEvent.UP:
                self._refusal = self._reason(said)
            if event == SessionEvent.DOWN:
                self.lost = self._refusal[0]
                self._log.gave_up(self.lost)

    def _heard_of_flow(self, _flow: int, event: Any, _user: int) -> None:
        with self._kept():
            said = event.contents
            if said.event in _FLOW_TEXTS:
                self._log.note("flow", _FLOW_TEXTS[said.event])
            elif said.event == FlowEvent.DOWN or (said.event == FlowEvent.BIND_FAILED and self._bind_again.going_on):
                self._flow_ended(*self._reason(said))
            elif said.event == FlowEvent.UP and self._bind_again.going_on:
                self._bind_again.succeeded()
                self._log.reconnected("the flow is bound again")
            elif said.event in (FlowEvent.UP, FlowEvent.BIND_FAILED):
                self._events.append(_OF_FLOW + said.event)
                self._refusal = self._reason(said)

    @contextlib.contextmanager
    def _kept(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:  # noqa: BLE001 - raised by ``process``
            self._escaped = error

    def _reason(self, said: Any) -> tuple[str, str]:
        """Words and subcode of an event that tells of a failure: the library's last error is its cause, then."""
        code, words = self._library.last_error()
        return _text(said.info) or words or "no reason was given", code


_OF_FLOW = 1000
_FLOW_TEXTS = {
    FlowEvent.ACTIVE: "active: the queue delivers to this client",
    FlowEvent.INACTIVE: "inactive: the queue delivers to another client",
    FlowEvent.RECONNECTING: "unbound by the broker, binding again",
    FlowEvent.RECONNECTED: "bound again",
}


def _array(properties: Mapping[str, str]) -> Any:
    """Name, value, name, value, …, null."""
    words = [word.encode() for pair in properties.items() for word in pair]
    return (c_char_p * (len(words) + 1))(*words)


def _text(address: int | None) -> str:
    return ctypes.string_at(address).decode(errors="replace") if address else ""
