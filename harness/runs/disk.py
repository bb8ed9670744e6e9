"""Writes that either happen whole or fail with an error for people: full disk, no permission, folder gone."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from crep.harness.config.errors import EnvironmentFailure

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_RIGHT = (errno.EACCES, errno.EPERM, errno.EROFS)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what goes wrong while ``path`` is written into ``EnvironmentFailure`` with the path and what to do."""
    try:
        yield
    except (OSError, duckdb.IOException) as error:
        raise EnvironmentFailure(f"cannot write {path}: {_reason(error)}", hint=_advice(error, path)) from error


def _reason(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error).splitlines()[0]


def _advice(error: Exception, path: Path) -> str:
    number = error.errno if isinstance(error, OSError) else None
    free = free_bytes(path)
    space = "" if free is None else f" ({free:,} bytes are free there)"
    if number in _NO_SPACE or "No space left" in str(error):
        return f"Free some space{space} or choose another results folder with --out DIR."
    if number in _NO_RIGHT or "Permission denied" in str(error):
        return "Make the folder writable for this user, or choose another results folder with --out DIR."
    return f"Check that the folder exists and is writable{space}, or choose another one with --out DIR."


def free_bytes(path: Path) -> int | None:
    """Free bytes of the file system that ``path`` is, or would be, on; None where nothing of the path can be asked."""
    for place in (path, *path.parents):
        try:
            return shutil.disk_usage(place).free
        except OSError:
            continue  # not there, or not ours to look at: the folder above may tell
    return None


def replace_file(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never a part: temporary file, sync, rename.

    Raises:
        EnvironmentFailure: the disk is full, or the folder is gone or not writable.
    """
    temporary = temporary_of(path)
    with writing(path):
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            publish(temporary, path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise


def temporary_of(path: Path) -> Path:
    """The name under which ``path`` is written before it is whole; readers ignore it."""
    return path.with_name(f".{path.name}.part")


def publish(temporary: Path, path: Path) -> None:
    """Give a whole, synced file its name, durably."""
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def require_writable(folder: Path) -> None:
    """Make sure, before anything is started for it, that results can be written below ``folder``; makes it if missing.

    Raises:
        EnvironmentFailure: they cannot, with the path, the reason and what to do.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".writable-{os.getpid()}"
        probe.touch()
        probe.unlink()
