"""What the processes of local brokers used while measuring, as data and as a table (METHOD rules 12 and 17)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from crep.harness.checks.usage import NodeUse
from crep.reports.blocks import NOTHING, Block, Cell, Column, Heading, Table, Tone, quantity, spread
from crep.reports.comparison import Quantity, ScenarioComparison, UsageRow
from crep.reports.gather import Origin, RunData, over_runs, results_of
from crep.reports.wording import counted_in, tone_of

_MB = 1e6
_OF: dict[str, tuple[str, Callable[[NodeUse], float | None]]] = {
    "Processor, mean": ("cores", lambda use: use.cpu_mean),
    "Processor, highest": ("cores", lambda use: use.cpu_max),
    "Memory, highest": ("MB", lambda use: use.memory_max_bytes / _MB),
    "To disk": ("MB/s", lambda use: _mega(use.written_per_s)),
    "From disk": ("MB/s", lambda use: _mega(use.read_per_s)),
    "Loopback, host": ("MB/s", lambda use: _mega(use.loopback_per_s)),
    "Stopped for garbage": ("ms", lambda use: None if use.collecting_s is None else use.collecting_s * 1000),
}


def _mega(value: float | None) -> float | None:
    return None if value is None else value / _MB


def usage(origin: Origin, runs: Sequence[RunData]) -> tuple[UsageRow, ...]:
    """One row for each node that was watched: median and range over the runs."""
    found = [{(use.site, use.node): use for use in results_of(run).usage} for run in runs]
    nodes = dict.fromkeys(node for of in found for node in of)
    return tuple(
        UsageRow(
            subject=origin.subject,
            site=site,
            node=node,
            cores=max(of[site, node].cores for of in found if (site, node) in of),
            used={
                name: over_runs([_of(of.get((site, node)), value) for of in found], unit, origin, runs)
                for name, (unit, value) in _OF.items()
            },
        )
        for site, node in nodes
    )


def _of(use: NodeUse | None, value: Callable[[NodeUse], float | None]) -> float | None:
    return None if use is None else value(use)


def blocks(scenario: ScenarioComparison) -> list[Block]:
    """The table; nothing where no broker ran on this host."""
    if not scenario.usage:
        return []
    rows = []
    for row in scenario.usage:
        subject = scenario.subject(row.subject)
        tone = tone_of(subject)
        first = Cell(subject.title, tone, f"{row.node}, may use {row.cores} cores")
        rows.append((first, *(_cell(row.used[name], tone) for name in _OF)))
    columns = (
        Column("Target and node", "left", 3),
        *(Column(f"{name} ({unit})", "right", 2) for name, (unit, _) in _OF.items()),
    )
    caption = (
        f"What the broker's process used over the measured phase, looked at once a second; {counted_in(scenario)}, "
        f"median, range below. {scenario.durability}. Disk: bytes that reached the storage layer. Loopback: of the "
        f"whole host, clients included. {NOTHING}: not known, or no Java virtual machine."
    )
    return [Heading(1, "What the broker's process used"), Table(caption, columns, tuple(rows))]


def _cell(value: Quantity, tone: Tone) -> Cell:
    return Cell(quantity(value, unit=False), tone, spread(value))
