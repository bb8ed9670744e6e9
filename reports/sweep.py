"""One dimension varied: a scenario's variants side by side, as data and as blocks of the report (METHOD rule 11)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from crep.harness.config.units import parse_duration, parse_rate, parse_size
from crep.reports.blocks import NOTHING, Block, Cell, Column, Group, Heading, Picture, Table, count, listed, quantity
from crep.reports.comparison import Curve, Quantity, ScenarioComparison, Subject, Sweep, SweepPoint
from crep.reports.wording import badge, tone_of


def sweeps(scenarios: Sequence[ScenarioComparison]) -> tuple[Sweep, ...]:
    """Every scenario that was run with two values or more of a dimension, values in ascending order."""
    groups: dict[tuple[str, str, str], list[ScenarioComparison]] = {}
    for scenario in scenarios:
        for dimension in scenario.varied:
            groups.setdefault((scenario.name, scenario.sha256, dimension), []).append(scenario)
    return tuple(
        Sweep(name=name, sha256=sha256, dimension=dimension, points=_points(dimension, variants))
        for (name, sha256, dimension), variants in groups.items()
        if len(variants) > 1
    )


def _points(dimension: str, variants: Sequence[ScenarioComparison]) -> tuple[SweepPoint, ...]:
    numbers = [number_of(variant.varied[dimension]) for variant in variants]
    order = sorted(range(len(variants)), key=lambda i: (numbers[i] is None, numbers[i] or 0.0, i))
    return tuple(
        SweepPoint(value=variants[i].varied[dimension], number=numbers[i], label=variants[i].label) for i in order
    )


def number_of(value: str) -> float | None:
    """A rate, size, duration or plain number in its base unit; None for a word."""
    parsers: tuple[Callable[[str], float], ...] = (parse_rate, parse_size, parse_duration, float)
    for parse in parsers:
        try:
            return float(parse(value))
        except ValueError:
            continue
    return None


def sweep_name(sweep: Sweep) -> str:
    """Name of the picture."""
    return f"{sweep.name} {sweep.sha256[:8]} against {sweep.dimension}"


def variants_of(sweep: Sweep, scenarios: Sequence[ScenarioComparison]) -> list[ScenarioComparison]:
    """The scenario of each value, in the order of the points."""
    of = {one.label: one for one in scenarios if (one.name, one.sha256) == (sweep.name, sweep.sha256)}
    return [of[point.label] for point in sweep.points]


def subjects_of(variants: Sequence[ScenarioComparison]) -> list[Subject]:
    """Every subject of any variant, once."""
    return list({subject.key: subject for variant in variants for subject in variant.subjects}.values())


def places_of(variants: Sequence[ScenarioComparison]) -> list[str]:
    """The readers, as ``channel.reader``, whose latency had samples enough for a median with some value."""
    curves = (c for variant in variants for c in variant.curves if c.metric == "latency")
    return list(dict.fromkeys(c.where for c in curves if c.percentiles["50"].value is not None))


def curve_of(variant: ScenarioComparison, subject: Subject, where: str) -> Curve | None:
    """The latency of a reader in one variant."""
    found = (c for c in variant.curves if (c.subject, c.metric, c.where) == (subject.key, "latency", where))
    return next(found, None)


def blocks(sweep: Sweep, scenarios: Sequence[ScenarioComparison]) -> list[Block]:
    """The section of one sweep."""
    variants = variants_of(sweep, scenarios)
    if not places_of(variants):
        return []
    subjects = subjects_of(variants)
    durability = listed(list(dict.fromkeys(variant.durability for variant in variants)))
    values = listed([point.value for point in sweep.points])
    emulated = " Grey: emulated, not a measurement." if any(s.kind != "measured" for s in subjects) else ""
    picture = Picture(
        sweep_name(sweep),
        f"Latency against {sweep.dimension}: median and p99 over the whole measured phase, all counted runs of a value "
        f"merged; nothing else was changed. {durability}.{emulated}",
        f"Latency against {sweep.dimension}, at {values}, for {listed([s.title for s in subjects])}",
    )
    return [Heading(1, f"{sweep.name}: latency against {sweep.dimension}"), picture, _table(sweep, variants, subjects)]


def _table(sweep: Sweep, variants: Sequence[ScenarioComparison], subjects: Sequence[Subject]) -> Table:
    rows: list[tuple[Cell, ...] | Group] = []
    for where in places_of(variants):
        rows.append(Group(f"Reader {where}"))
        for subject in subjects:
            tone = tone_of(subject)
            for point, variant in zip(sweep.points, variants, strict=True):
                curve = curve_of(variant, subject, where)
                latencies = [curve.percentiles["50"], curve.percentiles["99"], curve.maximum] if curve else [None] * 3
                received = _received(variant, subject, where)
                numbers = (*latencies, *received)
                texts = [NOTHING if one is None else quantity(one, unit=False) for one in numbers]
                runs = sum(r.state == "counted" and r.subject == subject.key for r in variant.runs)
                first = Cell(point.value, tone, f"{subject.title}, {badge(subject)}")
                rows.append((first, *(Cell(text, tone) for text in texts), Cell(count(runs), tone)))
    names = ("p50 (ms)", "p99 (ms)", "Max (ms)", "Intended (msg/s)", "Received (msg/s)", "Runs")
    columns = (Column(sweep.dimension, "left", 4), *(Column(name, "right", 2) for name in names))
    return Table(
        "The same as numbers; rates are means over the measured phase, median over the runs.", columns, tuple(rows)
    )


def _received(variant: ScenarioComparison, subject: Subject, where: str) -> tuple[Quantity | None, Quantity | None]:
    channel, _, reader = where.partition(".")
    for row in variant.throughput:
        if (row.subject, row.channel) == (subject.key, channel):
            return row.rates.get("intended"), row.rates.get(f"received by {reader}")
    return None, None
