"""JSON by orjson: the fastest well-kept parser, and a strict one (RFC 8259: no NaN, no trailing commas)."""

from __future__ import annotations

from typing import Any

import orjson

from crep.enrichment.record import StepFailed


class Json:
    """See ``codecs.Codec``. Integers beyond 64 bits are refused by orjson when written."""

    content_type = "application/json"

    def decode(self, payload: bytes) -> Any:
        """Any JSON value."""
        try:
            return orjson.loads(payload)
        except orjson.JSONDecodeError as error:
            raise StepFailed(f"the payload is no JSON: {error}") from None

    def encode(self, body: Any) -> bytes:
        """In UTF-8 without spaces; times in RFC 3339."""
        try:
            return orjson.dumps(body)
        except TypeError as error:
            raise StepFailed(f"the body cannot be written as JSON: {error}") from None
