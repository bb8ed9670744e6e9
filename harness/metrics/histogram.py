"""Histograms of nanoseconds with the bucket layout of HdrHistogram (lowest value 1, three significant digits).

A histogram is nothing but its bucket counts, so merging is exact and every figure can be computed again from what a run
folder keeps: percentiles, maximum and mean are the same before and after ``sparse`` / ``from_sparse``. The layout's
resolution is 0.1 %: below 2,048 ns each value has a bucket of its own, above, each power of two is cut into 1,024.

Layout: Gil Tene's HdrHistogram, https://github.com/HdrHistogram/HdrHistogram (``AbstractHistogram.countsArrayIndex``).
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

HALF_BITS = 10
"""Buckets per power of two: 2**10. HdrHistogram's ``subBucketHalfCountMagnitude`` for three digits is 10."""

SAMPLES_BEYOND = 10
"""METHOD rule 4: a percentile with fewer samples beyond it is not printed."""


def bucket_of(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Bucket of each value in ns; values ≤ 0 fall into bucket 0, which holds nothing else."""
    positive = np.maximum(values, 0)
    # frexp's exponent is the bit length; what is left after the shift has at most 52 bits, so the float is exact
    exponent = np.frexp((positive >> (HALF_BITS + 1)).astype(np.float64))[1].astype(np.int64)
    buckets: NDArray[np.int64] = (exponent << HALF_BITS) + (positive >> exponent)
    return buckets


def upper_bound(buckets: NDArray[np.int64]) -> NDArray[np.int64]:
    """The highest value (ns) of each bucket; inverse of ``bucket_of`` up to the resolution."""
    exponent = np.maximum((buckets >> HALF_BITS) - 1, 0)
    bounds: NDArray[np.int64] = ((buckets - (exponent << HALF_BITS) + 1) << exponent) - 1
    return bounds


class Histogram:
    """Counts per bucket; values in ns."""

    def __init__(self) -> None:
        self._counts: NDArray[np.int64] = np.zeros(0, np.int64)

    def record(self, values: NDArray[np.int64]) -> None:
        """Add samples (int64 ns, any length). Samples ≤ 0 are counted as such, never dropped."""
        if len(values):
            self._add(np.bincount(bucket_of(values)))

    def merge(self, other: Histogram) -> None:
        """Add every sample of another histogram; exact."""
        self._add(other._counts)

    def _add(self, counts: NDArray[np.int64]) -> None:
        if len(counts) > len(self._counts):
            grown = counts.astype(np.int64)
            grown[: len(self._counts)] += self._counts
            self._counts = grown
        else:
            self._counts[: len(counts)] += counts

    @property
    def count(self) -> int:
        """Samples recorded."""
        return int(self._counts.sum())

    @property
    def non_positive(self) -> int:
        """Samples ≤ 0: a message that arrived before it was sent is an error of the measurement (METHOD rule 3)."""
        return int(self._counts[0]) if len(self._counts) else 0

    @property
    def max_ns(self) -> int | None:
        """Upper bound of the highest bucket in use; None without samples."""
        used = np.flatnonzero(self._counts)
        return int(upper_bound(used[-1:])[0]) if len(used) else None

    @property
    def mean_ns(self) -> float | None:
        """Mean with each sample at the middle of its bucket; None without samples."""
        used = np.flatnonzero(self._counts)
        if not len(used):
            return None
        lower = np.where(used > 0, upper_bound(np.maximum(used - 1, 0)) + 1, 0)
        return float(np.average((lower + upper_bound(used)) / 2, weights=self._counts[used]))

    def percentile_ns(self, percent: float) -> int | None:
        """Upper bound of the bucket that holds the sample of rank ceil(percent · n / 100) (nearest rank).

        Returns:
            None when fewer than ``SAMPLES_BEYOND`` samples lie above that rank (METHOD rule 4).

        Raises:
            ValueError: ``percent`` is not between 0 and 100, both excluded.
        """
        if not 0 < percent < 100:
            raise ValueError(f"a percentile lies between 0 and 100, not at {percent}")
        count = self.count
        rank = math.ceil(Fraction(str(percent)) * count / 100)  # as written: 99.9 is no binary fraction
        if count - rank < SAMPLES_BEYOND:
            return None
        bucket = np.searchsorted(np.cumsum(self._counts), rank)
        return int(upper_bound(np.array([bucket], np.int64))[0])

    def share_above(self, limit_ns: int) -> float | None:
        """Share of the samples above a limit, of all; None without samples.

        A sample in the limit's own bucket (0.1 % wide) counts as not above: the share is never too high.
        """
        if not self.count:
            return None
        bucket = int(bucket_of(np.array([limit_ns], np.int64))[0])
        return float(self._counts[bucket + 1 :].sum()) / self.count

    def sparse(self) -> tuple[NDArray[np.uint32], NDArray[np.uint64]]:
        """Buckets in use, ascending, and their counts; arrays of equal length."""
        used = np.flatnonzero(self._counts)
        return used.astype(np.uint32), self._counts[used].astype(np.uint64)

    @classmethod
    def from_sparse(cls, buckets: NDArray[np.uint32], counts: NDArray[np.uint64]) -> Histogram:
        """The histogram whose ``sparse`` this is; a bucket that is named twice (windows laid end to end) adds up."""
        histogram = cls()
        if len(buckets):
            histogram._counts = np.zeros(int(buckets.max()) + 1, np.int64)
            np.add.at(histogram._counts, buckets.astype(np.int64), counts.astype(np.int64))
        return histogram
