"""``crep run``: scenarios or campaign files against bindings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import rich_click as click

from crep.harness.cli.conduct import Workers, conduct
from crep.harness.cli.inputs import campaign_from
from crep.harness.cli.options import TARGETS
from crep.harness.config.errors import UsageError
from crep.harness.config.targets import Profile


@click.command("run")
@click.argument("what", nargs=-1, required=True, metavar="SCENARIO|CAMPAIGN…")
@click.option(
    "--on", "bindings", multiple=True, metavar="BINDING", help="target, or site=target,site=target; repeat it"
)
@click.option("-p", "params", multiple=True, metavar="NAME=VALUE", help="set a parameter of the scenario; repeat it")
@click.option("--repeat", type=click.IntRange(min=1), help="repetitions, instead of the scenario's own")
@click.option("--profile", type=click.Choice(["default", "quick"]), help="broker profile, instead of the target's own")
@TARGETS
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("results"), show_default=True, help="folder of all results"
)
@click.option("--name", metavar="NAME", help="name of the campaign; default: the first file's")
@click.option("--strict", is_flag=True, help="exit 1, not 0, where a target does not support a scenario")
@click.option("--record", is_flag=True, help="keep the times of every message, of up to 10,000,000 in a run")
@click.option("--workers", type=click.IntRange(min=1), metavar="N", help="engines run on N machines: see crep worker")
@click.option(
    "--listen",
    default="127.0.0.1:5557",
    show_default=True,
    metavar="HOST[:PORT]",
    help="where workers join; 0.0.0.0 from other machines too",
)
@click.option("--web", metavar="HOST[:PORT]", help="Locust's web page with live figures (with --workers; port 8089)")
@click.option("--stream", is_flag=True, help="say on standard output, as lines of JSON, what is measured")
@click.option("--no-report", is_flag=True, help="leave out the PDF and the page")
def command(
    what: tuple[str, ...],
    bindings: tuple[str, ...],
    params: tuple[str, ...],
    repeat: int | None,
    profile: Profile | None,
    targets: Path | None,
    out: Path,
    name: str | None,
    strict: bool,
    record: bool,
    workers: int | None,
    listen: str,
    web: str | None,
    stream: bool,
    no_report: bool,
) -> int:
    """Run scenarios on brokers, check every message, and write a report.

    SCENARIO and CAMPAIGN are files, or names that `crep list scenarios` prints.
    """
    campaign = campaign_from(
        what, bindings=bindings, params=params, repeat=repeat, profile=profile, targets=targets, out=out, name=name
    )
    if web is not None and workers is None:
        raise UsageError("--web shows what workers measure", hint="add --workers N")
    if stream and workers is not None:
        raise UsageError("--stream is for engines of this machine", hint="leave out --workers, or look at --web")
    fleet = None if workers is None else Workers(workers, listen, web)
    return conduct(replace(campaign, record=record), report=not no_report, strict=strict, workers=fleet, stream=stream)
