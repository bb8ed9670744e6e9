"""``crep export``: a run's histograms in a form that other tools read."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import rich_click as click
from rich.console import Console

from crep.harness.metrics.hdr import log
from crep.harness.metrics.histogram import Histogram
from crep.harness.runs.disk import replace_file
from crep.harness.runs.read import Run, find_runs

FILE = "histograms.hlog"


@click.command("export")
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RESULTS…")
def command(results: tuple[Path, ...]) -> int:
    """Write the histograms of every run under RESULTS as an HdrHistogram log (V2, compressed) into its folder.

    One tagged interval for each metric and place, over the whole measured phase: latency, service time, acknowledge
    latency and lateness in nanoseconds. Read it with any HdrHistogram log reader, or HistogramLogAnalyzer.
    """
    console = Console()
    for run in find_runs(results):
        intervals = list(intervals_of(run))
        started = run.document.t0_utc or run.document.started_utc
        text = log(datetime.fromisoformat(started).timestamp(), intervals)
        replace_file(run.path / FILE, text.encode("ascii"))
        console.print(f"{run.path / FILE}: {len(intervals)} histograms", highlight=False, markup=False, soft_wrap=True)
    return 0


def intervals_of(run: Run) -> Iterator[tuple[str, float, float, Histogram]]:
    """Tag, start and length (s), and samples, of everything that the run measured; what has no sample is left out."""
    measured_s = run.document.measured_s
    seconds = range(math.ceil(measured_s))
    places = {(one.channel, one.reader) for one in run.document.clients}
    for channel, reader in sorted(places, key=lambda place: (place[0], place[1] or "")):
        for metric in ("acknowledge", "lateness") if reader is None else ("latency", "service"):
            histogram = run.histogram(metric, channel, reader, seconds)
            if histogram.count:
                tag = f"{metric}:{channel}" + (f".{reader}" if reader else "")
                yield tag, 0.0, measured_s, histogram
