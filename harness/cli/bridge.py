"""``crep bridge``: validate, try and run an enrichment bridge."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import rich_click as click
from rich.console import Console

from crep.enrichment.config import BridgeFile
from crep.enrichment.examples import check_examples
from crep.enrichment.load import load_bridge, read_bridge_file
from crep.enrichment.log import Log
from crep.enrichment.placed import PlacedBridge, Placement
from crep.enrichment.placed import placed as placed_route
from crep.enrichment.service import BridgeService
from crep.harness.cli.group import CommandGroup
from crep.harness.cli.options import TARGETS
from crep.harness.config.address import Address
from crep.harness.config.errors import UsageError
from crep.harness.config.targets import Target, find_target, load_targets
from crep.harness.deployment.reach import endpoint_of
from crep.harness.runner import Stop

if TYPE_CHECKING:
    from crep.harness.config.targets import System

CONFIG = click.argument("config", type=click.Path(path_type=Path), metavar="CONFIG")
ON = click.option(
    "--on", "binding", metavar="SITE=TARGET,…", help="targets of the bridge's sites, instead of those in the file"
)


@click.group("bridge", cls=CommandGroup)
def command() -> None:
    """Forward messages between buses, enriched on the way, with a ledger of what became of each."""


@command.command("validate")
@CONFIG
def validate(config: Path) -> int:
    """Check a bridge file with everything that it names: schemas, expressions, tables. Needs no broker."""
    with load_bridge(config) as bridge:
        routes, lookups, examples = bridge.file.routes, bridge.file.lookups, bridge.file.examples
        Console().print(
            f"{config}: bridge {bridge.file.bridge}, {len(routes)} route(s), {len(lookups)} lookup(s), "
            f"{len(examples)} example(s): valid",
            highlight=False,
        )
    return 0


@command.command("test")
@CONFIG
def test(config: Path) -> int:
    """Carry out the examples of a bridge file. Needs no broker; exit code 1 when one does not hold."""
    console, failed = Console(), 0
    with load_bridge(config) as bridge:
        if not bridge.file.examples:
            raise UsageError(f"{config}: has no 'examples' to carry out")
        for checked in check_examples(bridge):
            failed += bool(checked.differences)
            console.print(
                f"{'FAILED' if checked.differences else 'ok':<7}{checked.name}", highlight=False, markup=False
            )
            for difference in checked.differences:
                console.print(f"       {difference}", highlight=False, markup=False, soft_wrap=True)
        console.print(f"{len(bridge.file.examples) - failed} of {len(bridge.file.examples)} hold", highlight=False)
    return 1 if failed else 0


@command.command("run")
@CONFIG
@ON
@TARGETS
@click.option(
    "--metrics", default="127.0.0.1:0", show_default=True, metavar="HOST:PORT", help="/metrics and /health; 0: any port"
)
@click.option("--log", "form", type=click.Choice(["people", "json"]), default="people", show_default=True)
@click.option(
    "--placed", metavar="ROUTE", help="this route alone, between the objects that CREP_FROM_… and CREP_TO_… name"
)
@click.option("--instance", metavar="NAME", help="tells processes of one bridge apart; default: the process id")
def run(
    config: Path,
    binding: str | None,
    targets: Path | None,
    metrics: str,
    form: str,
    placed: str | None,
    instance: str | None,
) -> int:
    """Forward messages until Ctrl-C or SIGTERM, then settle what is under way and print the ledger.

    Several processes share a queue or a consumer group. Local targets must stand already: `crep broker start TARGET`.
    A run of crep starts it with `--placed`, and says by environment variables where the route reads and writes.
    """
    address = Address.parse(metrics, port=0)
    instance = instance or str(os.getpid())
    with Stop() as stop, ExitStack() as stack:
        if placed is not None:
            service: BridgeService = _placed(config, placed, instance, form, stack)
        else:
            service = _bound(config, binding, targets, instance, form, stack)
        offered = service.serve(address.host, address.port)
        click.echo(orjson.dumps({"ready": True, "pid": os.getpid(), "metrics": offered.address}).decode())
        try:
            service.run(stop.requested.is_set, stop.at_once.is_set)
        finally:
            offered.close()
        click.echo(orjson.dumps({"ledger": service.ledgers()}).decode())
    return 0


def _placed(config: Path, route: str, instance: str, form: str, stack: ExitStack) -> BridgeService:
    """One route, between the objects that the environment names."""
    placement = Placement.of(os.environ)
    bridge = stack.enter_context(load_bridge(config))
    file = placed_route(bridge.file, route, placement)
    bridge = replace(bridge, file=file)
    return PlacedBridge(bridge, placement, instance, Log(file.bridge, json=form == "json"))


def _bound(
    config: Path, binding: str | None, targets: Path | None, instance: str, form: str, stack: ExitStack
) -> BridgeService:
    """Every route, between the sites' targets."""
    bound = _bind(read_bridge_file(config), binding, load_targets(targets))
    systems: dict[str, System] = {site: target.system for site, target in bound.items()}
    bridge = stack.enter_context(load_bridge(config, systems))
    endpoints = {site: endpoint_of(target) for site, target in bound.items()}
    return BridgeService(bridge, endpoints, instance, Log(bridge.file.bridge, json=form == "json"))


def _bind(file: BridgeFile, binding: str | None, known: Mapping[str, Target]) -> dict[str, Target]:
    """Site → target: what ``--on`` says, else what the file says."""
    bound: dict[str, str] = {}
    for part in (binding or "").split(",") if binding else ():
        site, equals, target = (word.strip() for word in part.partition("="))
        if not equals or site not in file.sites:
            sites = ",".join(f"{name}=…" for name in file.sites)
            raise UsageError(f"--on {binding}: {part.strip()!r} names no site of this bridge; write --on {sites}")
        bound[site] = target
    for name, declared in file.sites.items():
        chosen = bound.get(name, declared.target)
        if chosen is None:
            raise UsageError(f"site {name!r} has no target: write one in the file, or --on {name}=TARGET")
        bound[name] = chosen
    return {name: find_target(chosen, known) for name, chosen in bound.items()}
