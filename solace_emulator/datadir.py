"""The data directory: made when absent, locked by one process."""

import fcntl
import os
from pathlib import Path

from .failure import StartFailure


class DataDirectory:
    """A locked data directory. The lock goes with the process, however it ends."""

    def __init__(self, path: Path) -> None:
        """Make and lock. Raises :class:`StartFailure`."""
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StartFailure(f"data directory {path}: {error.strerror}; give one that can be written") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(self._lock, 20).decode("ascii", "replace") or "unknown"
            os.close(self._lock)
            raise StartFailure(f"data directory {path}: in use by process {holder}; stop it or give another") from None
        os.ftruncate(self._lock, 0)
        os.write(self._lock, str(os.getpid()).encode())
        os.fsync(self._lock)

    def close(self) -> None:
        """Let the next process have it."""
        os.close(self._lock)
