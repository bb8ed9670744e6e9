"""The side of a proxy's maker: start it, order it, end it.

A proxy of a run is a child of this process and ends with it. A *standing* one (``crep broker start``) outlives its
maker; whoever wants to order it connects to the socket in its folder, and what that connection ordered is taken back
when the connection ends, however it ends. So no crep that dies leaves a link cut.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from crep.harness import processes
from crep.harness.proxy import unix
from crep.harness.proxy.links import Links, LinkSpec, ProxyFailed, specs_to_json
from crep.harness.proxy.orders import Orders

SOCKET = "proxy.sock"
"""Name of a standing proxy's control socket in its folder."""
LOG = "proxy.log"

_READY_WITHIN_S = 30.0


class ProxyProcess:
    """A proxy that lives as long as this process at most, also when this process is SIGKILLed.

    Args:
        log: file to which it writes what went wrong inside it; None: nowhere.
    """

    def __init__(self, *, log: Path | None = None) -> None:
        self._log = log
        self._process: processes.Child | None = None
        self._orders: Orders | None = None

    def start(self, links: Sequence[LinkSpec]) -> tuple[LinkSpec, ...]:
        """Start it and return the links, with the ports that they have got, once all of them listen.

        Raises:
            ProxyFailed: a port is taken, or it did not get ready in time; it has been ended.
        """
        if self._process is not None:
            raise ProxyFailed("the proxy runs already")
        with _log_file(self._log) as stderr:
            self._process = process = processes.spawn(
                _command(links), stdin=processes.PIPE, stdout=processes.PIPE, stderr=stderr
            )
        assert process.stdin is not None  # noqa: S101 - asked for above
        assert process.stdout is not None  # noqa: S101 - asked for above
        self._orders = Orders(process.stdout, process.stdin)
        try:
            self._orders.ready(_READY_WITHIN_S)
        except ProxyFailed:
            self.stop()
            raise
        return self._orders.specs

    def links(self) -> Links:
        """The links, for orders.

        Raises:
            ProxyFailed: it has not been started.
        """
        if self._orders is None:
            raise ProxyFailed("the proxy has not been started")
        return self._orders

    @property
    def pid(self) -> int | None:
        """Process id; None while it does not run."""
        return None if self._process is None or self._process.poll() is not None else self._process.pid

    def stop(self) -> None:
        """End it; every connection through it ends. Idempotent."""
        if self._process is not None:
            self._process.kill()
        if self._orders is not None:
            self._orders.close()
        self._process = self._orders = None


def start_standing(links: Sequence[LinkSpec], folder: Path) -> tuple[processes.ProcessIdentity, tuple[LinkSpec, ...]]:
    """Start a proxy that outlives this process and is ordered through ``folder``. It ends when its process is ended.

    Returns:
        Which process it is (`processes.Adopted` ends it), and the links with the ports that they have got.

    Raises:
        ProxyFailed: a port is taken, or it did not get ready in time; it has been ended.
    """
    with _log_file(folder / LOG) as stderr:
        process = processes.spawn(
            [*_command(links), "--socket", os.fspath(folder / SOCKET)],
            stdout=processes.PIPE,
            stderr=stderr,
            daemon=True,
        )
    assert process.stdout is not None  # noqa: S101 - asked for above
    orders = Orders(process.stdout, io.BytesIO())
    try:
        orders.ready(_READY_WITHIN_S)  # then it closes its output, so that nobody need read on
        identity = processes.ProcessIdentity.of(process.pid)
        if identity is None:
            raise ProxyFailed(f"the proxy ended as soon as it was ready; see {folder / LOG}")
    except ProxyFailed:
        process.kill()
        raise
    finally:
        orders.close()
    return identity, orders.specs


@contextlib.contextmanager
def standing_links(folder: Path) -> Iterator[Links]:
    """Order the standing proxy of that folder; what was ordered is taken back at the end.

    Raises:
        ProxyFailed: none answers there.
    """
    try:
        line = unix.connect(folder / SOCKET, _READY_WITHIN_S)
    except OSError as error:
        raise ProxyFailed(f"no fault proxy answers in {folder}: {error.strerror or error}") from error
    with line:
        orders = Orders(line.makefile("rb"), line.makefile("wb"))
        try:
            _hear_of(orders, folder)
            yield orders
        finally:
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
            orders.close()


def _hear_of(orders: Orders, folder: Path) -> None:
    """One whose process is just being ended still takes a connection, and closes it without a word."""
    try:
        orders.ready(_READY_WITHIN_S)
    except ProxyFailed as error:
        raise ProxyFailed(f"no fault proxy answers in {folder}: {error}") from error


def _command(links: Sequence[LinkSpec]) -> list[str]:
    return [sys.executable, "-m", "crep.harness.proxy", "--links", json.dumps(specs_to_json(links))]


@contextlib.contextmanager
def _log_file(path: Path | None) -> Iterator[int | IO[bytes]]:
    if path is None:
        yield processes.DEVNULL
        return
    with path.open("ab") as file:
        yield file
