"""``crep schema``: the JSON Schema of a scenario, for editors."""

from __future__ import annotations

import json

import rich_click as click

from crep.harness.scenario.schema import json_schema


@click.command("schema")
def command() -> int:
    """Print the JSON Schema of scenario files (editors complete and check with it)."""
    click.echo(json.dumps(json_schema(), indent=2))
    return 0
