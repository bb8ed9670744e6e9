"""How sure k of n makes us: the two-sided Clopper–Pearson interval of a binomial probability. Pure.

Clopper and Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial", Biometrika 26
(1934) 404–413. It is exact: its coverage is never below the level asked for, which is the safe side for a claim.
"""

from __future__ import annotations

import math
from collections.abc import Callable

NAME = "Clopper–Pearson"
_STEPS = 60  # halvings: far below the resolution of a double


def clopper_pearson(held: int, tried: int, level: float = 0.95) -> tuple[float, float]:
    """Lower and upper limit of the probability that a trial holds.

    Raises:
        ValueError: not 0 ≤ ``held`` ≤ ``tried``, nothing tried, or a level outside (0, 1).
    """
    if not (0 <= held <= tried and tried > 0 and 0 < level < 1):
        raise ValueError(f"no interval for {held} of {tried} at level {level}")
    tail = (1 - level) / 2
    lower = 0.0 if held == 0 else _solve(lambda p: 1 - _at_most(held - 1, tried, p), tail, rising=True)
    upper = 1.0 if held == tried else _solve(lambda p: _at_most(held, tried, p), tail, rising=False)
    return lower, upper


def _at_most(k: int, n: int, p: float) -> float:
    """P(X ≤ k) for X ~ Binomial(n, p), 0 < p < 1; terms by logarithms, so that no binomial coefficient overflows."""
    fixed = math.lgamma(n + 1)
    return math.fsum(
        math.exp(fixed - math.lgamma(i + 1) - math.lgamma(n - i + 1) + i * math.log(p) + (n - i) * math.log1p(-p))
        for i in range(k + 1)
    )


def _solve(function: Callable[[float], float], wanted: float, *, rising: bool) -> float:
    """The p in (0, 1) at which a monotonic function has the wanted value."""
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if (function(middle) < wanted) == rising:
            low = middle
        else:
            high = middle
    return (low + high) / 2
