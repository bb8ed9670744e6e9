"""Counted runs second by second: rates, and in runs with faults latency and backlog beside them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from crep.harness.checks.steady import Second
from crep.harness.metrics.histogram import Histogram
from crep.reports.comparison import Series
from crep.reports.gather import Origin, RunData

SAMPLES_FOR_P99 = 1000
"""Samples in a second from which on its p99 is told (METHOD rules 4 and 13)."""


def series(origin: Origin, runs: Sequence[RunData]) -> tuple[Series, ...]:
    """Warm-up, measured phase and drain, per run and channel."""
    return tuple(row for run in runs if not run.counters.empty for row in _series(origin, run))


def _series(origin: Origin, run: RunData) -> Iterator[Series]:
    frame = run.counters
    seconds = range(int(frame["second"].min()), int(frame["second"].max()) + 1)
    for channel, of_channel in frame.groupby("channel", sort=True):
        publishing = of_channel[of_channel["role"] == "publisher"]
        rates = {counter: _per_second(publishing, counter, seconds) for counter in ("intended", "acknowledged")}
        readers = {
            str(reader): rows
            for reader, rows in of_channel[of_channel["role"] == "subscriber"].groupby("reader", sort=True)
        }
        rates |= {f"received by {name}": _per_second(rows, "received", seconds) for name, rows in readers.items()}
        results = run.document.results
        disturbed = results is not None and bool(results.faults)
        yield Series(
            subject=origin.subject,
            run_id=run.document.run_id,
            repetition=run.document.repetition,
            channel=str(channel),
            kind=origin.kind,
            durability=origin.durability,
            first_second=seconds.start,
            rates=rates,
            latencies=dict(_latency(run, str(channel), name, seconds) for name in readers) if disturbed else {},
            backlogs=_backlogs(run, str(channel), seconds) if disturbed else {},
        )


def _per_second(frame: pd.DataFrame, counter: str, seconds: range) -> tuple[float, ...]:
    if counter not in frame:
        return (0.0,) * len(seconds)
    summed = frame.groupby("second")[counter].sum().reindex(seconds, fill_value=0)
    return tuple(float(value) for value in summed)


def _latency(run: RunData, channel: str, reader: str, seconds: range) -> tuple[str, tuple[float | None, ...]]:
    """The p99 of each second where most have samples enough for one, else the median; by intended second, in ms."""
    found: Mapping[int, Second] = run.by_second(channel, reader)
    samples = sorted(second.latency.count for second in found.values() if second.latency.count)
    enough = bool(samples) and samples[len(samples) // 2] >= SAMPLES_FOR_P99
    values = []
    for second in seconds:
        histogram = found[second].latency if second in found else Histogram()
        value_ns = histogram.percentile_ns(99 if enough else 50)
        values.append(None if value_ns is None else round(value_ns / 1e6, 6))
    return f"{'p99' if enough else 'median'}, {reader}", tuple(values)


def _backlogs(run: RunData, channel: str, seconds: range) -> dict[str, tuple[int, ...]]:
    results = run.document.results
    found = {}
    for one in results.backlogs if results else ():
        of, _, reader = one.where.partition(".")
        if of == channel:
            at = {one.first_second + i: depth for i, depth in enumerate(one.depth)}
            found[reader] = tuple(at.get(second, 0) for second in seconds)
    return found
