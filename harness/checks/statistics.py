"""Comparing two targets over paired repetitions (METHOD rule 10). Pure; imports nothing of crep.

A pair is one repetition on each target, run side by side. The figure is the median of the pairs' ratios; its 95 %
interval is the percentile bootstrap over pairs (B. Efron, R. Tibshirani: An Introduction to the Bootstrap, 1993,
chapter 13). With few pairs a bootstrap is too sure of itself, so a winner needs a second witness: the paired t test on
the logarithms of the ratios, corrected over all comparisons of a report (S. Holm, Scandinavian Journal of Statistics 6,
1979).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LEAST_REPETITIONS = 5
RESAMPLES = 10_000
CONFIDENCE = 0.95
SEED = 20_100


@dataclass(frozen=True)
class PairedRatio:
    """``a / b``. ``low``, ``high`` and ``p_value`` are None below five repetitions: then there is no winner."""

    median: float
    repetitions: int
    low: float | None
    high: float | None
    p_value: float | None

    @property
    def differs(self) -> bool:
        """The interval does not contain 1. A winner also needs a corrected p value: see ``winners``."""
        return self.low is not None and self.high is not None and not self.low <= 1 <= self.high


def paired_ratio(a: Sequence[float], b: Sequence[float], seed: int = SEED) -> PairedRatio:
    """Compare positive measurements pair by pair; the same data and seed give the same interval.

    Raises:
        ValueError: different lengths, no pair, or a value that is not above 0.
    """
    if len(a) != len(b) or not a:
        raise ValueError(f"pairs need two lists of the same length, not {len(a)} and {len(b)}")
    if min(*a, *b) <= 0:
        raise ValueError("a ratio needs values above 0")
    ratios = np.asarray(a, np.float64) / np.asarray(b, np.float64)
    median = float(np.median(ratios))
    if len(ratios) < LEAST_REPETITIONS:
        return PairedRatio(median, len(ratios), None, None, None)
    picks = np.random.default_rng(seed).integers(0, len(ratios), (RESAMPLES, len(ratios)))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(np.median(ratios[picks], axis=1), [tail, 1 - tail])
    return PairedRatio(median, len(ratios), float(low), float(high), _paired_t(np.log(ratios).tolist()))


def _paired_t(differences: Sequence[float]) -> float:
    """Two-sided p value of the hypothesis that the differences have mean 0."""
    mean, spread = float(np.mean(differences)), float(np.std(differences, ddof=1))
    if spread == 0:
        return 1.0 if mean == 0 else 0.0
    return student_two_sided(mean / (spread / math.sqrt(len(differences))), len(differences) - 1)


def student_two_sided(t: float, degrees: int) -> float:
    """P(|T| ≥ |t|) of Student's distribution with whole degrees of freedom.

    Finite sums: M. Abramowitz, I. Stegun, Handbook of Mathematical Functions, 26.7.3 (odd) and 26.7.4 (even).
    """
    angle = math.atan(abs(t) / math.sqrt(degrees))
    cosine_squared = math.cos(angle) ** 2
    odd = degrees % 2
    term = total = math.cos(angle) if odd else 1.0
    for k in range(1, (degrees - 1) // 2 if odd else degrees // 2):
        term *= cosine_squared * (2 * k / (2 * k + 1) if odd else (2 * k - 1) / (2 * k))
        total += term
    if odd:
        inside = 2 / math.pi * (angle + (math.sin(angle) * total if degrees > 1 else 0.0))
    else:
        inside = math.sin(angle) * total
    return max(0.0, 1.0 - inside)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p values, in the order given: reject those ≤ 0.05 to err once in twenty *reports*, not comparisons."""
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = highest
    return adjusted


def winners(comparisons: Sequence[PairedRatio]) -> list[bool]:
    """For each comparison of a report whether it names a winner: its interval and its corrected p value both say so."""
    tested = [place for place, one in enumerate(comparisons) if one.p_value is not None]
    corrected = dict(zip(tested, holm([comparisons[place].p_value or 0.0 for place in tested]), strict=True))
    return [one.differs and corrected.get(place, 1.0) <= 1 - CONFIDENCE for place, one in enumerate(comparisons)]
