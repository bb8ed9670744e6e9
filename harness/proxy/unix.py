"""The Unix socket that a standing proxy is ordered through."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable
from pathlib import Path


def at(path: Path, act: Callable[[str], None]) -> None:
    """Bind or connect at ``path``: an address holds 107 bytes (unix(7)), a folder's name may be longer.

    So ``act`` gets the path through an open descriptor of the folder, which is always short.

    Raises:
        OSError: from ``act``, or no such folder.
    """
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        act(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)


def listen(path: Path) -> socket.socket:
    """A listener for this user alone. A socket that a dead proxy left there is replaced."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        at(path, listener.bind)
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(before)
    listener.listen()
    return listener


def connect(path: Path, timeout_s: float) -> socket.socket:
    """A connection to whoever listens there.

    Raises:
        OSError: nobody does.
    """
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    line.settimeout(timeout_s)
    try:
        at(path, line.connect)
    except OSError:
        line.close()
        raise
    line.settimeout(None)
    return line
