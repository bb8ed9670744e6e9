"""How one target lived through its faults: rates, latency and backlog on one time axis, and below them each fault.

::

    messages/s  ──────╲____╱───────        a line per run; shaded while a fault is in effect
    latency     ______╱‾‾╲_________
    backlog     ______╱╲___________
    #1 kill-broker  ▕▓▓▓▓▒▒▒▒░░░◆          injected, confirmed, in effect, healing, healed and not yet recovered

Everything of it is in grey where the target was not measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from crep.reports.comparison import FaultRow, ScenarioComparison, Series, Subject
from crep.reports.drawing import (
    BROKEN,
    DOWN,
    INK,
    LEGEND,
    MUTED,
    RECEIVED_DASHES,
    RULE,
    WIDTH_IN,
    colours,
    draw_rates,
    dress_panel,
    legend,
)

HEALING, AFTER = "#9aa3aa", "#e1e5e8"
LINES_APART = 12
"""So many faults times runs have a line each; where there are more, all faults of a run share one."""
LABEL = 44
"""Characters of what stands beside a fault's line."""
CUT = 3.0
"""The axis of rates ends at so many times the highest intended rate."""
LABEL_RIGHT = 0.6
"""A fault that ends behind this part of the time axis has its label before it."""
_LOG_FROM = 20.0
_LINE_IN = 0.16


def recovery_name(scenario: ScenarioComparison, subject: Subject, channel: str) -> str:
    """Name of the picture of one target's faults, as one channel felt them."""
    return f"{scenario.label} {scenario.sha256[:8]} recovery {subject.key} {channel}"


def recovery(scenario: ScenarioComparison, subject: Subject, channel: str) -> Figure:
    """Panels of rates, latency and backlog with the same time axis, and a strip of the faults below them.

    A channel without readers, whose messages a service takes, has rates alone.
    """
    of_channel = [row for row in scenario.series if row.channel == channel]
    rows = [row for row in of_channel if row.subject == subject.key]
    faults = [fault for fault in scenario.faults if fault.subject == subject.key]
    lines = _lines(faults)
    read = any(row.backlogs or row.latencies for row in rows)
    heights = [1.3, *([0.85, 0.85] if read else []), _LINE_IN * max(1, len(lines)) + 0.12]
    figure = Figure(figsize=(WIDTH_IN, 0.85 + sum(heights)), layout="constrained")
    rates, *of_readers, strip = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
    colour = colours(scenario.subjects)[subject.key]
    draw_rates(rates, rows, colour)
    _scale(rates, of_channel, rows)
    why = f" — {subject.standing.why}" if subject.standing.why else ""
    rates.set_title(subject.title + why, color=INK if subject.kind == "measured" else MUTED)
    names, readers = [], []
    if of_readers:
        latency, backlog = of_readers
        names, readers = _draw_latencies(latency, rows, colour), _draw_backlogs(backlog, rows, colour)
    for panel in (rates, *of_readers):
        _shade(panel, faults)
    _draw_strip(strip, lines, colour, _extent(rows))
    strip.set_xlabel("Seconds from the first measured message")
    strip.set_xlim(*_extent(rows))
    lines_of = legend(rows) + _legend_of(names, readers) + _legend_of_faults(faults)
    figure.legend(handles=lines_of, loc="outside upper left", ncols=4, **LEGEND)
    figure.align_ylabels([rates, *of_readers])
    return figure


def _scale(panel: Any, of_channel: Sequence[Series], rows: Sequence[Series]) -> None:
    """One scale for every target of the scenario; what is caught up after a fault may leave it, and is told."""
    highest = max((v for row in of_channel for rate in row.rates.values() for v in rate), default=1.0) or 1.0
    intended = max((v for row in of_channel for v in row.rates.get("intended", ())), default=0.0) or highest
    dress_panel(panel, min(highest, CUT * intended))
    panel.set_ylabel("Messages\nper second")
    own = max((v for row in rows for rate in row.rates.values() for v in rate), default=0.0)
    if own > CUT * intended * 1.08:
        panel.annotate(
            f"highest: {own:,.0f}/s, not drawn to its top",
            (0.995, 0.97),
            xycoords="axes fraction",
            ha="right",
            va="top",
            fontsize=6,
            color=MUTED,
        )


