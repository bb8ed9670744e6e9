"""What ``run`` and ``demo`` share: carry a campaign out before the user's eyes, write the report, print the summary."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from crep.harness.campaign import Campaign, run_campaign
from crep.harness.cli.judge import evaluate_folder
from crep.harness.config.address import Address
from crep.harness.config.errors import Interrupted
from crep.harness.load.contract import MakeEngines
from crep.harness.load.engines import Engines
from crep.harness.monitor.live import LiveView, Status
from crep.harness.runner import Stop
from crep.harness.runs.disk import require_writable, writing
from crep.harness.runs.read import find_runs

if TYPE_CHECKING:
    from crep.harness.workers.fleet import Fleet

WEB_PORT = 8089
"""Locust's own."""


@dataclass(frozen=True)
class Workers:
    """So many machines run the engines; ``listen`` and ``web`` are addresses of this one."""

    count: int
    listen: str
    web: str | None


def conduct(
    campaign: Campaign, *, report: bool, strict: bool = False, workers: Workers | None = None, stream: bool = False
) -> int:
    """Run, report, summarise; returns the exit code.

    Args:
        campaign: what is to be run.
        report: write the report.
        strict: what a target does not support is a failed check.
        workers: who runs the engines; None: this machine.
        stream: windows go to standard output, and the summary to standard error.
    """
    require_writable(campaign.results)
    lines: list[str] = []
    with Stop() as stop, LiveView() as view:
        with ExitStack() as cleanup:
            engines: MakeEngines = Engines
            if workers is not None:
                engines = cleanup.enter_context(_fleet(workers, campaign, view, stop)).engines
            elif stream:
                engines = _streamed()
            outcome = run_campaign(campaign, view, stop, evaluate_folder, strict=strict, engines=engines)
        if outcome.runs and report:
            view.event("writing the report")
            lines = _write_report(campaign, outcome.folder)
    console = Console(stderr=stream)
    for line in lines or [f"results: {outcome.folder}"]:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    return Interrupted.exit_code if stop.requested.is_set() else outcome.exit_code


@contextmanager
def _fleet(workers: Workers, campaign: Campaign, view: LiveView, stop: Stop) -> Iterator[Fleet]:
    from crep.harness.workers.fleet import PORT, Fleet  # noqa: PLC0415 - other runs need none of it

    web = None if workers.web is None else Address.parse(workers.web, port=WEB_PORT)
    with Fleet(workers.count, Address.parse(workers.listen, port=PORT), web=web, stop=stop.requested.set) as fleet:
        view.status = Status(run=campaign.name, phase="workers")
        fleet.assemble(view.event, stop.check)
        yield fleet


def _streamed() -> MakeEngines:
    from crep.harness.workers.stream import streamed  # noqa: PLC0415 - other runs need none of it

    return streamed(sys.stdout.buffer)


def _write_report(campaign: Campaign, folder: Path) -> list[str]:
    """The report of this campaign's runs, beside them and (newest) in the campaign's own folder; its summary."""
    # imported here: figures and tables take a second to load, which the first message would wait for
    from crep.reports import compile_comparison, render, summary_lines  # noqa: PLC0415

    comparison = compile_comparison(find_runs([folder]))
    newest = []
    for file in render(comparison, folder):
        copy = campaign.results / campaign.name / file.name
        with writing(copy):
            shutil.copyfile(file, copy)
        newest.append(copy)
    return summary_lines(comparison, newest)
