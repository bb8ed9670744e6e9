"""The process's edge: listeners, journal, timers, start and stop."""

import asyncio
import gc
import json
import logging
import os
import resource
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from .connection import Connection
from .core.broker import Broker
from .core.log import decode
from .core.recovery import RecoveryLog, recover
from .crowd import Crowd
from .datadir import DataDirectory
from .failure import StartFailure
from .health import Health
from .http import HEAD_BYTES, HttpServer
from .journal.commit import GroupCommit
from .journal.compaction import Compaction
from .journal.files import Files
from .journal.segments import Reader
from .journal.store import Journal, read_all
from .options import Options
from .semp.api import SempApi

ROUTER: Final = "emulator"
_TICK_SECONDS: Final = 0.1
_FILES_KEPT: Final = 400  # for the journal, REST clients, and connections that are being closed
_MOST_FILES: Final = 65536
_BACKLOG: Final = 512
_HANDSHAKE_SECONDS: Final = 5.0
_LOG: Final = logging.getLogger(__name__)


class Server:
    """One emulator on a data directory that is locked: :meth:`start`, then :meth:`stop`.

    ``stopped`` is set when it has to end: by a signal, or here when the disk refuses a write.
    """

    def __init__(
        self, options: Options, directory: DataDirectory, stopped: asyncio.Event, files: Files | None = None
    ) -> None:
        self.options = options
        self.stopped = stopped
        self.failed = False
        self._loop = asyncio.get_running_loop()
        self._connections: set[Connection] = set()
        self._crowd = Crowd(self._loop.time, most=_open_files() - _FILES_KEPT)
        self._listeners: list[asyncio.Server] = []
        self._work_scheduled = False
        self._health = Health()
        self._ticker: asyncio.TimerHandle | None = None
        self._directory = directory
        self._broker = self._recovered()
        self._journal = self._opened_journal(files)
        self._commit = GroupCommit(self._journal, options.sync, self._broker, self._disk_failed)
        self._compaction = Compaction(self._broker, self._journal, self._commit)
        self._broker.start(self._commit)
        semp = SempApi(self._broker, options.admin_user, options.admin_password)
        self._semp = HttpServer(semp.answer)

    def _recovered(self) -> Broker:
        reader = Reader(self.options.data_dir)
        log = RecoveryLog(reader.read)
        broker = Broker(log, lambda: time.time_ns() // 1_000_000, self._schedule_work, router=ROUTER)
        started = time.monotonic()
        gc.disable()  # nothing of what is built is garbage, and there may be millions of it
        try:
            records = ((place, decode(record)) for place, record in read_all(self.options.data_dir, log.on_damage))
            messages = recover(broker, log, records)
        except OSError as error:
            place = f"data directory {self.options.data_dir}"
            raise StartFailure(f"{place}: the journal cannot be read: {error.strerror}") from error
        except (ValueError, KeyError, TypeError) as error:  # the check sums are right, so it is no damage
            raise StartFailure(
                f"data directory {self.options.data_dir}: its journal was written by another version of the emulator "
                f"({error}), and there is no conversion; give an empty directory, or drain the queues with the version "
                "that wrote it"
            ) from error
        finally:
            gc.enable()
            reader.close()
        gc.freeze()
        _LOG.info("recovered %d messages in %.1f s", messages, time.monotonic() - started)
        return broker

    def _opened_journal(self, files: Files | None) -> Journal:
        try:
            return Journal(self.options.data_dir, self._broker.snapshot, files=files)
        except OSError as error:
            raise StartFailure(f"data directory {self.options.data_dir}: {error.strerror}") from error

    # -- start

    async def start(self) -> dict[str, object]:
        """Open the listeners and return the ready line's content. Raises :class:`StartFailure`."""
        options = self.options
        tls = _tls_context(options)
        ready: dict[str, object] = {"ready": True, "pid": os.getpid()}
        ready["smf"] = f"tcp://{await self._listen_smf('--smf-port', options.smf_port, None)}"
        if tls is not None:
            ready["smf_tls"] = f"tcps://{await self._listen_smf('--smf-tls-port', options.smf_tls_port, tls)}"
        ready["semp"] = f"http://{await self._listen_http('--semp-port', options.semp_port, self._semp)}"
        ready["health"] = f"http://{await self._listen_http('--health-port', options.health_port, self._health.server)}"
        self._tick()
        await self._durable()
        self._health.ready = True
        return ready

    async def _durable(self) -> None:
        """Wait for the factory state to be on disk, so that being ready means what it says.

        Raises :class:`StartFailure` when there is no space for it.
        """
        target = self._commit.position
        while self._commit.durable < target and not self.stopped.is_set():
            if self._commit.full:
                raise StartFailure(f"data directory {self.options.data_dir}: no space on the disk; make some")
            await asyncio.sleep(0.001)

    async def _listen_smf(self, option: str, port: int, tls: ssl.SSLContext | None) -> str:
        def connect() -> Connection:
            connection = Connection(self._broker, self._loop, self._crowd, self._connections.discard)
            self._connections.add(connection)
            return connection

        try:
            listener = await self._loop.create_server(
                connect,
                self.options.host,
                port,
                ssl=tls,
                backlog=_BACKLOG,
                ssl_handshake_timeout=_HANDSHAKE_SECONDS if tls is not None else None,
            )
        except OSError as error:
            raise port_taken(self.options.host, option, port, error) from error
        return self._listening(listener)

    async def _listen_http(self, option: str, port: int, server: HttpServer) -> str:
        try:
            listener = await asyncio.start_server(server.serve, self.options.host, port, limit=HEAD_BYTES)
        except OSError as error:
            raise port_taken(self.options.host, option, port, error) from error
        return self._listening(listener)

    def _listening(self, listener: asyncio.Server) -> str:
        self._listeners.append(listener)
        host = f"[{self.options.host}]" if ":" in self.options.host else self.options.host
        return f"{host}:{listener.sockets[0].getsockname()[1]}"

    # -- work

    def _schedule_work(self) -> None:
        if not self._work_scheduled:
            self._work_scheduled = True
            self._loop.call_soon(self._work)

    def _work(self) -> None:
        self._work_scheduled = False
        self._broker.work()

    def _tick(self) -> None:
        self._ticker = self._loop.call_later(_TICK_SECONDS, self._tick)
        self._broker.tick()
        self._crowd.tick()
        try:
            self._compaction.step()
        except OSError as error:
            self._disk_failed(error)
        self._commit.commit()

    def _disk_failed(self, error: OSError) -> None:
        _LOG.error("data directory %s: %s; stopping, nothing unconfirmed is acknowledged", self.options.data_dir, error)
        self.failed = True
        self.stopped.set()

    # -- stop

    async def stop(self) -> None:
        """Take nothing in any more, make everything durable, tell who waits for it, close."""
        self._health.ready = False
        for listener in self._listeners:
            listener.close()
        if self._ticker is not None:
            self._ticker.cancel()
        await asyncio.sleep(0)  # what has arrived in this turn is written now
        if not self.failed:
            for record in self._broker.last_words():
                self._commit.append(record)
        try:
            self._commit.close()
        except OSError as error:
            self._disk_failed(error)
        self._broker.work()
        for connection in list(self._connections):
            connection.abort()
        self._semp.close()
        self._health.server.close()
        await asyncio.sleep(0.05)
        self._directory.close()


@asynccontextmanager
async def standby_health(options: Options) -> AsyncIterator[None]:
    """Answer health checks with 503 while another process serves, as a standby of the vendor's does.

    Raises :class:`StartFailure` when the port is taken.
    """
    health = Health()
    try:
        listener = await asyncio.start_server(health.server.serve, options.host, options.health_port, limit=HEAD_BYTES)
    except OSError as error:
        raise port_taken(options.host, "--health-port", options.health_port, error) from error
    try:
        yield
    finally:
        listener.close()
        health.server.close()


def port_taken(host: str, option: str, port: int, error: OSError) -> StartFailure:
    """Return what to say of a port that cannot be listened on."""
    if isinstance(error, socket.gaierror):
        return StartFailure(f"--host {host}: {error.strerror}; give an address of this machine")
    reason = os.strerror(error.errno) if error.errno else str(error)
    return StartFailure(f"{option}: cannot listen on {host}:{port}: {reason}; give another, or 0")


def _open_files() -> int:
    """Let this process open as many files as it may, and return how many: each connection is one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most


def _tls_context(options: Options) -> ssl.SSLContext | None:
    """Return what the TLS listener needs; None without a certificate. A client's certificate is welcome, not required.

    One that is there and not trusted ends the handshake; the vendor's broker refuses the login instead.
    """
    certificate, client_ca = options.tls_certificate, options.tls_client_ca
    if certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    for option, path in (("--tls-certificate", certificate), ("--tls-key", options.tls_key)):
        _check_readable(option, path)
    try:
        context.load_cert_chain(certificate, options.tls_key, password=_no_password)
    except _EncryptedKeyError as error:
        place = f"--tls-key {options.tls_key}"
        raise StartFailure(f"{place}: it is encrypted, and there is nobody to ask; give one that is not") from error
    except (OSError, ssl.SSLError) as error:
        if getattr(error, "reason", None) == "KEY_VALUES_MISMATCH":
            raise StartFailure(f"--tls-key {options.tls_key}: it is not the key of {certificate}") from error
        raise StartFailure(f"--tls-certificate {certificate}: {error}; give a PEM chain and its key") from error
    if client_ca is not None:
        try:
            context.load_verify_locations(client_ca)
        except (OSError, ssl.SSLError) as error:
            raise StartFailure(f"--tls-client-ca {client_ca}: {error}; give a PEM file of authorities") from error
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


class _EncryptedKeyError(Exception):
    """A key that a password is needed for."""


def _no_password() -> str:
    """Refuse to give a password: without this the ssl module asks whoever sits at the terminal."""
    raise _EncryptedKeyError


def _check_readable(option: str, path: Path | None) -> None:
    if path is None:
        return
    try:
        path.open("rb").close()
    except OSError as error:
        raise StartFailure(f"{option} {path}: {error.strerror}; give a PEM file that can be read") from error


def ready_line(content: dict[str, object]) -> str:
    """Return the one line that goes to standard output."""
    return json.dumps(content)
