"""Latency summaries of whole, merged histograms (METHOD rules 1, 3, 4)."""

from __future__ import annotations

from crep.harness.checks.results import LatencySummary
from crep.harness.metrics.histogram import Histogram

PERCENTILES = ("50", "90", "99", "99.9", "99.99")
LATER_THAN_NS = {"10 ms": 10_000_000, "100 ms": 100_000_000, "1 s": 1_000_000_000, "10 s": 10_000_000_000}
"""A percentile says little about a stall of a known length; the share that it made late can be computed on paper."""


def summarise(metric: str, where: str, histogram: Histogram) -> LatencySummary:
    """Percentiles (absent with fewer than 10 samples beyond), mean and maximum in ms, and the number of samples."""
    in_ns = {percent: histogram.percentile_ns(float(percent)) for percent in PERCENTILES}
    return LatencySummary(
        metric=metric,
        where=where,
        samples=histogram.count,
        non_positive=histogram.non_positive,
        percentiles_ms={percent: _ms(value) for percent, value in in_ns.items()},
        mean_ms=_ms(histogram.mean_ns),
        max_ms=_ms(histogram.max_ns),
        later_than={
            name: share for name, limit in LATER_THAN_NS.items() if (share := histogram.share_above(limit)) is not None
        },
    )


def statistic_s(histogram: Histogram, statistic: str) -> float | None:
    """``p99``, ``mean`` or ``max`` in seconds; None where the samples do not carry it."""
    value = {"mean": histogram.mean_ns, "max": histogram.max_ns}.get(statistic)
    if statistic.startswith("p"):
        value = histogram.percentile_ns(float(statistic[1:]))
    return None if value is None else value / 1e9


def _ms(nanoseconds: float | None) -> float | None:
    return None if nanoseconds is None else nanoseconds / 1e6
