"""The data directory: made when absent, locked by one process."""

import fcntl
import os
from pathlib import Path

from .failure import StartFailure


class DataDirectory:
    """A data directory. Its lock goes with the process, however that ends."""

    def __init__(self, path: Path) -> None:
        """Make the directory when it is absent. Raises :class:`StartFailure`."""
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StartFailure(f"data directory {path}: {error.strerror}; give one that can be written") from error

    def lock(self) -> bool:
        """Take the lock; False while another process has it."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, str(os.getpid()).encode(), 0)
        return True

    @property
    def holder(self) -> str:
        """The id of the process that has taken the lock."""
        return os.pread(self._file, 20, 0).decode("ascii", "replace") or "unknown"

    def close(self) -> None:
        """Let the next process have it."""
        os.close(self._file)
