"""What all figures have in common: ink, line styles, colours per target, panels of rates.

Colours are those of Okabe and Ito (https://jfly.uni-koeln.de/color/), which keep apart under the common kinds of colour
blindness; line styles and labels say the same again without colour. What was not measured is grey.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from crep.reports.comparison import Series, Subject

INK, MUTED, RULE, DOWN, BROKEN = "#1d252c", "#5f6a73", "#d5dbe0", "#eceff1", "#c3cad0"
MEASURED = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
GREYS = ("#6e767d", "#a3a9ae", "#54595e", "#8b9196")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (6, 1.5, 1.5, 1.5)))
RECEIVED_DASHES: tuple[Any, ...] = ((0, (5, 1.5)), (0, (6, 1.5, 1.5, 1.5)), (0, (3, 1)))
WIDTH_IN = 6.9
LEGEND: dict[str, Any] = {"fontsize": 6.5, "handlelength": 2.2, "columnspacing": 1.4}
STYLE = {
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


def colours(subjects: Sequence[Subject]) -> dict[str, str]:
    """Subject → colour: hues for measured targets, greys for all others."""
    measured = [s.key for s in subjects if s.kind == "measured"]
    others = [s.key for s in subjects if s.kind != "measured"]
    hues = {key: MEASURED[i % len(MEASURED)] for i, key in enumerate(measured)}
    return hues | {key: GREYS[i % len(GREYS)] for i, key in enumerate(others)}


def dress_panel(panel: Any, top: float) -> None:
    """The axis of a panel of rates."""
    panel.set_ylim(0, top * 1.08)
    panel.set_ylabel("Messages per second")
    panel.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:,.0f}"))


def _dash_of(name: str, names: Sequence[str]) -> Any:
    received = [n for n in names if n.startswith("received")]
    if name in received:
        return RECEIVED_DASHES[received.index(name) % len(RECEIVED_DASHES)]
    return (0, (1, 1.3)) if name == "intended" else "-"


def draw_rates(panel: Any, rows: Sequence[Series], colour: str) -> None:
    """A line for each rate of each run, as far as it went."""
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


def legend(rows: Sequence[Series]) -> list[Any]:
    """Line styles in neutral ink: the colour says which target, and the panel's title says it too."""
    names = list(dict.fromkeys(name for row in rows for name in row.rates))
    return [
        Line2D([], [], color=INK, linewidth=1.2 if n == "acknowledged" else 0.8, linestyle=_dash_of(n, names), label=n)
        for n in names
    ]
