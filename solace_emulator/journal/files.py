"""What the journal asks of the file system, and the operating system's answer.

It is a seam for one reason: a test that proves durability needs files that forget what was not synced.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol


class AppendedFile(Protocol):
    """A file that grows at its end. All methods raise ``OSError``."""

    def write(self, data: bytes) -> None:
        """Append all of ``data``; when that fails, a part of it may be there."""
        ...

    def truncate(self, length: int) -> None:
        """Cut the file to its first ``length`` bytes."""
        ...

    def sync(self) -> None:
        """Force what was written to the disk."""
        ...

    def prepare_sync(self) -> Callable[[], None]:
        """Return a function like :meth:`sync` for any thread, good also after :meth:`close`; call it exactly once."""
        ...

    def close(self) -> None:
        """Close the file; that forces nothing to the disk."""
        ...


class Files(Protocol):
    """Where files come from. All methods raise ``OSError``."""

    def create(self, path: Path) -> AppendedFile:
        """Create a file that must not exist yet."""
        ...

    def sync_folder(self, folder: Path) -> None:
        """Force the names of the files in a folder to the disk."""
        ...


class _OsFile:
    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]

    def truncate(self, length: int) -> None:
        os.ftruncate(self._fd, length)

    def sync(self) -> None:
        os.fdatasync(self._fd)

    def prepare_sync(self) -> Callable[[], None]:
        descriptor = os.dup(self._fd)

        def sync() -> None:
            try:
                os.fdatasync(descriptor)
            finally:
                os.close(descriptor)

        return sync

    def close(self) -> None:
        os.close(self._fd)


class OsFiles:
    """The operating system's files."""

    def create(self, path: Path) -> AppendedFile:
        """Create a file that must not exist yet."""
        return _OsFile(path)

    def sync_folder(self, folder: Path) -> None:
        """Force the names of the files in a folder to the disk."""
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
