"""What stands before the application: who may ask, how much may be sent, and what a browser is told of every answer.

It works on the raw connection (ASGI), so that nothing of an unknown asker's request is read, let alone parsed.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from pathlib import Path

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from crep.harness.config.errors import UsageError
from crep.replay.service.problems import Problem

LEAST_TOKEN = 16  # characters
MOST_BODY = 64 * 1024  # bytes; the largest sensible request has less than one KiB
OPEN_PATHS = frozenset({"/", "/page.js", "/page.css", "/health", "/openapi.json"})
"""Without a token: the page (which holds nothing and asks for the token itself), whether the service lives, and the
description of the interface."""

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Token:
    """The secret that a request must show. Only its digest is compared, in a time that does not depend on the guess."""

    def __init__(self, text: str) -> None:
        if len(text) < LEAST_TOKEN or not text.isascii() or not text.isprintable() or " " in text:
            raise UsageError(
                f"a token has at least {LEAST_TOKEN} printable ASCII characters and no blank",
                hint="make one: python -c 'import secrets; print(secrets.token_urlsafe(32))'",
            )
        self._digest = _digest(text)

    def is_shown_by(self, authorization: str | None) -> bool:
        """Whether a request's ``Authorization`` header shows it."""
        scheme, _, shown = (authorization or "").partition(" ")
        return hmac.compare_digest(_digest(shown.strip()), self._digest) and scheme.lower() == "bearer"


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def new_token() -> str:
    """A token of 256 random bits."""
    return secrets.token_urlsafe(32)


def read_token(path: Path) -> str:
    """The token in a file, without the line end.

    Raises:
        UsageError: the file cannot be read, or others than its owner may read it.
    """
    try:
        if path.stat().st_mode & 0o077:
            raise UsageError(f"{path}: others may read this token", hint=f"chmod 600 {path}")
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise UsageError(f"--token-file {path}: {error.strerror}") from None


class Guard:
    """Refuse whom the token is unknown to, and bodies that are too large; add the security headers."""

    def __init__(self, app: ASGIApp, token: Token) -> None:
        self._app, self._token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal, body = self._refusal(scope), b""
        if refusal is None:
            refusal, body = await _whole_body(receive)
        if refusal is not None:
            await refusal.response()(scope, receive, secured)
        else:
            await self._app(scope, _again(body, receive), secured)

    def _refusal(self, scope: Scope) -> Problem | None:
        if scope["path"] in OPEN_PATHS or self._token.is_shown_by(Headers(scope=scope).get("authorization")):
            return None
        return Problem(
            401,
            "unauthorized",
            "A token is needed",
            "the request shows no token, or a wrong one",
            hint="send 'Authorization: Bearer TOKEN' with the token that the service printed or was given",
            headers={"WWW-Authenticate": 'Bearer realm="crep replay"'},
        )


async def _whole_body(receive: Receive) -> tuple[Problem | None, bytes]:
    """The body, whatever its headers say of its length; a refusal where it is longer than it may be."""
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > MOST_BODY:
            return _too_large(), b""
        more = message.get("more_body", False)
    return None, body


def _again(body: bytes, receive: Receive) -> Receive:
    """A ``receive`` that hands the body over once, and then whatever else comes (a disconnect)."""
    handed_over = False

    async def handed() -> Message:
        nonlocal handed_over
        if handed_over:
            return await receive()
        handed_over = True
        return {"type": "http.request", "body": body, "more_body": False}

    return handed


def _too_large() -> Problem:
    return Problem(413, "too-large", "The request is too large", f"a request's body has at most {MOST_BODY} bytes here")
