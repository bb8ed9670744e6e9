"""Result files of the OpenMessaging Benchmark: one JSON object, written by its ``TestResult`` class.

Rates are lists of one value every ten seconds, ``aggregated…`` are over the whole test. Publish and end-to-end latency
are milliseconds, publish *delay* latency (how late the client was) microseconds. Source: ``TestResult.java`` and
``WorkloadGenerator.java`` of openmessaging/benchmark; not verified with a run of it.
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

from crep.harness.config.errors import UsageError
from crep.harness.runs.importing.document import Figure, Imported
from crep.harness.runs.importing.source import read_source

_RATES = (("publishRate", "Published"), ("consumeRate", "Consumed"), ("publishErrorRate", "Publish errors"))
_LATENCIES = (
    ("aggregatedPublishLatency", "Publish latency", "ms"),
    ("aggregatedEndToEndLatency", "End-to-end latency", "ms"),
    ("aggregatedPublishDelayLatency", "Publish delay", "µs"),
)
_STATISTICS = (
    ("50pct", "p50"),
    ("99pct", "p99"),
    ("999pct", "p99.9"),
    ("9999pct", "p99.99"),
    ("Max", "max"),
)
_SETTINGS = ("messageSize", "topics", "partitions", "producersPerTopic", "consumersPerTopic")
_REMARKS = (
    "End-to-end latency begins when a message was sent, not when it should have been: what a stalled client held back "
    "is missing from it.",
    "No message was checked: nothing is known of loss, duplicates or order.",
)


def read_omb(path: Path, imported_utc: str) -> Imported:
    """One result file.

    Raises:
        UsageError: it cannot be read, or is no result of that benchmark.
    """
    raw, sha256 = read_source(path)
    try:
        data = json.loads(raw)
    except ValueError as error:
        raise UsageError(f"{path}: is not JSON, so no result of the OpenMessaging Benchmark: {error}") from error
    if not isinstance(data, dict) or not isinstance(data.get("publishRate"), list):
        raise UsageError(
            f"{path}: has no list 'publishRate', so it is no result of the OpenMessaging Benchmark",
            hint="its result files are called <workload>-<driver>-<time>.json",
        )
    figures = (*_rates(data), *_latencies(data))
    if not figures:
        raise UsageError(f"{path}: the benchmark ended before it measured anything")
    return Imported(
        tool="omb",
        name=str(data.get("workload") or path.stem),
        driver=str(data.get("driver") or ""),
        file=path.name,
        sha256=sha256,
        imported_utc=imported_utc,
        settings={name: str(data[name]) for name in _SETTINGS if data.get(name)},  # 0 in versions that have it not
        figures=figures,
        remarks=_REMARKS,
    )


def _rates(data: dict[str, Any]) -> list[Figure]:
    """Mean of the samples: all of one length."""
    found = [(title, _numbers(data.get(name))) for name, title in _RATES]
    return [Figure(name=title, value=statistics.fmean(values), unit="msg/s") for title, values in found if values]


def _numbers(values: object) -> list[float]:
    return [float(v) for v in values if isinstance(v, (int, float))] if isinstance(values, list) else []


def _latencies(data: dict[str, Any]) -> list[Figure]:
    found = [
        (f"{title} {name}", data.get(f"{prefix}{suffix}"), unit)
        for prefix, title, unit in _LATENCIES
        for suffix, name in _STATISTICS
    ]
    return [Figure(name=name, value=float(v), unit=unit) for name, v, unit in found if isinstance(v, (int, float))]
