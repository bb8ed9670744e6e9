"""Payloads that are not looked into: text and bytes."""

from __future__ import annotations

from typing import Any

from crep.enrichment.record import StepFailed


class Text:
    """UTF-8 text as ``{"text": …}``."""

    content_type = "text/plain"

    def decode(self, payload: bytes) -> Any:
        """The text in a mapping, so that steps can add to it."""
        try:
            return {"text": payload.decode()}
        except UnicodeDecodeError as error:
            raise StepFailed(f"the payload is no UTF-8 text: {error}") from None

    def encode(self, body: Any) -> bytes:
        """The field ``text``."""
        text = body.get("text") if isinstance(body, dict) else None
        if not isinstance(text, str):
            raise StepFailed("the body has no field 'text' with text in it")
        return text.encode()


class Opaque:
    """Bytes as ``{"bytes": …}``."""

    content_type = None

    def decode(self, payload: bytes) -> Any:
        """The bytes in a mapping."""
        return {"bytes": payload}

    def encode(self, body: Any) -> bytes:
        """The field ``bytes``."""
        data = body.get("bytes") if isinstance(body, dict) else None
        if not isinstance(data, bytes):
            raise StepFailed("the body has no field 'bytes' with bytes in it")
        return data
