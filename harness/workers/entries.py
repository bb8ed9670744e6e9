"""Windows in Locust's own statistics, for its web page and its tables: a few prepared entries for each window.

Firing ``events.request`` for each message would cost 5 µs of it. Usable in any Locust process::

    from crep.harness.workers.entries import report
    report(environment, window)
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from crep.harness.load.protocol import Sparse, Window
from crep.harness.metrics.histogram import upper_bound

if TYPE_CHECKING:
    from locust.env import Environment

_SHOWN = (("SEND", "sent", "lateness"), ("ACK", "acknowledged", "acknowledge"), ("RECV", "received", "latency"))
"""What Locust calls the request's method, what counts as requests, and the histogram of its "response times"."""
_IN_TOTAL = "RECV"  # a percentile over lateness and latency together would mean nothing


def report(environment: Environment, window: Window) -> None:
    """Add a window to Locust's statistics: messages sent, acknowledged and received, each timed from the intended send.

    The line "Aggregated" holds what was received, and as failures what was rejected or has no outcome.
    """
    from locust.stats import StatsEntry  # noqa: PLC0415 - only processes that use Locust import it

    stats, now = environment.stats, time.time()
    name = window.channel if window.reader is None else f"{window.channel}.{window.reader}"
    failures = window.counters.get("rejected", 0) + window.counters.get("unknown", 0)
    for method, counted, timed in _SHOWN:
        count, failed = window.counters.get(counted, 0), failures if method == "ACK" else 0
        if not count and not failed:
            continue
        entry = StatsEntry(stats, name, method)
        entry.last_request_timestamp = now
        entry.num_requests, entry.num_reqs_per_sec[int(now)] = count, count
        entry.num_failures, entry.num_fail_per_sec[int(now)] = failed, failed
        if timed in window.histograms:
            times = entry.response_times = response_times(window.histograms[timed])
            entry.total_response_time = sum(time_ms * samples for time_ms, samples in times.items())
            entry.min_response_time, entry.max_response_time = min(times), max(times)
        stats.entries[(name, method)].extend(entry)
        if method == _IN_TOTAL:
            stats.total.extend(entry)
    stats.total.num_failures += failures
    stats.total.num_fail_per_sec[int(now)] += failures


def response_times(histogram: Sparse) -> dict[float, int]:
    """Milliseconds, with two significant digits, → samples. Locust itself keeps whole milliseconds below 100."""
    buckets, counts = histogram
    milliseconds = np.maximum(upper_bound(buckets.astype(np.int64)), 1) / 1e6
    unit = 10.0 ** (np.floor(np.log10(milliseconds)) - 1)
    keys, place = np.unique(np.round(np.round(milliseconds / unit) * unit, 7), return_inverse=True)
    sums = np.bincount(place, weights=counts.astype(np.float64)).astype(np.int64)
    return dict(zip(keys.tolist(), sums.tolist(), strict=True))
