"""A seeded hash over arrays, the source of every "random" choice in a scenario.

Not ``numpy.random``: its streams may change between numpy versions, and a run must be repeatable years later; also, a
hash gives the choice for message *i* without those before it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def mixed(*parts: ArrayLike) -> NDArray[np.uint64]:
    """64 well-mixed bits for each element of the broadcast ``parts`` (non-negative integers), same shape, at least 1-d.

    SplitMix64's finaliser, chained over the parts (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators,
    OOPSLA 2014).
    """
    with np.errstate(over="ignore"):  # arithmetic modulo 2**64 is meant
        bits = np.zeros(1, dtype=np.uint64)
        for part in parts:
            bits = (bits ^ np.asarray(part, dtype=np.uint64)) + np.uint64(0x9E3779B97F4A7C15)
            bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            bits = bits ^ (bits >> np.uint64(31))
    return bits


def fractions(*parts: ArrayLike) -> NDArray[np.float64]:
    """Uniform numbers in [0, 1), one for each element of the broadcast ``parts``."""
    return (mixed(*parts) >> np.uint64(11)).astype(np.float64) * 2.0**-53
