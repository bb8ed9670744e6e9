"""``crep doctor``: what earlier runs left behind, and to put it right."""

from __future__ import annotations

import rich_click as click
from rich.console import Console

from crep.harness.config.errors import EnvironmentFailure
from crep.harness.faults.leftovers import leftovers

FOUND, NOT_HEALED = 1, 3


@click.command(
    "doctor",
    epilog="Exit codes: 0 nothing was found, or all of it was healed · 1 something was found, and --heal was not given "
    "· 3 something could not be healed.",
)
@click.option("--heal", is_flag=True, help="put it right: heal faults, let paused brokers go on, start dead ones")
def command(heal: bool) -> int:
    """Look for what earlier runs left behind: faults that were never healed, paused or dead brokers, data folders.

    Only what crep itself recorded is looked at, and what a running crep is busy with is left to it.
    """
    console = Console(highlight=False, soft_wrap=True)
    found, failed = 0, 0
    for leftover in leftovers():
        found += 1
        if not heal:
            console.print(leftover.what, markup=False)
            continue
        try:
            console.print(f"{leftover.what}: {leftover.heal()}", markup=False)
        except EnvironmentFailure as error:
            failed += 1
            console.print(f"{leftover.what}: NOT HEALED: {error}", markup=False)
    if not found:
        console.print("nothing is left of earlier runs")
    elif not heal:
        console.print("crep doctor --heal puts it right")
    return NOT_HEALED if failed else FOUND if found and not heal else 0
