"""``crep list``: what there is to choose from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import rich_click as click
from rich.console import Console
from rich.table import Table

from crep.harness.brokers.mapping import load_mapping, mapping_names
from crep.harness.cli.group import CommandGroup
from crep.harness.cli.options import TARGETS
from crep.harness.config.targets import load_targets
from crep.harness.faults.registry import FAULTS
from crep.harness.scenario import library
from crep.harness.scenario.expectation import METRICS, Metric
from crep.harness.scenario.load import load_scenario

_FAULTY_MESSAGES = (
    ("defects: {poison: SHARE}", "readers with dead_letters fail to process it, each time", "all; Kafka: workaround"),
    (
        "defects: {oversize: SHARE}",
        "twice as large as the channel's max_size",
        "all; Solace: where a reader has a queue",
    ),
    ("message: {ttl: TIME}", "outlives its time while no reader comes for it", "Solace"),
)


@click.group("list", cls=CommandGroup)
def command() -> None:
    """Print scenarios, targets, mappings, faults, metrics or requirements."""


def _print(headings: Sequence[str], rows: Iterable[Sequence[str]], *, first_in_one_line: bool = True) -> None:
    table = Table(box=None, pad_edge=False)
    for place, heading in enumerate(headings):  # names are there to be copied
        table.add_column(heading.upper(), overflow="fold", no_wrap=place == 0 and first_in_one_line)
    for row in rows:
        table.add_row(*row)
    Console().print(table)


@command.command("scenarios")
def scenarios() -> int:
    """The built-in scenarios; `crep run NAME` runs one."""
    made = [load_scenario(path) for path in library.built_in_scenarios().values()]
    _print(
        ("name", "what", "evidences"),
        [(scenario.name, scenario.title, ", ".join(scenario.evidences)) for scenario in made],
    )
    return 0


@command.command("targets")
@TARGETS
def targets(targets: Path | None) -> int:
    """The targets that `--on` takes."""
    rows = [
        (target.name, target.system, target.source, target.profile, target.mapping or "(the system's default)")
        for target in load_targets(targets).values()
    ]
    _print(("name", "system", "source", "profile", "mapping"), rows)
    return 0


@command.command("mappings")
def mappings() -> int:
    """How a channel becomes native objects: the mapping files."""
    made = [load_mapping(name) for name in mapping_names()]
    _print(("name", "version", "summary"), [(m.name, str(m.version), m.summary) for m in made])
    return 0


@command.command("faults")
def faults() -> int:
    """What a timeline can do."""
    rows = [(kind.action, kind.summary, kind.parameters, kind.targets) for kind in FAULTS.values()]
    _print(("action", "what", "parameters", "targets that can"), rows)
    click.echo("\nMessages that are meant to go wrong are asked for where the load is:\n")
    _print(("key of a load entry", "what", "targets that can"), _FAULTY_MESSAGES)
    return 0


@command.command("metrics")
def metrics() -> int:
    """What an expectation can be about."""
    rows = [
        (
            _written(metric),
            f"of a {metric.level}",
            metric.unit,
            metric.kind,
            metric.meaning,
        )
        for metric in METRICS
    ]
    _print(("metric", "subject", "unit", "kind", "meaning"), rows, first_in_one_line=False)
    return 0


def _written(metric: Metric) -> str:
    if not metric.statistics:
        return metric.name
    [first, *more] = metric.statistics
    return f"{metric.name}.{first}" if not more else f"{metric.name}.{{{', '.join(metric.statistics)}}}"


@command.command("requirements")
def requirements() -> int:
    """The seventeen requirements that scenarios give evidence for."""
    _print(("id", "requirement"), list(library.requirements().items()))
    return 0
