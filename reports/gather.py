"""From the counted runs of one subject to quantities, curves and series. Pure; adds up counts, merges histograms."""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd

from crep.harness.checks.results import ChannelLedger, Offender, ReaderLedger, RunResults
from crep.harness.checks.steady import Second
from crep.harness.metrics.histogram import SAMPLES_BEYOND, Histogram, upper_bound
from crep.harness.runs.document import RunDocument
from crep.harness.runs.read import State
from crep.reports.comparison import (
    Curve,
    Kind,
    LedgerRow,
    Quantity,
    SendRow,
    ThroughputRow,
)

PUBLISHING = ("acknowledge", "lateness")
RECEIVING = ("latency", "service")
PERCENTILES = ("50", "90", "99", "99.9", "99.99")
OFFENDERS_KEPT = 5
_IDENTITY = {"channel", "reader", "share", "delivery", "members", "members_receipts", "offenders", "rejection_reasons"}


class RunData(Protocol):
    """What the report needs of a run; ``runs.read.Run`` is one."""

    @property
    def document(self) -> RunDocument:
        """``run.json``."""

    @property
    def state(self) -> State:
        """The document's status, a killed run told apart."""

    @property
    def counters(self) -> pd.DataFrame:
        """One row per client and second: second, role, channel, reader …, then one column per counter."""

    def histogram(
        self, metric: str, channel: str, reader: str | None = None, seconds: Collection[int] | None = None
    ) -> Histogram:
        """Samples of messages that were intended in ``seconds``, merged over clients."""

    def by_second(self, channel: str, reader: str) -> Mapping[int, Second]:
        """What a reader received, and the latencies of what was intended, by second relative to t0."""


@dataclass(frozen=True)
class Origin:
    """What every number of one subject carries: whose it is, how it came about, and at which durability."""

    subject: str
    kind: Kind
    durability: str


def run_ids(runs: Iterable[RunData]) -> tuple[str, ...]:
    """Identities of the runs, in their order."""
    return tuple(run.document.run_id for run in runs)


def results_of(run: RunData) -> RunResults:
    """What the checks say of a run that has been checked."""
    results = run.document.results
    if results is None:
        raise ValueError(f"run {run.document.run_id} has not been checked, so it cannot be counted")
    return results


def over_runs(
    values: Sequence[float | None], unit: str, origin: Origin, runs: Sequence[RunData], note: str = ""
) -> Quantity:
    """One value per run → median and range. A run without a value leaves no median: it would be a better run's."""
    known = [value for value in values if value is not None]
    missing = len(values) - len(known)
    if missing:
        note = note or f"no value in {missing} of {len(values)} runs"
    return Quantity(
        value=statistics.median(known) if known and not missing else None,
        unit=unit,
        kind=origin.kind,
        durability=origin.durability,
        runs=run_ids(runs),
        samples=len(known),
        low=min(known, default=None),
        high=max(known, default=None),
        per_run=tuple(values),
        note=note,
    )


def sends(origin: Origin, runs: Sequence[RunData]) -> tuple[SendRow, ...]:
    """Outcomes of all sends per channel, added up."""
    rows: dict[str, list[ChannelLedger]] = {}
    for run in runs:
        filled = {service.channel for service in run.document.services}  # their sends are counted where they were made
        for ledger in results_of(run).channels:
            if ledger.channel in filled:
                continue
            rows.setdefault(ledger.channel, []).append(ledger)
    return tuple(
        SendRow(
            subject=origin.subject,
            channel=channel,
            kind=origin.kind,
            durability=origin.durability,
            runs=run_ids(runs),
            counts=_added(ledgers),
            rejection_reasons=added_up(ledger.rejection_reasons for ledger in ledgers),
        )
        for channel, ledgers in rows.items()
    )


def ledger(origin: Origin, runs: Sequence[RunData]) -> tuple[LedgerRow, ...]:
    """Delivery per logical reader, added up."""
    rows: dict[tuple[str, str], list[ReaderLedger]] = {}
    for run in runs:
        for reader in results_of(run).readers:
            rows.setdefault((reader.channel, reader.reader), []).append(reader)
    return tuple(
        LedgerRow(
            subject=origin.subject,
            channel=channel,
            reader=reader,
            share=ledgers[0].share,
            delivery=ledgers[0].delivery,
            members=ledgers[0].members,
            kind=origin.kind,
            durability=origin.durability,
            runs=run_ids(runs),
            counts=_added(ledgers),
            offenders=_first_of_each_kind(o for one in ledgers for o in one.offenders),
        )
        for (channel, reader), ledgers in rows.items()
    )


def _first_of_each_kind(offenders: Iterable[Offender]) -> tuple[Offender, ...]:
    kinds: dict[str, list[Offender]] = {}
    for offender in offenders:
        kinds.setdefault(offender.kind, []).append(offender)
    return tuple(offender for found in kinds.values() for offender in found[:OFFENDERS_KEPT])


