"""Poisson arrivals: message number *n* → how much of the profile lies before it. Pure; holds no clock.

Many independent clients together send at random: the gaps between messages are exponential, and queues form at rates
that an even schedule passes without one. A Poisson process whose rate follows a profile is the unit-rate process, read
at the profile's integral (Cox and Lewis, The Statistical Analysis of Series of Events, 1966, section 2.4).

Arrivals are drawn in blocks so that number *n* is known without those before it::

    unit-rate process   0 ──────────── Γ₀ ──────────── Γ₀+Γ₁ ───────── …       Γ: sum of BLOCK exponential gaps
    within a block         BLOCK-1 sorted uniform points, then the block's end

Both facts are exact: the time of BLOCK arrivals is gamma distributed, and given it, those before are uniform.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crep.harness.scenario.hashing import fractions

BLOCK = 256
"""Arrivals drawn together: one number costs as much as all of its block."""

_GAMMA, _UNIFORM = 5, 6  # separate these choices from those of ``assignment`` and ``sizes``
_ATTEMPTS = 64  # one in 4,000 draws is rejected at this shape, so a second attempt is rare


@dataclass(frozen=True)
class Poisson:
    """Arrivals of the unit-rate Poisson process up to ``mass``. ``stream`` tells load entries of one seed apart."""

    seed: int
    stream: int
    mass: float

    @cached_property
    def _ends(self) -> NDArray[np.float64]:
        """Where each block begins, and where the last one ends: above ``mass``."""
        ends = [np.zeros(1)]
        first = 0
        while ends[-1][-1] <= self.mass:
            # a block's length varies by 1 in sqrt(BLOCK): a tenth more than are missing on average, and a few
            more = math.ceil((self.mass - ends[-1][-1]) / BLOCK * 1.1) + 4
            lengths = _gamma(self.seed, self.stream, np.arange(first, first + more, dtype=np.uint64))
            ends.append(ends[-1][-1] + np.cumsum(lengths))
            first += more
        return np.concatenate(ends)

    def at(self, numbers: ArrayLike) -> NDArray[np.float64]:
        """Position of arrivals ``numbers`` (from 0) on the unit-rate process; same shape, never descending."""
        numbers = np.asarray(numbers, dtype=np.int64)
        block, place = np.divmod(numbers.reshape(-1), BLOCK)
        known, where = np.unique(block, return_inverse=True)
        within = fractions(self.seed, _UNIFORM, self.stream, known[:, None], np.arange(BLOCK - 1))
        within = np.concatenate([np.sort(within, axis=1), np.ones((len(known), 1))], axis=1)
        start, end = self._ends[known], self._ends[known + 1]
        position: NDArray[np.float64] = start[where] + (end - start)[where] * within[where, place]
        return position.reshape(numbers.shape)

    def before(self, position: float) -> int:
        """How many arrivals lie before ``position`` (≤ ``mass``)."""
        block = int(np.searchsorted(self._ends, position, side="right")) - 1
        inside = self.at(block * BLOCK + np.arange(BLOCK))
        return block * BLOCK + int(np.searchsorted(inside, position, side="left"))


def _gamma(seed: int, stream: int, blocks: NDArray[np.uint64]) -> NDArray[np.float64]:
    """One draw of Gamma(BLOCK, 1) for each block number, a function of it alone.

    Marsaglia and Tsang, A Simple Method for Generating Gamma Variables, ACM TOMS 26 (2000); normal deviates by Box and
    Muller. A draw that is rejected is tried again with the next attempt's numbers.
    """
    d = BLOCK - 1 / 3
    c = 1 / math.sqrt(9 * d)
    made = np.full(len(blocks), float(BLOCK))
    open_ = np.arange(len(blocks))
    for attempt in range(_ATTEMPTS):
        one, two, three = (fractions(seed, _GAMMA, stream, blocks[open_], attempt, part) for part in range(3))
        normal = np.sqrt(-2 * np.log1p(-one)) * np.cos(2 * np.pi * two)
        v = (1 + c * normal) ** 3
        positive = v > 0
        log_v = np.log(np.where(positive, v, 1.0))
        good = positive & (np.log1p(-three) < normal**2 / 2 + d - d * v + d * log_v)
        made[open_[good]] = d * v[good]
        open_ = open_[~good]
        if not len(open_):
            break
    return made
