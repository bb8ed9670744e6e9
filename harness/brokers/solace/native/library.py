"""The C library that the official wheel carries, declared once: functions, structures, codes.

``solace-pubsubplus`` is a layer of Python objects over this library, at about 100 µs a message; the library's own,
documented C API does the same work in less than one. ``load`` finds the very file that the package has loaded and
initialised, opens own handles on it (so that the package's declarations stay untouched) and checks version and symbols.
Whatever is not as expected raises ``NativeClientUnavailable``; the adapter then takes the public API and says so.

Names and types are those of the vendor's public headers ``solClient.h`` and ``solClientMsg.h``, without the prefix
``solClient_``; most functions return a ``Result``.

======  ==============================================================================================================
handle  meaning
======  ==============================================================================================================
calls   releases Python's interpreter lock during each call: for what may block or calls back
quick   keeps it, which costs half as much: only for what cannot block
======  ==============================================================================================================
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import (
    CDLL,
    CFUNCTYPE,
    POINTER,
    PyDLL,
    Structure,
    c_char,
    c_char_p,
    c_double,
    c_int32,
    c_int64,
    c_size_t,
    c_uint8,
    c_uint32,
    c_uint64,
    c_void_p,
)
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from typing import Any

from crep.harness.brokers.contract import BrokerError

OLDEST, BELOW = (7, 33), (8, 0)
"""Versions (major, minor) whose declarations these are: 7.33 is the one that was driven; 8 may change them."""

MOST_AT_ONCE = 50
"""Messages that ``session_sendMultipleMsg`` takes in one call."""


class NativeClientUnavailable(BrokerError):
    """The C library cannot be used as it is declared here; the text says why. The public API still can."""


class Result(IntEnum):
    """``solClient_returnCode_t``."""

    FAIL = -1
    OK = 0
    WOULD_BLOCK = 1
    IN_PROGRESS = 2
    NOT_READY = 3
    NOT_FOUND = 5
    NO_EVENT = 6


class SessionEvent(IntEnum):
    """``solClient_session_event_t``, as far as it is told apart here."""

    UP = 0
    DOWN = 1
    CONNECT_FAILED = 2
    REJECTED_MESSAGE = 3
    SUBSCRIPTION_ERROR = 4
    ACKNOWLEDGEMENT = 6
    GUARANTEED_DOWN = 8
    CAN_SEND = 11
    RECONNECTING = 12
    RECONNECTED = 13
    SUBSCRIPTION_OK = 16
    REPUBLISHED = 20


class FlowEvent(IntEnum):
    """``solClient_flow_event_t``."""

    UP = 0
    DOWN = 1
    BIND_FAILED = 2
    SESSION_DOWN = 4
    ACTIVE = 5
    INACTIVE = 6
    RECONNECTING = 7
    RECONNECTED = 8


class DeliveryMode(IntEnum):
    """``SOLCLIENT_DELIVERY_MODE_*``."""

    DIRECT = 0x00
    PERSISTENT = 0x10


TOPIC = 0
"""``SOLCLIENT_TOPIC_DESTINATION``."""
REQUEST_CONFIRM = 0x10
"""``SOLCLIENT_SUBSCRIBE_FLAGS_REQUEST_CONFIRM``: an event tells the outcome, the call does not wait for it."""
KEEP_MESSAGE = 1
"""``SOLCLIENT_CALLBACK_TAKE_MSG``: a message callback's answer when it frees the message itself, later."""
RELEASE_MESSAGE = 0
"""``SOLCLIENT_CALLBACK_OK``: the library takes the message back when the callback returns."""


class Destination(Structure):
    """``solClient_destination_t``."""

    _fields_ = (("kind", c_int32), ("name", c_char_p))


class Callback(Structure):
    """A function and what it is called with."""

    _fields_ = (("function", c_void_p), ("user", c_void_p))


class Callbacks(Structure):
    """``solClient_session_createFuncInfo_t`` and the same of a flow; ``unused`` is the deprecated raw receiver."""

    _fields_ = (("unused", Callback), ("events", Callback), ("messages", Callback))