def throughput(origin: Origin, runs: Sequence[RunData]) -> tuple[ThroughputRow, ...]:
    """Mean rates per channel: median and range over the runs."""
    channels = dict.fromkeys(t.channel for run in runs for t in results_of(run).throughput)
    rows = []
    for channel in channels:
        found = [next((t for t in results_of(run).throughput if t.channel == channel), None) for run in runs]
        readers = dict.fromkeys(reader for t in found if t for reader in t.received_per_s)
        values: dict[str, list[float | None]] = {
            "intended": [t.intended_per_s if t else None for t in found],
            "sent": [t.sent_per_s if t else None for t in found],
            "acknowledged": [t.acknowledged_per_s if t else None for t in found],
        }
        values |= {f"received by {r}": [t.received_per_s.get(r) if t else None for t in found] for r in readers}
        rates = {name: over_runs(per_run, "msg/s", origin, runs) for name, per_run in values.items()}
        rows.append(ThroughputRow(subject=origin.subject, channel=channel, rates=rates))
    return tuple(rows)


def curves(origin: Origin, runs: Sequence[RunData]) -> tuple[Curve, ...]:
    """One curve per metric and place, from the measured phase of all runs, histograms merged."""
    found = []
    for channel, reader in _places(runs):
        for metric in PUBLISHING if reader is None else RECEIVING:
            merged = Histogram()
            for run in runs:
                measured = range(math.ceil(run.document.measured_s))
                merged.merge(run.histogram(metric, channel, reader, measured))
            if merged.count:
                where = channel if reader is None else f"{channel}.{reader}"
                found.append(_curve(origin, runs, metric, where, merged))
    return tuple(found)


def _places(runs: Sequence[RunData]) -> list[tuple[str, str | None]]:
    """Channels (publishing side) and readers, in the order of their names."""
    places: set[tuple[str, str | None]] = set()
    for run in runs:
        for role, channel, reader in run.counters[["role", "channel", "reader"]].itertuples(index=False):
            places.add((str(channel), None if role == "publisher" else str(reader)))
    return sorted(places, key=lambda place: (place[0], place[1] or ""))


def _curve(origin: Origin, runs: Sequence[RunData], metric: str, where: str, histogram: Histogram) -> Curve:
    def quantity(value_ns: float | None, note: str = "") -> Quantity:
        return Quantity(
            value=None if value_ns is None else round(value_ns / 1e6, 6),
            unit="ms",
            kind=origin.kind,
            durability=origin.durability,
            runs=run_ids(runs),
            samples=samples,
            note=note,
        )

    samples = histogram.count
    percentiles = {}
    for text in PERCENTILES:
        value = histogram.percentile_ns(float(text))
        percentiles[text] = quantity(value, "" if value is not None else f"fewer than {SAMPLES_BEYOND} samples beyond")
    return Curve(
        subject=origin.subject,
        metric=metric,
        where=where,
        non_positive=histogram.non_positive,
        percentiles=percentiles,
        maximum=quantity(histogram.max_ns),
        later_than_1_s=histogram.share_above(1_000_000_000),
        points=_points(histogram),
    )


def _points(histogram: Histogram, per_decade: int = 24) -> tuple[tuple[float, float], ...]:
    """(percentile, ms) thinned to what a figure can show: evenly on the axis of 1 / (1 - p)."""
    buckets, counts = histogram.sparse()
    samples = histogram.count
    if samples <= SAMPLES_BEYOND:
        return ()
    below = np.cumsum(counts) / samples * 100.0
    tail_most = 100.0 * (1.0 - SAMPLES_BEYOND / samples)
    decades = np.arange(0.0, np.log10(samples / SAMPLES_BEYOND) + 1e-9, 1.0 / per_decade)
    wanted = np.unique(np.append(100.0 * (1.0 - 10.0**-decades), tail_most))
    index = np.minimum(np.searchsorted(below, wanted - 1e-9), len(buckets) - 1)
    values_ms = upper_bound(buckets[index].astype(np.int64)) / 1e6
    return tuple((round(float(p), 6), round(float(v), 6)) for p, v in zip(wanted, values_ms, strict=True))


def _added(ledgers: Sequence[ChannelLedger] | Sequence[ReaderLedger]) -> dict[str, int]:
    return added_up(one.model_dump(exclude=_IDENTITY) for one in ledgers)


def added_up(parts: Iterable[Mapping[str, int | None]]) -> dict[str, int]:
    """Counts by name; one that is not known in some part is left out: a sum of the others would be too small."""
    total: dict[str, int] = {}
    unknown: set[str] = set()
    for part in parts:
        for name, count in part.items():
            if count is None:
                unknown.add(name)
            else:
                total[name] = total.get(name, 0) + count
    return {name: count for name, count in total.items() if name not in unknown}
