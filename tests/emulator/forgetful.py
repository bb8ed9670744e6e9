"""The emulator on files that a crash robs of everything that was not synced: ``python -m tests.emulator.forgetful``.

What is written stays in this process until it is synced, and a file's name appears with the sync of its folder. So
``kill -9`` does to this process what a power cut does to a machine. What stands in the file for bytes that were not
synced is one of :data:`LEFT`, chosen by the environment variable :data:`UNSYNCED`.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from crep.solace_emulator.__main__ import main
from crep.solace_emulator.journal.files import AppendedFile, OsFiles

UNSYNCED: Final = "CREP_TEST_UNSYNCED"


def _garbled(data: bytes) -> bytes:
    """The first half as it should be, the rest inverted: a write of which only a part came through."""
    half = len(data) // 2
    return data[:half] + bytes(byte ^ 0xFF for byte in data[half:])


LEFT: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "cut": lambda _: b"",
    "zeroed": lambda data: bytes(len(data)),
    "garbled": _garbled,
}


class ForgetfulFile:
    """A file whose writes wait in memory for a sync; ``left`` makes what stands in the file for them meanwhile."""

    def __init__(self, file: AppendedFile, left: Callable[[bytes], bytes]) -> None:
        self._file = file
        self._left = left
        self._unsynced = bytearray()
        self._synced = 0
        self._lock = threading.Lock()  # syncs come from another thread

    def write(self, data: bytes) -> None:
        """Remember ``data``."""
        with self._lock:
            self._unsynced += data
            self._file.write(self._left(data))

    def truncate(self, length: int) -> None:
        """Forget the end; only what is not synced is ever cut."""
        with self._lock:
            del self._unsynced[length - self._synced :]
            self._file.truncate(self._synced)
            self._file.write(self._left(bytes(self._unsynced)))

    def sync(self) -> None:
        """Write what waits."""
        with self._lock:
            self._file.truncate(self._synced)
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

    def __init__(self, left: Callable[[bytes], bytes] = LEFT["cut"]) -> None:
        self._left = left
        self._unnamed: dict[Path, Path] = {}

    def create(self, path: Path) -> ForgetfulFile:
        """Create a file that has no name yet."""
        unnamed = path.with_suffix(".unnamed")
        unnamed.unlink(missing_ok=True)
        self._unnamed[unnamed] = path
        return ForgetfulFile(OsFiles().create(unnamed), self._left)

    def sync_folder(self, folder: Path) -> None:
        """Give the files in a folder their names."""
        for unnamed in [one for one in self._unnamed if one.parent == folder]:
            unnamed.rename(self._unnamed.pop(unnamed))


if __name__ == "__main__":
    sys.exit(main(ForgetfulFiles(LEFT[os.environ.get(UNSYNCED, "cut")])))
