"""``crep demo``: the built-in scenario on a real Apache Kafka and on the Solace emulator."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from crep.harness.cli.conduct import conduct
from crep.harness.cli.inputs import campaign_from


@click.command("demo")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("results"), show_default=True, help="folder of all results"
)
@click.option("--repeat", type=click.IntRange(min=1), help="repetitions, instead of the scenario's own 2")
@click.option("-p", "params", multiple=True, metavar="NAME=VALUE", help="set a parameter of the scenario; repeat it")
def command(out: Path, repeat: int | None, params: tuple[str, ...]) -> int:
    """Kill a broker under load on Apache Kafka (real) and on the Solace emulator, and report what it cost.

    Leaves OUT/demo/report.pdf, report.html and report.json. Profile quick: short time-outs, labelled as such.
    """
    campaign = campaign_from(
        ("demo",),
        bindings=(),
        params=params,
        repeat=repeat,
        profile=None,
        targets=None,
        out=out,
        name=None,
    )
    return conduct(campaign, report=True)
