"""Figures of a `Comparison` as SVG text: the same bytes from the same data, colour-blind safe, grey where emulated."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from crep.reports import timelines
from crep.reports.comparison import Comparison, Curve, ScenarioComparison, Sweep
from crep.reports.drawing import (
    DASHES,
    GREYS,
    INK,
    LEGEND,
    MUTED,
    STYLE,
    WIDTH_IN,
    colours,
    draw_rates,
    dress_panel,
    legend,
)
from crep.reports.sweep import curve_of, places_of, subjects_of, sweep_name, variants_of

SWEEP_PERCENTILES = ("50", "99")
_LOG_FROM = 20.0
"""Values of a sweep that are so many times apart lie on a logarithmic axis."""
UNCOUNTED_SHOWN = 6
"""As many panels as fit one page."""
_PANELS = {"latency": "Latency, {}", "acknowledge": "Acknowledge latency, {}"}


def figures(comparison: Comparison) -> dict[str, str]:
    """Name → SVG for every picture that the story asks for."""
    drawn: dict[str, str] = {}
    with mpl.rc_context(STYLE):
        for scenario in comparison.scenarios:
            if has_latency_curve(scenario):
                drawn[latency_name(scenario)] = _svg(_latency(scenario))
            for channel in dict.fromkeys(s.channel for s in scenario.series):
                drawn |= _over_time(scenario, channel)
            if scenario.uncounted:
                drawn[uncounted_name(scenario)] = _svg(_uncounted(scenario))
        for one in comparison.sweeps:
            if places_of(variants_of(one, comparison.scenarios)):
                drawn[sweep_name(one)] = _svg(_sweep(one, comparison.scenarios))
    return drawn


def _over_time(scenario: ScenarioComparison, channel: str) -> dict[str, str]:
    if not scenario.faults:
        return {timeline_name(scenario, channel): _svg(_timeline(scenario, channel))}
    subjects = {row.subject for row in scenario.series if row.channel == channel}
    return {
        timelines.recovery_name(scenario, subject, channel): _svg(timelines.recovery(scenario, subject, channel))
        for subject in scenario.subjects
        if subject.key in subjects
    }


def uncounted_name(scenario: ScenarioComparison) -> str:
    """Name of the picture of the runs that are not counted."""
    return f"{scenario.label} {scenario.sha256[:8]} uncounted"


def has_latency_curve(scenario: ScenarioComparison) -> bool:
    """Whether any latency had samples enough to be drawn."""
    return any(curve.metric in _PANELS and curve.points for curve in scenario.curves)


def latency_name(scenario: ScenarioComparison) -> str:
    """Name of the picture of the scenario's latencies."""
    return f"{scenario.label} {scenario.sha256[:8]} latency"


def timeline_name(scenario: ScenarioComparison, channel: str) -> str:
    """Name of the picture of a channel over time."""
    return f"{scenario.label} {scenario.sha256[:8]} timeline {channel}"