class ContextCallbacks(Structure):
    """``solClient_context_createFuncInfo_t``: all null, the library watches its own file descriptors."""

    _fields_ = (("register", c_void_p), ("unregister", c_void_p), ("user", c_void_p))


class Event(Structure):
    """``solClient_session_eventCallbackInfo_t``; of a flow, without ``correlation``. ``info`` is a C string."""

    _fields_ = (("event", c_int32), ("response_code", c_uint32), ("info", c_void_p), ("correlation", c_void_p))


class ErrorInfo(Structure):
    """``solClient_errorInfo_t``: what failed last on this thread."""

    _fields_ = (("sub_code", c_int32), ("response_code", c_uint32), ("text", c_char * 256))


class _Version(Structure):
    _fields_ = (("version", c_char_p), ("built", c_char_p), ("variant", c_char_p))


MESSAGE_CALLBACK = CFUNCTYPE(c_int32, c_void_p, c_void_p, c_void_p)
"""(session or flow, message, user) → ``KEEP_MESSAGE`` or ``RELEASE_MESSAGE``."""
EVENT_CALLBACK = CFUNCTYPE(None, c_void_p, POINTER(Event), c_void_p)
"""(session or flow, event, user)."""

_OUT = POINTER(c_void_p)
_ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "context_create": (c_void_p, _OUT, c_void_p, c_size_t),
    "context_destroy": (_OUT,),
    "context_processEventsWait": (c_void_p, c_uint8),  # the second is a flag: 1 waits for an event or a timer's tick
    "session_create": (c_void_p, c_void_p, _OUT, c_void_p, c_size_t),
    "session_connect": (c_void_p,),
    "session_disconnect": (c_void_p,),
    "session_destroy": (_OUT,),
    "session_isCapable": (c_void_p, c_char_p),
    "session_topicSubscribeExt": (c_void_p, c_uint32, c_char_p),
    "session_createFlow": (c_void_p, c_void_p, _OUT, c_void_p, c_size_t),
    "session_sendMultipleMsg": (c_void_p, c_void_p, c_uint32, POINTER(c_uint32)),
    "flow_destroy": (_OUT,),
    "flow_sendAck": (c_void_p, c_uint64),
    "flow_settleMsg": (c_void_p, c_uint64, c_int32),
    "msg_alloc": (_OUT,),
    "msg_free": (_OUT,),
    "msg_setBinaryAttachmentPtr": (c_void_p, c_char_p, c_uint32),  # not copied: the bytes object must live as long
    "msg_setDestination": (c_void_p, POINTER(Destination), c_size_t),
    "msg_setDeliveryMode": (c_void_p, c_uint32),
    "msg_setDMQEligible": (c_void_p, c_uint8),
    "msg_setTimeToLive": (c_void_p, c_int64),
    "msg_setCorrelationTagPtr": (c_void_p, c_void_p, c_uint32),
    "msg_createUserPropertyMap": (c_void_p, _OUT, c_uint32),
    "msg_getUserPropertyMap": (c_void_p, _OUT),
    "msg_getBinaryAttachmentPtr": (c_void_p, c_void_p, c_void_p),  # addresses, made once: cheaper than byref each time
    "msg_getMsgId": (c_void_p, c_void_p),
    "msg_isRedelivered": (c_void_p,),
    "container_addByteArray": (c_void_p, c_char_p, c_uint32, c_char_p),
    "container_addString": (c_void_p, c_char_p, c_char_p),
    "container_addBoolean": (c_void_p, c_uint8, c_char_p),
    "container_addInt64": (c_void_p, c_int64, c_char_p),
    "container_addDouble": (c_void_p, c_double, c_char_p),
    "container_getByteArrayPtr": (c_void_p, _OUT, POINTER(c_uint32), c_char_p),
    "container_getStringPtr": (c_void_p, _OUT, c_char_p),
    "container_closeMapStream": (_OUT,),
    "getLastErrorInfo": (),
    "subCodeToString": (c_int32,),
    "version_get": (POINTER(POINTER(_Version)),),
}
_RETURNS: dict[str, Any] = {
    "getLastErrorInfo": POINTER(ErrorInfo),
    "subCodeToString": c_char_p,
    "msg_isRedelivered": c_uint8,
    "session_isCapable": c_uint8,
}


