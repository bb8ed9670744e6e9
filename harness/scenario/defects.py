"""Messages that are meant to go wrong: which of them is a pure function of (seed, publisher, sequence).

So publisher, reader and ledger know the same ones without telling each other.

=========  =======================================================================================================
poison     well-formed, and every reader that has a dead letter place fails to process it, at each delivery
oversize   its payload is twice as large as the channel takes (``max_size``): the broker is to refuse it
=========  =======================================================================================================

A message has one defect at most.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crep.harness.scenario.hashing import fractions

_DEFECT = 8  # separates this choice from those of ``assignment``, ``sizes`` and ``arrivals``


@dataclass(frozen=True)
class Defects:
    """Shares of the messages, 0 to 1 together; ``oversize_bytes`` is the payload of an oversize message."""

    poison: float = 0.0
    oversize: float = 0.0
    oversize_bytes: int = 0

    def __post_init__(self) -> None:
        if min(self.poison, self.oversize) < 0 or self.poison + self.oversize > 1:
            raise ValueError(f"the shares of the defects must be within 0 and 100 % together: {self}")

    def poisonous(self, seed: int, publisher: int, sequences: ArrayLike) -> NDArray[np.bool_]:
        """Which of the publisher's messages are poison; 1-d, same length."""
        if not self.poison:
            return np.zeros(np.shape(np.atleast_1d(sequences)), np.bool_)
        return np.asarray(fractions(seed, _DEFECT, publisher, sequences) < self.poison)

    def oversized(self, seed: int, publisher: int, sequences: ArrayLike) -> NDArray[np.bool_]:
        """Which of the publisher's messages are larger than the channel takes; 1-d, same length."""
        if not self.oversize:
            return np.zeros(np.shape(np.atleast_1d(sequences)), np.bool_)
        return np.asarray(fractions(seed, _DEFECT, publisher, sequences) >= 1 - self.oversize)

    def to_json(self) -> dict[str, Any]:
        """Plain data for ``from_json``."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Defects:
        """The defects that ``to_json`` described."""
        return cls(**data)


NO_DEFECTS = Defects()


@dataclass(frozen=True)
class Poison:
    """The poison of a channel as its readers must know it: publisher → share of its messages."""

    seed: int
    shares: dict[int, float]

    def among(self, publishers: NDArray[np.uint16], sequences: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Which messages, by publisher and sequence, are poison; arrays of equal length."""
        found = np.zeros(len(sequences), np.bool_)
        for publisher, share in self.shares.items():
            mine = np.flatnonzero(publishers == publisher)
            if len(mine):
                found[mine] = Defects(poison=share).poisonous(self.seed, publisher, sequences[mine])
        return found

    def to_json(self) -> dict[str, Any]:
        """Plain data for ``from_json``; JSON has no numbers for keys."""
        return {"seed": self.seed, "shares": [[publisher, share] for publisher, share in self.shares.items()]}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Poison:
        """The poison that ``to_json`` described."""
        return cls(data["seed"], {int(publisher): share for publisher, share in data["shares"]})
