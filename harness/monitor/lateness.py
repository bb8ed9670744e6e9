"""How late the last seconds' messages were handed over, for the live view; verdicts are made from whole histograms."""

from __future__ import annotations

from crep.harness.metrics.histogram import Histogram

SECONDS = 5


class RecentLateness:
    """Keeps the histograms of the newest seconds."""

    def __init__(self) -> None:
        self._by_second: dict[int, Histogram] = {}

    def add(self, second: int, histogram: Histogram) -> None:
        """Messages that were intended in ``second``; seconds of one run may come from several clients and late."""
        newest = max(second, *self._by_second, second)
        if second > newest - SECONDS:
            self._by_second.setdefault(second, Histogram()).merge(histogram)
        self._by_second = {kept: one for kept, one in self._by_second.items() if kept > newest - SECONDS}

    def text(self) -> str:
        """``p99 1.2 ms``, or the maximum where too few samples lie beyond; empty where there are none."""
        merged = Histogram()
        for histogram in self._by_second.values():
            merged.merge(histogram)
        p99, most = merged.percentile_ns(99), merged.max_ns
        if p99 is not None:
            return f"p99 {p99 / 1e6:.1f} ms"
        return "" if most is None else f"max {most / 1e6:.1f} ms"
