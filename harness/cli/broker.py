"""``crep broker``: local brokers that outlive a command."""

from __future__ import annotations

from pathlib import Path

import rich_click as click
from rich.console import Console
from rich.table import Table

from crep.harness.cli.group import CommandGroup
from crep.harness.cli.options import TARGETS
from crep.harness.config.targets import Profile, find_target, load_targets
from crep.harness.deployment import standing


@click.group("broker", cls=CommandGroup)
def command() -> None:
    """Start and stop local brokers that stay between runs; `crep run` uses them when they are there."""


@command.command("start")
@click.argument("target")
@click.option("--profile", type=click.Choice(["default", "quick"]), help="instead of the target's own")
@TARGETS
def start(target: str, profile: Profile | None, targets: Path | None) -> int:
    """Start TARGET and leave it running."""
    chosen = find_target(target, load_targets(targets))
    if profile is not None:
        chosen = chosen.with_profile(profile)
    console = Console()
    broker = standing.start_standing(chosen, lambda text: console.print(f"{target}: {text}", highlight=False))
    console.print(f"{target}: running at {broker.address}", highlight=False)
    return 0


@command.command("stop")
@click.argument("target")
def stop(target: str) -> int:
    """Stop TARGET, if `crep broker start` started it, and remove its data."""
    Console().print(
        f"{target}: stopped" if standing.stop_standing(target) else f"{target}: was not running", highlight=False
    )
    return 0


@command.command("status")
def status() -> int:
    """List the brokers that are running."""
    brokers = standing.status()
    if not brokers:
        Console().print("no broker is running; start one with: crep broker start kafka-local", highlight=False)
        return 0
    table = Table(box=None, pad_edge=False)
    for heading in ("TARGET", "PROFILE", "STATE", "PID", "ADDRESS"):
        table.add_column(heading)
    for broker in brokers:
        table.add_row(broker.target, broker.profile, broker.state, str(broker.pid or ""), broker.address)
    Console().print(table)
    return 0


@command.command("logs")
@click.argument("target")
@click.option("-n", "lines", type=click.IntRange(min=1), default=50, show_default=True, help="how many lines")
def logs(target: str, lines: int) -> int:
    """Print the last lines of TARGET's log."""
    for line in standing.logs(target, lines):
        click.echo(line)
    return 0
