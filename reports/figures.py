"""Figures of a `Comparison` as SVG text: the same bytes from the same data, colour-blind safe, grey where emulated.

Colours are those of Okabe and Ito (https://jfly.uni-koeln.de/color/), which keep apart under the common kinds of colour
blindness; line styles and labels say the same again without colour.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from crep.reports.comparison import Comparison, Curve, FaultRow, ScenarioComparison, Series, Subject, Sweep
from crep.reports.sweep import curve_of, places_of, subjects_of, sweep_name, variants_of

INK, MUTED, RULE, DOWN, BROKEN = "#1d252c", "#5f6a73", "#d5dbe0", "#eceff1", "#c3cad0"
MEASURED = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
GREYS = ("#6e767d", "#a3a9ae", "#54595e", "#8b9196")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (6, 1.5, 1.5, 1.5)))
RECEIVED_DASHES: tuple[Any, ...] = ((0, (5, 1.5)), (0, (6, 1.5, 1.5, 1.5)), (0, (3, 1)))
WIDTH_IN = 6.9
SWEEP_PERCENTILES = ("50", "99")
_LOG_FROM = 20.0
"""Values of a sweep that are so many times apart lie on a logarithmic axis."""
UNCOUNTED_SHOWN = 6
"""As many panels as fit one page."""
_LEGEND: dict[str, Any] = {"fontsize": 6.5, "handlelength": 2.2, "columnspacing": 1.4}
_PANELS = {"latency": "Latency, {}", "acknowledge": "Acknowledge latency, {}"}
_STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 7.0,
    "svg.fonttype": "path",
    "svg.hashsalt": "crep",
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 7.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.4,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.width": 0.5,
    "ytick.major.width": 0.5,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "legend.frameon": False,
    "lines.solid_capstyle": "round",
}


def figures(comparison: Comparison) -> dict[str, str]:
    """Name → SVG for every picture that the story asks for."""
    drawn: dict[str, str] = {}
    with mpl.rc_context(_STYLE):
        for scenario in comparison.scenarios:
            if has_latency_curve(scenario):
                drawn[latency_name(scenario)] = _svg(_latency(scenario))
            for channel in dict.fromkeys(s.channel for s in scenario.series):
                drawn[timeline_name(scenario, channel)] = _svg(_timeline(scenario, channel))
            if scenario.uncounted:
                drawn[uncounted_name(scenario)] = _svg(_uncounted(scenario))
        for one in comparison.sweeps:
            if places_of(variants_of(one, comparison.scenarios)):
                drawn[sweep_name(one)] = _svg(_sweep(one, comparison.scenarios))
    return drawn


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


def colours(subjects: Sequence[Subject]) -> dict[str, str]:
    """Subject → colour: hues for measured targets, greys for all others."""
    measured = [s.key for s in subjects if s.kind == "measured"]
    others = [s.key for s in subjects if s.kind != "measured"]
    hues = {key: MEASURED[i % len(MEASURED)] for i, key in enumerate(measured)}
    return hues | {key: GREYS[i % len(GREYS)] for i, key in enumerate(others)}


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
    figure.legend(handles.values(), handles.keys(), loc="outside upper left", ncols=2, **_LEGEND)
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
    """Per subject a panel of rates and, where there were faults, a strip with a line per run below it."""
    rows = [row for row in scenario.series if row.channel == channel]
    shown = [subject for subject in scenario.subjects if any(row.subject == subject.key for row in rows)]
    faults = {s.key: [fault for fault in scenario.faults if fault.subject == s.key] for s in shown}
    repetitions = max((len({fault.repetition for fault in found}) for found in faults.values()), default=0)
    ratios = [1.0, 0.09 * repetitions + 0.03] if repetitions else [1.0]
    figure = Figure(figsize=(WIDTH_IN, 0.8 + 1.75 * sum(ratios) * len(shown)), layout="constrained")
    grid = figure.subplots(len(ratios) * len(shown), 1, sharex=True, squeeze=False, height_ratios=ratios * len(shown))
    top = max((v for row in rows for rate in row.rates.values() for v in rate), default=1.0) or 1.0
    colour = colours(scenario.subjects)
    for i, subject in enumerate(shown):
        panel, *strips = grid[i * len(ratios) : (i + 1) * len(ratios), 0]
        _draw_rates(panel, [row for row in rows if row.subject == subject.key], colour[subject.key])
        _dress_panel(panel, top)
        why = f" — {subject.standing.why}" if subject.standing.why else ""
        panel.set_title(subject.title + why, color=INK if subject.kind == "measured" else MUTED)
        for strip in strips:
            _draw_faults(panel, strip, faults[subject.key], colour[subject.key])
    grid[-1, 0].set_xlabel("Seconds from the first measured message")
    last = grid[-1, 0]
    last.tick_params(bottom=True, labelbottom=True)
    last.spines["bottom"].set_visible(True)
    figure.legend(handles=_legend(rows, faults=bool(repetitions)), loc="outside upper left", ncols=4, **_LEGEND)
    return figure


def _uncounted(scenario: ScenarioComparison) -> Figure:
    """A panel for each run and channel that enters no number, all in grey."""
    rows = scenario.uncounted[:UNCOUNTED_SHOWN]
    states = {run.run_id: run.state for run in scenario.runs}
    figure = Figure(figsize=(WIDTH_IN, 0.6 + 1.25 * len(rows)), layout="constrained")
    panels = figure.subplots(len(rows), 1, sharex=True, squeeze=False)[:, 0]
    for panel, row in zip(panels, rows, strict=True):
        _draw_rates(panel, [row], GREYS[0])
        _dress_panel(panel, max((v for rate in row.rates.values() for v in rate), default=1.0) or 1.0)
        who = f"{scenario.subject(row.subject).title}, {row.channel}, repetition {row.repetition}"
        panel.set_title(f"{who}: {states[row.run_id]}", color=MUTED)
    panels[-1].set_xlabel("Seconds from the first measured message")
    figure.legend(handles=_legend(rows, faults=False), loc="outside upper left", ncols=4, **_LEGEND)
    return figure


def _dress_panel(panel: Any, top: float) -> None:
    panel.set_ylim(0, top * 1.08)
    panel.set_ylabel("Messages per second")
    panel.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:,.0f}"))


def _dash_of(name: str, names: Sequence[str]) -> Any:
    received = [n for n in names if n.startswith("received")]
    if name in received:
        return RECEIVED_DASHES[received.index(name) % len(RECEIVED_DASHES)]
    return (0, (1, 1.3)) if name == "intended" else "-"


def _draw_rates(panel: Any, rows: Sequence[Series], colour: str) -> None:
    for row in rows:
        for name, rate in row.rates.items():
            last = max((i for i, value in enumerate(rate) if value), default=-1)
            edges = [row.first_second + i for i in range(last + 2)]
            ink = INK if name == "intended" else colour
            width = 1.2 if name == "acknowledged" else 0.8
            panel.stairs(
                rate[: last + 1],
                edges,
                baseline=None,
                color=ink,
                linewidth=width,
                linestyle=_dash_of(name, list(row.rates)),
                alpha=0.85,
            )


def _draw_faults(panel: Any, strip: Any, rows: Sequence[FaultRow], colour: str) -> None:
    """In the panel: when the broker was down. In the strip below: one line per run with what it cost."""
    for side in ("left", "top", "right", "bottom"):
        strip.spines[side].set_visible(False)
    strip.grid(visible=False)
    strip.tick_params(bottom=False, left=False)
    repetitions = sorted({row.repetition for row in rows})
    strip.set_yticks([-r for r in repetitions], [f"run {r}" for r in repetitions], fontsize=6)
    strip.set_ylim(-max(repetitions, default=1) - 0.6, -min(repetitions, default=1) + 0.6)
    for row in rows:
        f, y = row.result, -row.repetition
        if f.injected_s is not None:
            end = f.healed_s if f.healed_s is not None else f.injected_s
            panel.axvspan(f.injected_s, end, color=DOWN, linewidth=0, zorder=0)
            strip.barh(y, end - f.injected_s, left=f.injected_s, height=0.62, color=BROKEN, linewidth=0)
        if f.publish is not None:
            strip.plot([f.publish.from_s, f.publish.to_s], [y, y], color=colour, linewidth=1.6, solid_capstyle="butt")
        if f.recovered_s is not None:
            strip.plot(f.recovered_s, y, marker="D", markersize=3.2, color=colour, linestyle="none")


def _legend(rows: Sequence[Series], *, faults: bool) -> list[Any]:
    """Line styles in neutral ink: the colour says which target, and the panel's title says it too."""
    names = list(dict.fromkeys(name for row in rows for name in row.rates))
    handles: list[Any] = [
        Line2D([], [], color=INK, linewidth=1.2 if n == "acknowledged" else 0.8, linestyle=_dash_of(n, names), label=n)
        for n in names
    ]
    if faults:
        handles += [
            Patch(color=BROKEN, linewidth=0, label="broker down"),
            Line2D([], [], color=INK, linewidth=1.6, label="longest time without acknowledgement"),
            Line2D([], [], color=INK, marker="D", markersize=3.2, linestyle="none", label="recovered"),
        ]
    return handles


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
    figure.legend(handles.values(), handles.keys(), loc="outside upper left", ncols=2, **_LEGEND)
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
