"""``crep validate``: is a scenario or campaign file right? Starts nothing."""

from __future__ import annotations

import rich_click as click
from rich.console import Console

from crep.harness.cli.inputs import parse_params
from crep.harness.scenario.library import scenario_path
from crep.harness.scenario.load import load_scenario
from crep.harness.scenario.plan import plan


@click.command("validate")
@click.argument("scenarios", nargs=-1, required=True, metavar="SCENARIO…")
@click.option("-p", "params", multiple=True, metavar="NAME=VALUE", help="set a parameter of the scenario; repeat it")
def command(scenarios: tuple[str, ...], params: tuple[str, ...]) -> int:
    """Check scenario files; every problem is named with file, line and column."""
    console = Console()
    for name in scenarios:
        scenario = load_scenario(scenario_path(name), parse_params(params))
        made = plan(scenario)
        messages = sum(publisher.count for publisher in made.publishers)
        console.print(
            f"{scenario.file_name}: ok, {scenario.name}: publishers: {len(made.publishers)}, messages: {messages:,}, "
            f"{made.warm_up_s + made.measured_s:.0f} s, faults: {len(made.timeline)}, "
            f"expectations: {len(made.expectations)}",
            highlight=False,
            soft_wrap=True,
        )
    return 0
