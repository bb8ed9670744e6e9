"""A small HTTP/1.1 server: keep-alive, bounded headers, bodies, connections and waits. Nothing about SEMP."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

#: The longest head of a request, and what ``asyncio.start_server`` is to take as its limit.
HEAD_BYTES: Final = 16 * 1024
_MAX_BODY_BYTES: Final = 1024 * 1024
_MAX_CONNECTIONS: Final = 200
_MAX_LENGTH_DIGITS: Final = 10
_IDLE_SECONDS: Final = 60.0
_HEAD_SECONDS: Final = 10.0
_REQUEST_SECONDS: Final = 20.0
_REASONS: Final = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    413: "Content Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
}
_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Request:
    """A request. ``path`` and ``query`` are still percent-encoded; header names are in lower case."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Response:
    """An answer."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


class _BadRequest(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(_REASONS[status])
        self.status = status


Handler = Callable[[Request], Awaitable[Response]]


class HttpServer:
    """Serves connections with one handler. :meth:`serve` is what ``asyncio.start_server`` calls."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._waiting: dict[asyncio.StreamWriter, None] = {}  # for a whole request; the longest first
        self._writers: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until it ends, errs or idles.

        Where there are too many, the one that has waited the longest without a whole request makes room.
        """
        if len(self._writers) >= _MAX_CONNECTIONS:
            loser = next(iter(self._waiting), writer)
            self._forget(loser)
            loser.transport.abort()
            if loser is writer:
                return
        self._writers.add(writer)
        try:
            while await self._serve_one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, TimeoutError):
            pass  # the client went away or idled: nobody is left to tell
        finally:
            self._forget(writer)
            writer.close()

    def _forget(self, writer: asyncio.StreamWriter) -> None:
        self._writers.discard(writer)
        self._waiting.pop(writer, None)

    def close(self) -> None:
        """Close all connections."""
        for writer in list(self._writers):
            writer.close()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        keep = False
        without_body = False
        self._waiting[writer] = None
        try:
            request, keep = await _read_request(reader, writer)
            self._waiting.pop(writer, None)
            without_body = request.method == "HEAD"
            response = await self._handler(request)
        except _BadRequest as error:
            response = Response(error.status, b"", "text/plain")
        except (ConnectionError, asyncio.IncompleteReadError, TimeoutError):
            raise  # not the request failed, the client left
        except Exception:  # noqa: BLE001 - one request must not end the server; the log has the traceback
            _LOG.exception("a request failed")
            response = Response(500, b"", "text/plain")
        encoded = _encode(response, keep=keep)
        writer.write(encoded[: -len(response.body)] if without_body and response.body else encoded)
        await asyncio.wait_for(writer.drain(), _REQUEST_SECONDS)
        return keep


async def _read_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[Request, bool]:
    """Read a request, and whether the connection is to be kept for another. Raises what ends the connection."""
    first = await asyncio.wait_for(reader.readexactly(1), _IDLE_SECONDS)
    try:
        head = first + await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _HEAD_SECONDS)
    except asyncio.LimitOverrunError:
        raise _BadRequest(413) from None
    if len(head) > HEAD_BYTES:
        raise _BadRequest(413)
    lines = head.decode("latin-1").split("\r\n")
    parts = lines[0].split(" ")
    if len(parts) != 3 or parts[2] not in ("HTTP/1.0", "HTTP/1.1"):
        raise _BadRequest(400)
    headers = _headers(lines[1:-2])
    body = await _read_body(reader, writer, headers)
    try:
        target = urlsplit(parts[1])
    except ValueError:
        raise _BadRequest(400) from None
    wish = headers.get("connection", "").lower()
    keep = wish == "keep-alive" if parts[2] == "HTTP/1.0" else wish != "close"
    return Request(parts[0], target.path, target.query, headers, body), keep


def _headers(lines: list[str]) -> dict[str, str]:
    """Read header lines. A length that is given twice is refused: nobody knows where that request ends."""
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        key = name.lower()
        if not colon or not name or name != name.strip() or (key == "content-length" and key in headers):
            raise _BadRequest(400)
        headers[key] = value.strip()
    return headers


async def _read_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, headers: dict[str, str]) -> bytes:
    if "transfer-encoding" in headers:
        raise _BadRequest(501)
    length = headers.get("content-length", "0")
    if not length.isdecimal():
        raise _BadRequest(400)
    if len(length) > _MAX_LENGTH_DIGITS or int(length) > _MAX_BODY_BYTES:
        raise _BadRequest(413)
    if headers.get("expect", "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    return await asyncio.wait_for(reader.readexactly(int(length)), _REQUEST_SECONDS)


def _encode(response: Response, *, keep: bool) -> bytes:
    lines = [f"HTTP/1.1 {response.status} {_REASONS.get(response.status, 'Unknown')}"]
    headers = {
        "Content-Type": response.content_type,
        "Content-Length": str(len(response.body)),
        "Connection": "keep-alive" if keep else "close",
    }
    lines += [f"{name}: {value}" for name, value in (*headers.items(), *response.headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + response.body