def _extent(rows: Sequence[Series]) -> tuple[float, float]:
    """From the first second to the last in which anything happened."""
    last = max((i for row in rows for rate in row.rates.values() for i, v in enumerate(rate) if v), default=0)
    first = min((row.first_second for row in rows), default=0)
    return float(first), first + last + 1.5


def _draw_latencies(panel: Any, rows: Sequence[Series], colour: str) -> list[str]:
    """The latency of each reader by intended second, ms; returns what is drawn."""
    names = list(dict.fromkeys(name for row in rows for name in row.latencies))
    seen: list[float] = []
    for row in rows:
        for name, values in row.latencies.items():
            known = np.array([np.nan if value is None else value for value in values])
            seconds = row.first_second + np.arange(len(known)) + 0.5
            style = RECEIVED_DASHES[names.index(name) % len(RECEIVED_DASHES)]
            panel.plot(seconds, known, color=colour, linewidth=0.9, linestyle=style, marker=".", markersize=1.6)
            seen += [value for value in values if value]
    if seen and max(seen) > _LOG_FROM * min(seen):
        panel.set_yscale("log")
    panel.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:,.6g}"))
    statistics = dict.fromkeys(name.partition(",")[0] for name in names)
    panel.set_ylabel(f"{' or '.join(statistics)} latency\nms".lstrip())
    return names


def _draw_backlogs(panel: Any, rows: Sequence[Series], colour: str) -> list[str]:
    """Messages that waited at the end of each second; returns the readers."""
    readers = list(dict.fromkeys(name for row in rows for name in row.backlogs))
    for row in rows:
        for reader, depth in row.backlogs.items():
            ends = row.first_second + np.arange(len(depth)) + 1.0
            style = RECEIVED_DASHES[readers.index(reader) % len(RECEIVED_DASHES)]
            panel.plot(ends, depth, color=colour, linewidth=0.9, linestyle=style)
    panel.set_ylim(bottom=0)
    panel.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:,.0f}"))
    panel.set_ylabel("Backlog\nmessages")
    return readers


def _shade(panel: Any, faults: Sequence[FaultRow]) -> None:
    for f in (row.result for row in faults):
        if f.injected_s is not None:
            end = f.healed_s if f.healed_s is not None else f.injected_s
            panel.axvspan(f.injected_s, max(end, f.injected_s + 0.05), color=DOWN, linewidth=0, zorder=0)


def _lines(faults: Sequence[FaultRow]) -> list[tuple[str, list[FaultRow]]]:
    """The lines of the strip from top to bottom, each with its label."""
    ordered = sorted(faults, key=lambda row: (row.result.index, row.repetition))
    repetitions = sorted({row.repetition for row in faults})
    if len(ordered) > LINES_APART:
        return [(f"run {r}, all faults", [row for row in ordered if row.repetition == r]) for r in repetitions]
    return [(_label(row, several=len(repetitions) > 1), [row]) for row in ordered]


def _label(row: FaultRow, *, several: bool) -> str:
    """The fault's own action and what it acted on."""
    f = row.result
    on = f" {f.subject or f.node}" if f.subject or f.node else ""
    text = f"#{f.index + 1} {f.action}{on}"
    text = text if len(text) <= LABEL else text[: LABEL - 1] + "…"
    return f"{text}, run {row.repetition}" if several else text


