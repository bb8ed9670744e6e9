"""``crep verify``: compute a run's verdicts again from its folder and compare them with what it says."""

from __future__ import annotations

from pathlib import Path

import rich_click as click
from rich.console import Console

from crep.harness.cli.judge import contradictions
from crep.harness.runs.read import find_runs


@click.command("verify")
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RESULTS…")
def command(results: tuple[Path, ...]) -> int:
    """Recompute every count, percentile and verdict of the runs under RESULTS from what their folders keep.

    Counts come from the ledger's bitmaps, and where the run kept its records (runs with faults, control runs, --record)
    once more from these, message by message. Taken from run.json as they stand: when faults came, how the drain ended,
    and what the broker is.

    Exit code 1 where a run folder says something else than it holds.
    """
    runs = find_runs(results)
    console, differing = Console(), 0
    for run in runs:
        document = run.document
        which = "control run" if document.kind == "control" else f"repetition {document.repetition}"
        title = f"{document.scenario.name} on {document.binding}, {which}"
        if wrong := contradictions(run):
            differing += 1
            parts = ", ".join(wrong)
            console.print(f"{title}: run.json differs from its own folder: {parts}", style="red", highlight=False)
        elif document.results is None:
            console.print(f"{title}: {run.state}, nothing was claimed", highlight=False)
        else:
            receipts = sum(reader.receipts for reader in document.results.readers)
            source = "the records" if document.records_kept else "the ledger"
            console.print(f"{title}: confirmed from {source} of {receipts:,} receipts", highlight=False)
    return 1 if differing else 0
