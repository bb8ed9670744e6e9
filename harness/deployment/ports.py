"""TCP ports of local brokers, on the loopback address only.

Between the choice of a port and the moment when a broker listens on it lie seconds, in which another crep may choose
too. So a chosen port is kept for us by a lock on a file of its number, which others of this user respect.
"""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
import threading
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from crep.harness.deployment.contract import DeploymentError

LOOPBACK = "127.0.0.1"

_FIRST, _LAST = 20_000, 31_999
"""Below every system's ephemeral range (Linux from 32768, macOS from 49152).

A client that keeps trying to reach a killed broker on an ephemeral port can be given that very port as its own source
port, connects to itself, and the restarted broker finds its port taken (TCP simultaneous open, RFC 9293, 3.5).
"""


KEPT_S = 180.0
"""For so long a chosen port is kept, if this process lives: a broker that has not bound it by then never will."""
_kept: deque[tuple[float, IO[bytes]]] = deque()
_lock = threading.Lock()


def free_port() -> int:
    """A port on which nobody listens now, and which no other crep of this user has chosen.

    Raises:
        DeploymentError: none found.
    """
    return free_ports(1)[0]


def free_ports(count: int, but: Sequence[int] = ()) -> list[int]:
    """As many different free ports, none of them in ``but``; no other crep of this user chooses them soon.

    Raises:
        DeploymentError: there are not so many.
    """
    found: list[int] = []
    for _ in range(200 + 2 * count):
        port = random.randint(_FIRST, _LAST)  # noqa: S311 - not a secret
        if port not in found and port not in but and is_free(port) and _keep(port):
            found.append(port)
        if len(found) == count:
            return found
    raise DeploymentError(f"no {count} free TCP ports found between {_FIRST} and {_LAST} on {LOOPBACK}")


def _keep(port: int) -> bool:
    """Keep a port for this process; False where somebody (this process too) keeps it already."""
    folder = Path(tempfile.gettempdir()) / f"crep-ports-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        file = (folder / str(port)).open("wb")
    except OSError as error:
        raise DeploymentError(f"no port can be kept, since {folder} cannot be written: {error.strerror}") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return False
    now = time.monotonic()
    with _lock:
        while _kept and now - _kept[0][0] > KEPT_S:
            _kept.popleft()[1].close()
        _kept.append((now, file))
    return True


def is_free(port: int) -> bool:
    """True when a server could listen on the port now (connections in TIME_WAIT do not hinder it)."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def claim(target: str, port: int) -> int:
    """``port`` if it is free; a free one for 0.

    Raises:
        DeploymentError: another program listens on the port.
    """
    if port == 0:
        return free_port()
    if not is_free(port):
        raise port_taken(target, port)
    return port


def port_taken(target: str, port: int) -> DeploymentError:
    """The error for a port that another program holds."""
    return DeploymentError(
        f"target {target!r}: port {port} on {LOOPBACK} is taken by another program (or may not be used)",
        hint=f"end that program (who is it: ss -ltnp 'sport = :{port}'), "
        "or give the target another 'port:' (0 takes a free one)",
    )


def accepts(port: int, timeout_s: float) -> bool:
    """True when a TCP connection to the port is accepted in time."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout_s):
            return True
    except OSError:
        return False
