"""``crep validate``: is a scenario or campaign file right? Starts nothing."""

from __future__ import annotations

from pathlib import Path

import rich_click as click
from rich.console import Console

from crep.harness.cli.inputs import campaign_from, check_services, parse_params
from crep.harness.cli.options import TARGETS
from crep.harness.scenario.campaign import is_campaign
from crep.harness.scenario.library import scenario_path
from crep.harness.scenario.load import load_variants
from crep.harness.scenario.model import Scenario
from crep.harness.scenario.plan import plan


@click.command("validate")
@click.argument("files", nargs=-1, required=True, metavar="SCENARIO|CAMPAIGN…")
@click.option("-p", "params", multiple=True, metavar="NAME=VALUE", help="set a parameter of the scenario; repeat it")
@TARGETS
def command(files: tuple[str, ...], params: tuple[str, ...], targets: Path | None) -> int:
    """Check scenario and campaign files; every problem is named with file, line and column."""
    console = Console()
    for name in files:
        path = scenario_path(name)
        said = _campaign(path, params, targets) if is_campaign(path) else _scenario(path, params)
        console.print(said, highlight=False, markup=False, soft_wrap=True)
    return 0


def _scenario(path: Path, params: tuple[str, ...]) -> str:
    return "\n".join(_variant(scenario) for scenario in load_variants(path, parse_params(params)))


def _variant(scenario: Scenario) -> str:
    made = plan(scenario)
    check_services(scenario)
    messages = sum(publisher.count for publisher in made.publishers)
    return (
        f"{scenario.file_name}: ok, {scenario.label}: publishers: {len(made.publishers)}, messages: {messages:,}, "
        f"{made.warm_up_s + made.measured_s:.0f} s, faults: {len(made.timeline)}, "
        f"expectations: {len(made.expectations)}"
    )


def _campaign(path: Path, params: tuple[str, ...], targets: Path | None) -> str:
    campaign = campaign_from(
        (str(path),), bindings=(), params=params, repeat=None, profile=None, targets=targets, out=Path(), name=None
    )
    for part in campaign.parts:
        plan(part.scenario)
    runs = sum(part.repeat * len(part.bindings) for part in campaign.parts)
    return f"{path}: ok, campaign {campaign.name}: scenarios: {len(campaign.parts)}, measured runs: {runs}"
