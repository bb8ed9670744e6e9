"""Payloads that are whole documents: which one a message carries is a pure function of its key."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crep.harness.config.errors import UsageError

MOST = 100_000


@dataclass(frozen=True)
class Documents:
    """Texts; a message of key *k* carries number *k* modulo their number, as it stands."""

    texts: tuple[str, ...]

    @cached_property
    def bodies(self) -> tuple[bytes, ...]:
        """In UTF-8, as they are sent."""
        return tuple(text.encode() for text in self.texts)

    @cached_property
    def sizes(self) -> NDArray[np.uint32]:
        """Bytes of each."""
        return np.array([len(body) for body in self.bodies], np.uint32)

    @cached_property
    def sums(self) -> NDArray[np.uint32]:
        """CRC-32 of each."""
        return np.array([zlib.crc32(body) for body in self.bodies], np.uint32)

    @property
    def size_choices(self) -> tuple[tuple[int, float], ...]:
        """Bytes and fraction of each size, over the documents."""
        sizes, counts = np.unique(self.sizes, return_counts=True)
        return tuple(zip(sizes.tolist(), (counts / len(self.texts)).tolist(), strict=True))

    def number_of(self, keys: NDArray[np.uint32]) -> NDArray[np.intp]:
        """Which document a message of each key carries."""
        return np.asarray(keys % np.uint32(len(self.texts)), np.intp)


def documents_of(text: str, path: Path) -> Documents:
    """The lines of a file (``path`` is for messages); empty ones are left out.

    Raises:
        UsageError: it has none, or too many.
    """
    texts = tuple(line for line in text.splitlines() if line.strip())
    if not texts:
        raise UsageError(f"{path}: has no document; write one a line")
    if len(texts) > MOST:
        raise UsageError(f"{path}: has {len(texts):,} documents; at most {MOST:,} are held by every publisher")
    return Documents(texts)
