"""Payload sizes: one size, or several by share; the size of message *i* is a pure function of (seed, publisher, i)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crep.harness.scenario.hashing import fractions

_SIZE = 4  # separates this choice from those of ``assignment``


@dataclass(frozen=True)
class Sizes:
    """Payload bytes (stamp included) with the share of messages that have them; shares add up to 1."""

    choices: tuple[tuple[int, float], ...]

    def __post_init__(self) -> None:
        if not self.choices or abs(sum(share for _, share in self.choices) - 1) > 1e-9:
            raise ValueError(f"the shares of the sizes must add up to 100 %: {self.choices}")

    @property
    def largest(self) -> int:
        """Bytes of the largest message."""
        return max(size for size, _ in self.choices)

    @property
    def mean(self) -> float:
        """Bytes of a message on average."""
        return sum(size * share for size, share in self.choices)

    def of(self, seed: int, publisher: int, sequences: ArrayLike) -> NDArray[np.uint32]:
        """Bytes of the publisher's messages ``sequences``; 1-d, same length."""
        size = np.array([size for size, _ in self.choices], dtype=np.uint32)
        if len(size) == 1:
            return np.full(np.shape(np.atleast_1d(sequences)), size[0], dtype=np.uint32)
        bounds = np.cumsum([share for _, share in self.choices])[:-1]
        return size[np.searchsorted(bounds, fractions(seed, _SIZE, publisher, sequences), side="right")]

    def to_json(self) -> list[list[float]]:
        """Plain data for ``from_json``."""
        return [[size, share] for size, share in self.choices]

    @classmethod
    def from_json(cls, data: list[list[Any]]) -> Sizes:
        """The sizes that ``to_json`` described."""
        return cls(tuple((int(size), float(share)) for size, share in data))
