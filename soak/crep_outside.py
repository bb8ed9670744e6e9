"""A crep command of a trial: started in the trial's folder, found again by its mark, ended however the trial ends."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from crep.harness.cli.judge import plan_of
from crep.harness.runs.folder import DOCUMENT
from crep.harness.runs.read import Run, read_run
from tests.end_to_end.outside import Crep

NOTHING_WITHIN_S = 5.0


@contextlib.contextmanager
def crep_in(folder: Path) -> Iterator[Crep]:
    """The command; whatever carries its mark is killed at the end."""
    crep = Crep(folder)
    try:
        yield crep
    finally:
        for pid in crep.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def left_behind(crep: Crep) -> str:
    """What still runs of it after five seconds; empty when nothing does."""
    try:
        crep.assert_nothing_runs(NOTHING_WITHIN_S)
    except AssertionError as error:
        return str(error)
    return ""


def runs_in(folder: Path) -> list[Run]:
    """Every run below a results folder, read whole: its ledger, and the records that were kept.

    Raises:
        UsageError: a run cannot be read.
    """
    documents = [path for path in folder.rglob(DOCUMENT) if "latest" not in path.parts]
    runs = [read_run(path.parent) for path in sorted(documents)]
    for run in runs:
        run.tallies(plan_of(run))
        for client in run.document.clients:
            if client.publisher is not None:
                run.sent(client.publisher)
                run.outcomes(client.publisher)
            elif client.reader is not None and client.member is not None:
                run.receipts(client.channel, client.reader, client.member)
        len(run.events)
    return runs