def _latency(scenario: ScenarioComparison) -> Figure:
    places = sorted(
        {(c.metric, c.where) for c in scenario.curves if c.metric in _PANELS}, key=lambda p: (p[0] != "latency", p)
    )
    columns = min(len(places), 3)
    rows = -(-len(places) // columns)
    figure = Figure(figsize=(WIDTH_IN, 0.45 + 2.1 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    colour = colours(scenario.subjects)
    dashes = {s.key: DASHES[i % len(DASHES)] for i, s in enumerate(scenario.subjects)}
    handles: dict[str, Any] = {}
    for axis, (metric, where) in zip(axes.flat, places, strict=False):
        for curve in (c for c in scenario.curves if (c.metric, c.where) == (metric, where)):
            line = _draw_curve(axis, curve, colour[curve.subject], dashes[curve.subject])
            subject = scenario.subject(curve.subject)
            handles.setdefault(
                subject.title + (f" — {subject.standing.why}" if subject.kind != "measured" else ""), line
            )
        axis.set_title(_PANELS[metric].format(where))
    for axis in axes.flat[len(places) :]:
        axis.set_visible(False)
    _percentile_axis(axes, [c for c in scenario.curves if c.metric in _PANELS])
    figure.supxlabel("Percentile", fontsize=7, color=INK)
    figure.supylabel("Milliseconds, log scale", fontsize=7, color=INK)
    figure.legend(handles.values(), handles.keys(), loc="outside upper left", ncols=2, **LEGEND)
    return figure


def _draw_curve(axis: Any, curve: Curve, colour: str, dashes: Any) -> Any:
    points = [(1.0 / (1.0 - p / 100.0), max(ms, 1e-3)) for p, ms in curve.points]
    (line,) = axis.plot([x for x, _ in points], [y for _, y in points], color=colour, linestyle=dashes, linewidth=1.3)
    if points:
        axis.plot(*points[-1], marker="o", markersize=2.6, color=colour)
    return line


def _percentile_axis(axes: Any, curves: Sequence[Curve]) -> None:
    last = max((p for c in curves for p, _ in c.points), default=90.0)
    shown = [p for p in (50.0, 90.0, 99.0, 99.9, 99.99, 99.999) if p <= max(last, 50.0)]
    for axis in axes.flat:
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.xaxis.set_major_locator(FixedLocator([1.0 / (1.0 - p / 100.0) for p in shown]))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{100.0 * (1.0 - 1.0 / x):.5g}"))
        axis.xaxis.set_minor_locator(NullLocator())
        axis.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:,.6g}"))
        axis.yaxis.set_minor_locator(NullLocator())
        axis.tick_params(labelbottom=True)


def _timeline(scenario: ScenarioComparison, channel: str) -> Figure:
    """Per subject a panel of rates: runs without faults (those with some are drawn by ``timelines``)."""
    rows = [row for row in scenario.series if row.channel == channel]
    shown = [subject for subject in scenario.subjects if any(row.subject == subject.key for row in rows)]
    figure = Figure(figsize=(WIDTH_IN, 0.8 + 1.75 * len(shown)), layout="constrained")
    panels = figure.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
    top = max((v for row in rows for rate in row.rates.values() for v in rate), default=1.0) or 1.0
    colour = colours(scenario.subjects)
    for panel, subject in zip(panels, shown, strict=True):
        draw_rates(panel, [row for row in rows if row.subject == subject.key], colour[subject.key])
        dress_panel(panel, top)
        why = f" — {subject.standing.why}" if subject.standing.why else ""
        panel.set_title(subject.title + why, color=INK if subject.kind == "measured" else MUTED)
    panels[-1].set_xlabel("Seconds from the first measured message")
    figure.legend(handles=legend(rows), loc="outside upper left", ncols=4, **LEGEND)
    return figure


def _uncounted(scenario: ScenarioComparison) -> Figure:
    """A panel for each run and channel that enters no number, all in grey."""
    rows = scenario.uncounted[:UNCOUNTED_SHOWN]
    states = {run.run_id: run.state for run in scenario.runs}
    figure = Figure(figsize=(WIDTH_IN, 0.6 + 1.25 * len(rows)), layout="constrained")
    panels = figure.subplots(len(rows), 1, sharex=True, squeeze=False)[:, 0]
    for panel, row in zip(panels, rows, strict=True):
        draw_rates(panel, [row], GREYS[0])
        dress_panel(panel, max((v for rate in row.rates.values() for v in rate), default=1.0) or 1.0)
        who = f"{scenario.subject(row.subject).title}, {row.channel}, repetition {row.repetition}"
        panel.set_title(f"{who}: {states[row.run_id]}", color=MUTED)
    panels[-1].set_xlabel("Seconds from the first measured message")
    figure.legend(handles=legend(rows), loc="outside upper left", ncols=4, **LEGEND)
    return figure


def _sweep(sweep: Sweep, scenarios: Sequence[ScenarioComparison]) -> Figure:
    """A panel for each reader: median and p99 of the latency against the value, one colour per target."""
    variants = variants_of(sweep, scenarios)
    subjects, places = subjects_of(variants), places_of(variants)
    columns = min(len(places), 2)
    rows = -(-len(places) // columns)
    figure = Figure(figsize=(WIDTH_IN, 0.6 + 2.2 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    colour = colours(subjects)
    at = _sweep_axis(sweep)
    handles: dict[str, Any] = {}
    for axis, where in zip(axes.flat, places, strict=False):
        for subject in subjects:
            for percent, dashes, marker in zip(SWEEP_PERCENTILES, DASHES, "o^", strict=False):
                curves = [curve_of(variant, subject, where) for variant in variants]
                known = [(x, c.percentiles[percent].value) for x, c in zip(at, curves, strict=True) if c]
                drawn = [(x, y) for x, y in known if y is not None]
                (line,) = axis.plot(
                    [x for x, _ in drawn],
                    [y for _, y in drawn],
                    color=colour[subject.key],
                    linestyle=dashes,
                    marker=marker,
                    markersize=3,
                    linewidth=1.2,
                )
                why = f" — {subject.standing.why}" if subject.kind != "measured" else ""
                handles.setdefault(f"{subject.title}, p{percent}{why}", line)
        axis.set_title(f"Latency, {where}")
    for axis in axes.flat[len(places) :]:
        axis.set_visible(False)
    _dress_sweep(axes, sweep, at)
    figure.supxlabel(sweep.dimension, fontsize=7, color=INK)
    figure.supylabel("Milliseconds, log scale", fontsize=7, color=INK)
    figure.legend(handles.values(), handles.keys(), loc="outside upper left", ncols=2, **LEGEND)
    return figure


def _sweep_axis(sweep: Sweep) -> list[float]:
    """Where the values lie: by their numbers, or side by side where one is a word."""
    numbers = [point.number for point in sweep.points]
    known = [number for number in numbers if number is not None]
    return known if len(known) == len(numbers) else [float(place) for place in range(len(numbers))]


def _dress_sweep(axes: Any, sweep: Sweep, at: Sequence[float]) -> None:
    names = {x: point.value for x, point in zip(at, sweep.points, strict=True)}
    for axis in axes.flat:
        axis.set_yscale("log")
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        if min(at) > 0 and max(at) / min(at) >= _LOG_FROM:
            axis.set_xscale("log")
        axis.xaxis.set_major_locator(FixedLocator(list(at)))
        axis.xaxis.set_minor_locator(NullLocator())
        axis.xaxis.set_major_formatter(FuncFormatter(lambda x, _: names.get(x, "")))
        axis.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:,.6g}"))
        axis.yaxis.set_minor_locator(NullLocator())
        axis.tick_params(labelbottom=True)


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    return re.sub(r"^.*?(?=<svg)", "", text, count=1, flags=re.DOTALL)
