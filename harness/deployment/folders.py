"""Where crep keeps files outside the checkout: downloads, the record of standing brokers, data of local brokers."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path

from crep.harness.config.errors import EnvironmentFailure
from crep.harness.processes import ProcessIdentity

_OWNER = "owner"


def cache_folder() -> Path:
    """Downloads that can be fetched again: ``$XDG_CACHE_HOME/crep``, else ``~/.cache/crep``. Created."""
    return _xdg("XDG_CACHE_HOME", ".cache")


def state_folder() -> Path:
    """What crep remembers between commands: ``$XDG_STATE_HOME/crep``, else ``~/.local/state/crep``. Created."""
    return _xdg("XDG_STATE_HOME", ".local/state")


def new_work_folder(target: str) -> Path:
    """A fresh folder for one local broker's data. Those of processes that were killed before they could clean up go.

    Not under ``/tmp``, which is memory on many systems: a broker that is asked for durability class ``disk`` would
    "sync" to RAM there. ``/var/tmp`` is on a disk (Filesystem Hierarchy Standard 3.0, 5.15).
    """
    parent = _work_parent()
    for abandoned in abandoned_work_folders():
        shutil.rmtree(abandoned, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix="crep-", suffix=f"-{target}", dir=parent))
    identity = ProcessIdentity.of(os.getpid())
    if identity is not None:
        (folder / _OWNER).write_text(json.dumps(asdict(identity)), encoding="ascii")
    return folder


def abandoned_work_folders() -> list[Path]:
    """Data folders of local brokers whose crep is gone: it was killed before it could remove them."""
    found = []
    for mark in sorted(_work_parent().glob(f"crep-*/{_OWNER}")):
        if mark.parent.lstat().st_uid != os.getuid():
            continue
        owner = ProcessIdentity(**json.loads(mark.read_text(encoding="ascii")))
        if ProcessIdentity.of(owner.pid) != owner:
            found.append(mark.parent)
    return found


def _work_parent() -> Path:
    parent = Path("/var/tmp")  # noqa: S108 - mkdtemp makes the names in it unguessable and the folders private
    return parent if os.access(parent, os.W_OK) else Path(tempfile.gettempdir())


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
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EnvironmentFailure(
            f"the folder {folder} cannot be made: {error.strerror}", hint=f"name another place with {variable}=DIR"
        ) from error
    return folder
