"""Structured logs: one JSON object a line (machines), or one readable line (people). Payloads are never logged."""

from __future__ import annotations

import sys
import threading
from datetime import UTC, datetime
from typing import IO, Any

import orjson

from crep.enrichment.failure import Failure
from crep.enrichment.forwarding import Note
from crep.harness.brokers.contract import Message


class Log:
    """Writes lines to a stream; used by several threads."""

    def __init__(self, bridge: str, *, json: bool, stream: IO[str] | None = None) -> None:
        self._bridge, self._json = bridge, json
        self._stream = stream or sys.stderr
        self._lock = threading.Lock()

    def write(self, event: str, **fields: Any) -> None:
        """One event; fields that are None are left out."""
        known = {name: value for name, value in fields.items() if value is not None}
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        if self._json:
            line = orjson.dumps({"at": at, "bridge": self._bridge, "event": event, **known}, default=str).decode()
        else:
            line = f"{at[11:23]} {event} " + " ".join(f"{name}={value}" for name, value in known.items())
        with self._lock:
            self._stream.write(line + "\n")
            self._stream.flush()

    def of_route(self, route: str) -> Note:
        """What a flow tells: the message's identity, the step, the reason."""

        def note(event: str, message: Message | None, failure: Failure) -> None:
            identity = {} if message is None else _identity(message)
            self.write(event, route=route, **identity, step=failure.step, reason=failure.reason)

        return note


def _identity(message: Message) -> dict[str, Any]:
    key = message.key if isinstance(message.key, str) or message.key is None else message.key.hex()
    return {
        "topic": message.topic,
        "key": key,
        "message_id": message.message_id,
        "correlation_id": message.correlation_id,
        "position": message.position,
    }
