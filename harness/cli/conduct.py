"""What ``run`` and ``demo`` share: carry a campaign out before the user's eyes, write the report, print the summary."""

from __future__ import annotations

import shutil
from pathlib import Path

from rich.console import Console

from crep.harness.campaign import Campaign, run_campaign
from crep.harness.cli.judge import evaluate_folder
from crep.harness.config.errors import Interrupted
from crep.harness.monitor.live import LiveView
from crep.harness.runner import Stop
from crep.harness.runs.disk import require_writable, writing
from crep.harness.runs.read import find_runs


def conduct(campaign: Campaign, *, report: bool, strict: bool = False) -> int:
    """Run, report, summarise; returns the exit code. ``strict``: what a target does not support is a failed check."""
    require_writable(campaign.results)
    lines: list[str] = []
    with Stop() as stop, LiveView() as view:
        outcome = run_campaign(campaign, view, stop, evaluate_folder, strict=strict)
        if outcome.runs and report:
            view.event("writing the report")
            lines = _write_report(campaign, outcome.folder)
    console = Console()
    for line in lines or [f"results: {outcome.folder}"]:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    return Interrupted.exit_code if stop.requested.is_set() else outcome.exit_code


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