class Functions:
    """The declared functions of one handle, by their names without the prefix."""

    def __init__(self, handle: CDLL) -> None:
        for name, arguments in _ARGUMENTS.items():
            try:
                function = getattr(handle, f"solClient_{name}")
            except AttributeError as error:
                raise NativeClientUnavailable(f"the Solace C library has no function solClient_{name}") from error
            function.argtypes, function.restype = list(arguments), _RETURNS.get(name, c_int32)
            setattr(self, name, function)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        raise AttributeError(f"function solClient_{name} is not declared in native/library.py")


@dataclass(frozen=True)
class Library:
    """The loaded library: where it lies, which version it says it is, and its two handles (see the module)."""

    path: str
    version: str
    calls: Functions
    quick: Functions

    def last_error(self) -> tuple[str, str]:
        """Name of the subcode and words of what failed last on this thread; valid until the next call that fails."""
        info = self.quick.getLastErrorInfo().contents
        return self.quick.subCodeToString(info.sub_code).decode(), info.text.decode(errors="replace")

    def check(self, result: int, what: str, *allowed: Result) -> None:
        """Let ``OK`` and the ``allowed`` results pass.

        Raises:
            BrokerError: any other result, with the library's own words.
        """
        if result != Result.OK and result not in allowed:
            code, words = self.last_error()
            raise BrokerError(f"the Solace C library cannot {what}: {words or 'no reason was given'} ({code})")


@cache
def load() -> Library:
    """The library of the installed package, initialised.

    Raises:
        NativeClientUnavailable: it cannot be opened, is of an unknown version, or lacks a function.
    """
    try:
        import solace  # noqa: PLC0415 - loads and initialises the library
        import solace.messaging.messaging_service  # noqa: PLC0415 - the package initialises it here

        path = str(solace.CORE_LIB._name)
    except (ImportError, AttributeError) as error:
        raise NativeClientUnavailable(f"the package solace-pubsubplus shows no C library: {error}") from error
    return opened(path)


def opened(path: str) -> Library:
    """Handles on the library file ``path``, which somebody else has initialised.

    Raises:
        NativeClientUnavailable: as ``load``.
    """
    try:
        blocking, quick = CDLL(path), PyDLL(path)
    except OSError as error:
        raise NativeClientUnavailable(f"the Solace C library {path} cannot be opened: {error}") from error
    calls = Functions(blocking)
    version = _version(calls)
    require_known(version)
    return Library(path, version, calls, Functions(quick))


def _version(functions: Functions) -> str:
    found = POINTER(_Version)()
    if functions.version_get(ctypes.byref(found)) != Result.OK or not found:
        raise NativeClientUnavailable("the Solace C library does not say its version")
    return (found.contents.version or b"").decode(errors="replace")


def require_known(version: str) -> None:
    """Let versions from ``OLDEST`` up to, not including, ``BELOW`` pass; ``version`` is as the library writes it.

    The package renames the library when it loads it: ``pubsubplus-python-client 1.11.0 / C API 7.33.0.3``.

    Raises:
        NativeClientUnavailable: another version, or one that is not understood.
    """
    numbers = version.rsplit(" ", 1)[-1].split(".")
    try:
        known = OLDEST <= (int(numbers[0]), int(numbers[1])) < BELOW
    except (ValueError, IndexError):
        known = False
    if not known:
        raise NativeClientUnavailable(
            f"the Solace C library says version {version!r}; the native client knows {OLDEST[0]}.{OLDEST[1]} and later "
            f"versions below {BELOW[0]}.{BELOW[1]}"
        )
