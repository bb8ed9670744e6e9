"""The figures for a person (tables) and for a program (``bench.json``)."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.summary import Bench, Comparison, Schedule, Spread
from crep.harness.runs.document import Harness, Host

SCHEMA = "crep-bench/1"
_NOT_MEASURED = "not measured"
_FIGURES = ("engine", "bare", "no_op", "to_bare", "of_ceiling")


def show(bench: Bench, host: Host, harness: Harness, started_utc: str, console: Console) -> None:
    """Print both tables, what was not measured, and where it ran."""
    throughput = Table(
        title="Throughput, thousand messages/s: median of the rounds, lowest–highest; ratios within a round"
    )
    for heading in ("broker", "work", "size"):
        throughput.add_column(heading)
    for heading in ("engine ÷ bare loop", "engine ÷ no-op", "engine, k/s", "bare loop, k/s", "no-op, k/s"):
        throughput.add_column(heading, justify="right")
    for comparison in bench.comparisons:
        throughput.add_row(*_comparison(comparison))
    lateness = Table(title="Lateness at a fixed rate: handed over − intended, milliseconds")
    lateness.add_column("broker")
    for heading in ("rate, msg/s", "p50", "p99", "max", "share of a core"):
        lateness.add_column(heading, justify="right")
    for schedule in bench.schedules:
        lateness.add_row(*_schedule(schedule))
    for table in (throughput, lateness):
        if table.row_count:
            console.print(table)
    for failure in bench.failures:
        console.print(f"{_NOT_MEASURED}: {failure}", style="red", highlight=False, markup=False)
    if any(each.emulated for each in bench.comparisons) or any(each.emulated for each in bench.schedules):
        console.print("emulated: no measurement of Solace; the ratio to the bare loop on the same broker counts")
    console.print(_place(bench, host, harness, started_utc), highlight=False, markup=False, soft_wrap=True)


def to_json(bench: Bench, host: Host, harness: Harness, started_utc: str) -> dict[str, Any]:
    """Every round's figures, so that each median and ratio can be computed again."""
    return {
        "schema_version": SCHEMA,
        "started_utc": started_utc,
        "host": host.model_dump(),
        "harness": harness.model_dump(),
        "throughput": [
            asdict(one) | {name: _plain(getattr(one, name)) for name in _FIGURES} for one in bench.comparisons
        ],
        "lateness": [
            asdict(one) | {name: _plain(one.spread(name)) for name in ("p50_ms", "p99_ms", "max_ms", "processor")}
            for one in bench.schedules
        ],
        "not_measured": list(bench.failures),
    }


def _plain(spread: Spread | None) -> dict[str, float] | None:
    return None if spread is None else asdict(spread)


def _comparison(one: Comparison) -> list[str]:
    rates = (_spread(spread, "{:,.1f}", per=1000) for spread in (one.engine, one.bare, one.no_op))
    ratios = (_spread(spread, "{:.2f}") for spread in (one.to_bare, one.of_ceiling))
    return [_name(one.broker, one.emulated), one.work, f"{one.size:,} B", *ratios, *rates]


def _schedule(one: Schedule) -> list[str]:
    times = (_spread(one.spread(name), "{:.2f}") for name in ("p50_ms", "p99_ms", "max_ms"))
    return [_name(one.broker, one.emulated), f"{one.rate:,}", *times, _spread(one.spread("processor"), "{:.0%}")]


def _name(broker: str, emulated: bool) -> str:
    return f"{broker}\n(emulated)" if emulated else broker


def _spread(spread: Spread | None, form: str, per: float = 1) -> str:
    if spread is None:
        return _NOT_MEASURED
    middle, lowest, highest = (form.format(each / per) for each in (spread.median, spread.lowest, spread.highest))
    if spread.rounds == 1:
        return middle
    return f"{middle}\n{lowest}–{highest}"


def _place(bench: Bench, host: Host, harness: Harness, started_utc: str) -> str:
    commit = harness.commit or "no git checkout"
    changes = " with uncommitted changes" if harness.modified else ""
    return (
        f"{started_utc}, crep {harness.version}, commit {commit}{changes}\n"
        f"{host.cpu}, {host.cores} cores, {host.memory_bytes / 2**30:.0f} GiB, {host.system} {host.kernel}, "
        f"Python {host.python}; brokers and clients share this host"
    )
