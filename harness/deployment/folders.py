"""Where crep keeps files outside the checkout: downloads, the record of standing brokers, data of local brokers."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def cache_folder() -> Path:
    """Downloads that can be fetched again: ``$XDG_CACHE_HOME/crep``, else ``~/.cache/crep``. Created."""
    return _xdg("XDG_CACHE_HOME", ".cache")


def state_folder() -> Path:
    """What crep remembers between commands: ``$XDG_STATE_HOME/crep``, else ``~/.local/state/crep``. Created."""
    return _xdg("XDG_STATE_HOME", ".local/state")


def new_work_folder(target: str) -> Path:
    """A fresh folder for one local broker's data.

    Not under ``/tmp``, which is memory on many systems: a broker that is asked for durability class ``disk`` would
    "sync" to RAM there. ``/var/tmp`` is on a disk (Filesystem Hierarchy Standard 3.0, 5.15).
    """
    parent = Path("/var/tmp")  # noqa: S108 - mkdtemp makes the name unguessable and the folder private
    return Path(tempfile.mkdtemp(prefix=f"crep-{target}-", dir=parent if os.access(parent, os.W_OK) else None))


def filesystem_of(folder: Path) -> str:
    """Type of the file system that ``folder`` lies on (``ext4``, ``tmpfs`` …), ``unknown`` where /proc is missing."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "unknown"
    path = folder.resolve()
    best, kind = -1, "unknown"
    for line in mounts:  # proc(5): … (5) mount point … "-" type source options
        left, _, right = line.partition(" - ")
        mount = Path(left.split()[4].encode().decode("unicode_escape"))
        if path.is_relative_to(mount) and len(mount.parts) >= best:
            best, kind = len(mount.parts), right.split()[0]
    return kind


def _xdg(variable: str, default: str) -> Path:
    # XDG Base Directory Specification: a relative path in the variable is invalid and to be ignored.
    named = os.environ.get(variable, "")
    base = Path(named) if named.startswith("/") else Path.home() / default
    folder = base / "crep"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
