"""``crep init``: a commented scenario to start from."""

from __future__ import annotations

import re
from pathlib import Path

import rich_click as click
from rich.console import Console

from crep.harness.cli.inputs import require_name
from crep.harness.config.errors import EnvironmentFailure, UsageError
from crep.harness.scenario.library import template


@click.command("init")
@click.argument("name")
def command(name: str) -> int:
    """Write NAME.yaml, a commented scenario that runs as it is."""
    require_name(name, "crep init")
    path = Path(f"{name}.yaml")
    named = re.sub(r"^scenario: .*$", f"scenario: {name}", template(), count=1, flags=re.MULTILINE)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(named)
    except FileExistsError:
        raise UsageError(f"{path} exists already", hint="choose another name, or remove the file") from None
    except OSError as error:
        raise EnvironmentFailure(f"{path} cannot be written: {error.strerror}") from None
    Console().print(
        f"{path} written. Next:\n  crep validate {path}\n  crep run {path} --on kafka-local --repeat 1",
        highlight=False,
        soft_wrap=True,
    )
    return 0
