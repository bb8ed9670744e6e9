"""The HTTP server around the application: its socket, its thread, and its end."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from crep.harness.config.address import Address
from crep.harness.config.errors import EnvironmentFailure, UsageError

MOST_CONNECTIONS = 200
_START_WITHIN_S = 20.0
_END_WITHIN_S = 10.0


@dataclass(frozen=True)
class Certificate:
    """PEM files for HTTPS."""

    certificate: Path
    key: Path


def is_loopback(host: str) -> bool:
    """Whether only programs on this machine reach that address."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False  # a name: who knows where it leads


class Server:
    """Serves on a thread of its own, so that signals stay with the main thread.

    Args:
        app: to be served.
        address: port 0 takes a free one.
        certificate: for HTTPS; None: plain HTTP.

    Raises:
        EnvironmentFailure: the address is taken, or not one of this machine.
        UsageError: the certificate cannot be read.
    """

    def __init__(self, app: ASGIApp, address: Address, certificate: Certificate | None = None) -> None:
        self._socket = _bound(address)
        port: int = self._socket.getsockname()[1]
        self.url = f"{'http' if certificate is None else 'https'}://{Address(address.host, port)}"
        config = uvicorn.Config(
            app,
            http="h11",
            ws="none",
            loop="asyncio",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=MOST_CONNECTIONS,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=5,
            ssl_certfile=None if certificate is None else certificate.certificate,
            ssl_keyfile=None if certificate is None else str(certificate.key),
        )
        try:
            config.load()
        except OSError as error:
            self._socket.close()
            raise UsageError(f"the certificate cannot be used: {error}") from None
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, name="http", daemon=True)

    def _serve(self) -> None:
        asyncio.run(self._server.serve(sockets=[self._socket]))

    def start(self) -> None:
        """Return when requests are answered.

        Raises:
            EnvironmentFailure: it does not start.
        """
        self._thread.start()
        deadline = time.monotonic() + _START_WITHIN_S
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise EnvironmentFailure(f"the HTTP server at {self.url} does not start")
            time.sleep(0.01)

    @property
    def alive(self) -> bool:
        """Whether it serves."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Answer what was asked, and end."""
        self._server.should_exit = True
        if self._thread.ident is not None:
            self._thread.join(_END_WITHIN_S)
        self._socket.close()


def _bound(address: Address) -> socket.socket:
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, where = found[0]
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(where)
        except OSError:
            listening.close()
            raise
    except OSError as error:
        raise EnvironmentFailure(
            f"the service cannot listen at {address}: {error.strerror}", hint="choose another with --listen HOST:PORT"
        ) from None
    return listening