def _draw_strip(
    strip: Any, lines: Sequence[tuple[str, list[FaultRow]]], colour: str, extent: tuple[float, float]
) -> None:
    for side in ("left", "top", "right"):
        strip.spines[side].set_visible(False)
    strip.grid(visible=False, axis="y")
    strip.tick_params(left=False)
    strip.set_yticks([])
    strip.set_ylim(-len(lines) + 0.4, 0.6)
    first, last = extent
    for place, (label, rows) in enumerate(lines):
        drawn = [_draw_fault(strip, row, -place, colour) for row in rows]
        start, end = min((one[0] for one in drawn), default=0.0), max((one[1] for one in drawn), default=0.0)
        before = end > first + LABEL_RIGHT * (last - first)
        strip.annotate(
            label,
            (start if before else end, -place),
            (-5 if before else 5, 0),
            textcoords="offset points",
            ha="right" if before else "left",
            va="center",
            fontsize=6,
            color=INK,
        )


def _draw_fault(strip: Any, row: FaultRow, y: float, colour: str) -> tuple[float, float]:
    """Bands from injection to recovery, the longest silence, the moment of recovery; returns where all that lies."""
    f = row.result
    if f.injected_s is None:
        return 0.0, 0.0
    healing = f.heal_started_s if f.heal_started_s is not None else f.healed_s
    marks = [f.injected_s, healing, f.healed_s, f.recovered_s]
    edges = [f.injected_s]
    for mark, ink in zip(marks[1:], (BROKEN, HEALING, AFTER), strict=True):
        if mark is not None and mark > edges[-1]:
            strip.barh(y, mark - edges[-1], left=edges[-1], height=0.7, color=ink, linewidth=0)
            edges.append(mark)
    strip.plot([f.injected_s] * 2, [y - 0.4, y + 0.4], color=INK, linewidth=0.9)
    if f.confirmed_s is not None:
        strip.plot([f.confirmed_s] * 2, [y - 0.4, y + 0.4], color=INK, linewidth=0.7, linestyle=(0, (1, 1)))
    ends = [edges[-1]]
    starts = [f.injected_s]
    if f.publish is not None and f.publish.keys_hit > 0:
        strip.plot([f.publish.from_s, f.publish.to_s], [y, y], color=colour, linewidth=1.6, solid_capstyle="butt")
        ends.append(f.publish.to_s)
        starts.append(f.publish.from_s)
    if f.recovered_s is not None:
        strip.plot(f.recovered_s, y, marker="D", markersize=3.2, color=colour, linestyle="none")
    return min(starts), max(ends)


def _legend_of(names: Sequence[str], readers: Sequence[str]) -> list[Any]:
    handles = [
        Line2D([], [], color=INK, linewidth=0.9, linestyle=RECEIVED_DASHES[i % len(RECEIVED_DASHES)], marker=".")
        for i, _ in enumerate(names)
    ]
    labels = [f"latency, {name}" for name in names]
    handles += [
        Line2D([], [], color=INK, linewidth=0.9, linestyle=RECEIVED_DASHES[i % len(RECEIVED_DASHES)])
        for i, _ in enumerate(readers)
    ]
    labels += [f"backlog of {reader}" for reader in readers]
    for handle, label in zip(handles, labels, strict=True):
        handle.set(label=label, markersize=2)
    return handles


def _legend_of_faults(faults: Sequence[FaultRow]) -> list[Any]:
    if not faults:
        return []
    return [
        Line2D([], [], color=INK, linewidth=0.9, marker="|", linestyle="none", label="injected; dotted: confirmed"),
        Patch(color=BROKEN, linewidth=0, label="in effect"),
        Patch(color=HEALING, linewidth=0, label="healing, until a probe was answered"),
        Patch(facecolor=AFTER, edgecolor=RULE, linewidth=0.4, label="healed, not yet as before"),
        Line2D([], [], color=INK, linewidth=1.6, label="longest without acknowledgement"),
        Line2D([], [], color=INK, marker="D", markersize=3.2, linestyle="none", label="recovered"),
    ]
