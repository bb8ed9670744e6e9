"""The edge of one SMF connection: bytes in, frames to the session, frames out, bounded in both directions."""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Mapping
from typing import Any, Final

from .core.broker import Broker
from .crowd import KEEP_ALIVES_MISSED, LEAST_SILENCE_SECONDS, Crowd
from .session import Session
from .session.login import MAX_DIRECT_BYTES
from .smf import FrameSplitter, ProtocolError

_FRAME_LIMIT_BEFORE_LOGIN: Final = 64 * 1024
_FRAME_LIMIT: Final = MAX_DIRECT_BYTES + 64 * 1024
_LOGIN_SECONDS: Final = 5.0
_CLOSING_SECONDS: Final = 0.2
_READ_PAUSE_BYTES: Final = 4 * 1024 * 1024  # of egress: a client that does not read is not listened to either
_LOG: Final = logging.getLogger(__name__)


class Connection(asyncio.Protocol):
    """A :class:`~.session.wire.Wire` over an asyncio transport. Output is written once for each turn of the loop."""

    def __init__(
        self,
        broker: Broker,
        loop: asyncio.AbstractEventLoop,
        crowd: Crowd,
        on_end: "Callable[[Connection], None]",
    ) -> None:
        self.peer = ""
        self.heard_at = loop.time()
        self.certificate_name: str | None = None
        self._loop = loop
        self._crowd = crowd
        self._on_end = on_end
        self._half = 0
        self._silence_seconds: float | None = None
        self._listening = True
        self._session = Session(broker, self)
        self._splitter = FrameSplitter(_FRAME_LIMIT_BEFORE_LOGIN)
        self._transport: asyncio.Transport | None = None
        self._out: list[bytes] = []
        self._out_bytes = 0
        self._flush_scheduled = False
        self._closing = False
        self._login_timer: asyncio.TimerHandle | None = None

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to listen to a client."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what asyncio promises for a stream protocol
        self._transport = transport
        host, port = transport.get_extra_info("peername")[:2]
        self.peer = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.certificate_name = _common_name(transport.get_extra_info("peercert"))
        _keep_alive(transport.get_extra_info("socket"))
        transport.set_write_buffer_limits(high=_READ_PAUSE_BYTES, low=256 * 1024)
        self._login_timer = self._loop.call_later(_LOGIN_SECONDS, self._login_overdue)
        self._crowd.join(self)

    def data_received(self, data: bytes) -> None:
        """Take in bytes. What is no SMF ends this connection and no other."""
        if self._closing:
            return
        self.heard_at = self._loop.time()
        try:
            frames = self._splitter.feed(data)
            for frame in frames:
                self._session.receive(frame)
        except ProtocolError as error:
            self.close(f"not SMF: {error}")
            return
        half = self._splitter.held
        if half or self._half:
            self._half = half
            self._crowd.holds(self, half, anew=bool(frames))

    def pause_writing(self) -> None:
        """The client does not keep up."""
        if self._transport is not None:
            self._listening = False
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """The client has caught up."""
        if self._transport is not None and not self._closing:
            self.heard_at = self._loop.time()
            self._listening = True
            self._transport.resume_reading()
            self._session.drained()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        name = self._session.name
        if not self._closing:
            _LOG.info("%s: connection closed by the client%s", name, f" ({exc})" if exc else "")
        self._closing = True
        self._transport = None
        if self._login_timer is not None:
            self._login_timer.cancel()
        self._session.lost()
        self._crowd.leave(self)
        self._on_end(self)

    @property
    def silence_seconds(self) -> float | None:
        """How long the client may send nothing; None without keep-alives, or while it is not listened to itself."""
        return self._silence_seconds if self._listening and not self._closing else None

    # -- Wire

    @property
    def buffered(self) -> int:
        """Bytes handed over and not taken by the network yet."""
        return self._out_bytes + (self._transport.get_write_buffer_size() if self._transport is not None else 0)

    def send(self, frame: bytes) -> None:
        """Send a frame with the others of this turn."""
        self._out.append(frame)
        self._out_bytes += len(frame)
        if not self._flush_scheduled:
            self._flush_scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_scheduled = False
        if self._out and self._transport is not None:
            self._transport.write(self._out[0] if len(self._out) == 1 else b"".join(self._out))
        self._out.clear()
        self._out_bytes = 0

    def close(self, reason: str) -> None:
        """Send what there is, wait a moment, close. The moment also slows a client down that tries again at once."""
        if self._closing:
            return
        _LOG.warning("%s: closing the connection: %s", self._session.name, reason)
        self._closing = True
        self._flush()
        if self._transport is not None:
            self._transport.pause_reading()
            self._splitter = FrameSplitter(0)  # whatever it has sent is of no use any more
            self._loop.call_later(_CLOSING_SECONDS, self._transport.abort)
        self._crowd.known(self)
        self._crowd.holds(self, 0)

    def accept_large_frames(self) -> None:
        """The client is known: accept whole messages."""
        self._splitter.limit = _FRAME_LIMIT
        self._crowd.known(self)
        if self._login_timer is not None:
            self._login_timer.cancel()
            self._login_timer = None

    def expect_keep_alives(self, seconds: int) -> None:
        """The client sends something every so many seconds; 0: it promises nothing."""
        self._silence_seconds = max(KEEP_ALIVES_MISSED * seconds, LEAST_SILENCE_SECONDS) if seconds else None

    def abort(self) -> None:
        """Close without any delay: the process stops."""
        self._closing = True
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def _login_overdue(self) -> None:
        self._login_timer = None
        if not self._session.logged_in:
            self.close(f"no login within {_LOGIN_SECONDS:g} s")


def _common_name(certificate: Mapping[str, Any] | None) -> str | None:
    """Return the first common name of a certificate as the ssl module describes one it has verified."""
    for relative_name in (certificate or {}).get("subject", ()):
        for key, value in relative_name:
            if key == "commonName":
                return str(value)
    return None


def _keep_alive(stream: socket.socket | ssl.SSLSocket | None) -> None:
    """Have the kernel notice dead peers within about 8 s, as the vendor's client profile does by default."""
    if stream is None:
        return
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for option, value in (("TCP_KEEPIDLE", 3), ("TCP_KEEPINTVL", 1), ("TCP_KEEPCNT", 5)):
        if hasattr(socket, option):  # named otherwise or absent on macOS
            stream.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
