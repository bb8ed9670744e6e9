"""What ``run`` and ``demo`` share: carry a campaign out before the user's eyes, write the report, print the summary."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from crep.harness.campaign import Campaign, Outcome, run_campaign
from crep.harness.cli.judge import evaluate_folder
from crep.harness.config.errors import Interrupted
from crep.harness.monitor.live import LiveView, Status
from crep.harness.runner import Stop
from crep.harness.runs.disk import require_writable, writing
from crep.harness.runs.read import find_runs

WEB_PORT = 8089
"""Locust's own."""


@dataclass(frozen=True)
class Workers:
    """So many machines run the engines; ``listen`` and ``web`` are addresses of this one."""

    count: int
    listen: str
    web: str | None


def conduct(campaign: Campaign, *, report: bool, strict: bool = False, workers: Workers | None = None) -> int:
    """Run, report, summarise; returns the exit code.

    Args:
        campaign: what is to be run.
        report: write the report.
        strict: what a target does not support is a failed check.
        workers: who runs the engines; None: this machine.
    """
    require_writable(campaign.results)
    lines: list[str] = []
    with Stop() as stop, LiveView() as view:
        if workers is None:
            outcome = run_campaign(campaign, view, stop, evaluate_folder, strict=strict)
        else:
            outcome = _run_with(workers, campaign, view, stop, strict=strict)
        if outcome.runs and report:
            view.event("writing the report")
            lines = _write_report(campaign, outcome.folder)
    console = Console()
    for line in lines or [f"results: {outcome.folder}"]:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    return Interrupted.exit_code if stop.requested.is_set() else outcome.exit_code


def _run_with(workers: Workers, campaign: Campaign, view: LiveView, stop: Stop, *, strict: bool) -> Outcome:
    from crep.harness.workers.fleet import Address, Fleet  # noqa: PLC0415 - other runs need none of it

    web = None if workers.web is None else Address.parse(workers.web, port=WEB_PORT)
    with Fleet(workers.count, Address.parse(workers.listen), web=web, stop=stop.requested.set) as fleet:
        view.status = Status(run=campaign.name, phase="workers")
        fleet.assemble(view.event, stop.check)
        return run_campaign(campaign, view, stop, evaluate_folder, strict=strict, engines=fleet.engines)


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
