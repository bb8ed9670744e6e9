"""The emulator on files that a crash robs of everything that was not synced: ``python -m tests.emulator.forgetful``.

What is written stays in this process until it is synced, and a file's name appears with the sync of its folder. So
``kill -9`` does to this process what a power cut does to a machine.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path

from crep.solace_emulator.__main__ import main
from crep.solace_emulator.journal.files import AppendedFile, OsFiles


class ForgetfulFile:
    """A file whose writes wait in memory for a sync."""

    def __init__(self, file: AppendedFile) -> None:
        self._file = file
        self._unsynced = bytearray()
        self._synced = 0
        self._lock = threading.Lock()  # syncs come from another thread

    def write(self, data: bytes) -> None:
        """Remember ``data``."""
        with self._lock:
            self._unsynced += data

    def truncate(self, length: int) -> None:
        """Forget the end; only what is not synced is ever cut."""
        with self._lock:
            del self._unsynced[length - self._synced :]

    def sync(self) -> None:
        """Write what waits."""
        with self._lock:
            self._file.write(bytes(self._unsynced))
            self._synced += len(self._unsynced)
            self._unsynced.clear()

    def prepare_sync(self) -> Callable[[], None]:
        """Return :meth:`sync`."""
        return self.sync

    def close(self) -> None:
        """Let the file go; nothing is written by that."""


class ForgetfulFiles:
    """Files of that kind."""

    def __init__(self) -> None:
        self._unnamed: dict[Path, Path] = {}

    def create(self, path: Path) -> ForgetfulFile:
        """Create a file that has no name yet."""
        unnamed = path.with_suffix(".unnamed")
        unnamed.unlink(missing_ok=True)
        self._unnamed[unnamed] = path
        return ForgetfulFile(OsFiles().create(unnamed))

    def sync_folder(self, folder: Path) -> None:
        """Give the files in a folder their names."""
        for unnamed in [one for one in self._unnamed if one.parent == folder]:
            unnamed.rename(self._unnamed.pop(unnamed))


if __name__ == "__main__":
    sys.exit(main(ForgetfulFiles()))
