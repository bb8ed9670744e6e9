"""Reading the file that is imported."""

from __future__ import annotations

import hashlib
from pathlib import Path

from crep.harness.config.errors import UsageError

_LARGEST = 64 << 20


def read_source(path: Path) -> tuple[bytes, str]:
    """The file's bytes and their SHA-256.

    Raises:
        UsageError: it cannot be read, or is too large to be a result.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise UsageError(f"{path}: is larger than {_LARGEST >> 20} MiB, so it is no result file")
        raw = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    return raw, hashlib.sha256(raw).hexdigest()
