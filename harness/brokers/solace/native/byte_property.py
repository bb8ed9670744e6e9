"""A user property of bytes, as it is.

The vendor's Python package cuts such a property at its first zero byte and fills it up with whatever lies behind its
copy: it declares the field as a C string (``solace.messaging.core._message``, seen in 1.11.0). So bytes that are a
stamp's are read by the C library itself, also from messages that came by that package.
"""

from __future__ import annotations

import ctypes
from ctypes import byref, c_ssize_t, c_uint32, c_void_p
from typing import Any

from solace.messaging.receiver.inbound_message import InboundMessage

from crep.harness.brokers.contract import BrokerError
from crep.harness.brokers.solace.native.library import Library, NativeClientUnavailable, Result, load

bytes_at = ctypes.PYFUNCTYPE(ctypes.py_object, c_void_p, c_ssize_t)(("PyBytes_FromStringAndSize", ctypes.pythonapi))
"""A copy of so many bytes at an address: ``ctypes.string_at`` without its layer of Python."""


def byte_property(library: Library, message: int | c_void_p, name: bytes) -> bytes:
    """The property of a message of the C library; empty where it has none. One that is text comes as its bytes: a
    program that forwarded the message may have made it that."""
    quick, properties, at, length = library.quick, c_void_p(), c_void_p(), c_uint32()
    if quick.msg_getUserPropertyMap(message, byref(properties)) != Result.OK:
        return b""
    got = quick.container_getByteArrayPtr(properties, byref(at), byref(length), name)
    found = bytes(bytes_at(at, length.value)) if got == Result.OK else b""
    if got != Result.OK and quick.container_getStringPtr(properties, byref(at), name) == Result.OK:
        found = ctypes.string_at(at.value or 0)
    quick.container_closeMapStream(byref(properties))
    return found


def byte_property_of(raw: InboundMessage, name: str) -> bytes:
    """The same of a message of the Python package.

    Raises:
        BrokerError: the C library cannot be used.
    """
    try:
        library = load()
    except NativeClientUnavailable as unavailable:
        raise BrokerError(
            f"the property {name!r} cannot be read: the vendor's Python package damages properties of bytes, and its C "
            f"library cannot be used instead: {unavailable}",
            hint="let stamps travel in the payload: measure: {carrier: payload}",
        ) from unavailable
    return byte_property(library, raw.solace_message.msg_p, name.encode())


def user_properties(raw: InboundMessage) -> dict[str, Any]:
    """All user properties of a message of the Python package, those of bytes as they are.

    Raises:
        BrokerError: one is of bytes, and the C library cannot be used.
    """
    found = dict(raw.get_properties() or {})
    return {
        name: byte_property_of(raw, name) if isinstance(value, bytes | bytearray) else value
        for name, value in found.items()
    }
