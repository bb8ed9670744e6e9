"""``crep find-rate``: the highest rate at which everything that a scenario expects still holds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import rich_click as click
from rich.console import Console

from crep.harness.cli.inputs import campaign_from, parse_params
from crep.harness.cli.judge import evaluate_folder
from crep.harness.cli.options import TARGETS
from crep.harness.config.errors import Interrupted, UsageError
from crep.harness.config.targets import Profile
from crep.harness.config.units import format_rate, parse_rate, parse_share
from crep.harness.findrate.conduct import Search, check, find_rate
from crep.harness.findrate.document import SearchDocument
from crep.harness.findrate.search import Bounds
from crep.harness.monitor.live import LiveView
from crep.harness.runner import Stop
from crep.harness.runs.disk import require_writable
from crep.harness.scenario import library
from crep.harness.scenario.load import load_scenario
from crep.harness.scenario.model import Scenario

_EXIT = {"found": 0, "never-failed": 0, "never-held": 1, "out-of-probes": 4, "interrupted": Interrupted.exit_code}


@click.command("find-rate")
@click.argument("scenario", default="sustained", metavar="[SCENARIO]")
@click.option("--on", "binding", required=True, metavar="BINDING", help="target, or site=target,site=target")
@click.option("--param", "parameter", default="rate", show_default=True, help="the scenario's parameter that is varied")
@click.option("--from", "start", default="1000/s", show_default=True, metavar="RATE", help="first rate tried")
@click.option("--least", default="10/s", show_default=True, metavar="RATE", help="no rate below is tried")
@click.option("--most", default="2000000/s", show_default=True, metavar="RATE", help="no rate above is tried")
@click.option("--within", default="4 %", show_default=True, metavar="SHARE", help="width of the answer")
@click.option("--confirm", type=click.IntRange(min=1), default=2, show_default=True, help="runs at each of its ends")
@click.option("--probes", type=click.IntRange(min=1), default=40, show_default=True, help="most runs in all")
@click.option("-p", "params", multiple=True, metavar="NAME=VALUE", help="set another parameter; repeat it")
@click.option("--profile", type=click.Choice(["default", "quick"]), help="broker profile, instead of the target's own")
@TARGETS
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("results"), show_default=True, help="folder of all results"
)
@click.option("--name", metavar="NAME", help="name of the campaign; default: find-rate")
def command(
    scenario: str,
    binding: str,
    parameter: str,
    start: str,
    least: str,
    most: str,
    within: str,
    confirm: int,
    probes: int,
    params: tuple[str, ...],
    profile: Profile | None,
    targets: Path | None,
    out: Path,
    name: str | None,
) -> int:
    """Search the highest rate at which a scenario holds: schedule, thresholds, no loss, no growing backlog.

    SCENARIO (default: sustained) is a file or a name, without a timeline. Each probe is a whole run, and is kept.
    """
    bounds = _bounds(start, least, most, within, confirm, probes)
    given = parse_params(params)
    if parameter in given:
        raise UsageError(f"-p {parameter}=…: this parameter is the one that is varied", hint="use --from RATE")
    path = library.scenario_path(scenario)

    def scenario_at(rate: str) -> Scenario:
        return load_scenario(path, {**given, parameter: rate})

    campaign = campaign_from(
        (scenario,),
        bindings=(binding,),
        params=(*params, f"{parameter}={format_rate(bounds.start)}"),
        repeat=1,
        profile=profile,
        targets=targets,
        out=out,
        name=name or "find-rate",
    )
    search = Search(campaign=campaign, scenario_at=scenario_at, parameter=parameter, bounds=bounds)
    check(search)
    require_writable(out)
    with Stop() as stop, LiveView() as view:
        found, file = find_rate(search, view, stop, evaluate_folder)
    for line in (*lines(found), f"every probe: {file}"):
        Console().print(line, highlight=False, markup=False, soft_wrap=True)
    return _EXIT[found.ended]


def _bounds(start: str, least: str, most: str, within: str, confirm: int, probes: int) -> Bounds:
    texts = (("--from", start), ("--least", least), ("--most", most))
    first, lowest, highest = (_quantity(option, text, parse_rate) for option, text in texts)
    try:
        tolerance = _quantity("--within", within, parse_share)
        return Bounds(first, lowest, highest, tolerance, confirm, probes)
    except ValueError as error:
        raise UsageError(f"--from {start} --least {least} --most {most} --within {within}: {error}") from None


def _quantity(option: str, text: str, parse: Callable[[object], float]) -> float:
    try:
        return parse(text)
    except ValueError as error:
        raise UsageError(f"{option} {text}: {error}") from None


def lines(found: SearchDocument) -> list[str]:
    """What was found, in words: the number, its interval, and what gave way."""
    low, high = found.highest_held_per_s, found.lowest_failed_per_s
    held, failed = (None if rate is None else format_rate(rate) for rate in (low, high))
    what = f"{found.binding}, scenario {found.scenario}"
    match found.ended:
        case "found":
            said = [f"{what}: holds {held}; the limit lies between {held} and {failed}"]
        case "never-failed":
            said = [f"{what}: holds {held}, the highest rate that was tried; the limit lies above (--most)"]
        case "never-held":
            said = [f"{what}: does not hold {failed}, the lowest rate that was tried (--least)"]
        case _:
            ended = "interrupted" if found.ended == "interrupted" else "ended before it was done (--probes)"
            between = f"between {held or '0/s'} and {failed or 'any rate'}"
            said = [f"{what}: the search was {ended}; so far the limit lies {between}"]
    at_ends = {rate: sum(probe.rate_per_s == rate for probe in found.probes) for rate in (low, high) if rate}
    said.append(
        f"probes: {len(found.probes)}, of which "
        + ", ".join(f"{count} at {format_rate(rate)}" for rate, count in at_ends.items())
        if at_ends
        else f"probes: {len(found.probes)}"
    )
    if failed is not None:
        said += [f"gave way at {failed}: {reason} ({count})" for reason, count in found.gave_way.items()]
    if any("co-located" in probe.labels for probe in found.probes if probe.rate_per_s == high):
        said.append("co-located: the host's processors were busy there: the machine may be the limit, not the broker")
    if found.client_bound:
        said.append("client-bound: the clients were at their own limit there, so the broker's may lie higher")
    if found.genuineness != "genuine" and found.probes:
        said.append(f"{found.genuineness}: this says nothing about the speed of the product itself")
    return said
