"""One measured figure beside its floor: what every section of the benchmark ends in, and what ``bench.json`` lists."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Figure:
    """A figure. ``floor`` is what it is held to (None: shown only), ``at_most`` turns a floor into a ceiling.

    ``value`` None: it could not be measured, and ``detail`` says why; then it is not ok.
    """

    name: str
    value: float | None
    unit: str
    floor: float | None = None
    at_most: bool = False
    detail: str = ""

    @property
    def ok(self) -> bool:
        """Whether it was measured, and meets its floor where it has one."""
        if self.value is None:
            return False
        if self.floor is None:
            return True
        return self.value <= self.floor if self.at_most else self.value >= self.floor

    def to_json(self) -> dict[str, Any]:
        """As ``bench.json`` has it; ``floor`` of a ceiling is the most that is ok, which ``detail`` says."""
        return {
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "floor": self.floor,
            "ok": self.ok,
            "detail": ("at most; " if self.at_most else "") + self.detail,
        }


def show(title: str, figures: Iterable[Figure], console: Console) -> None:
    """Print figures beside their floors."""
    table = Table(title=title)
    for heading in ("figure", "measured", "floor", "ok"):
        table.add_column(heading, justify="left" if heading == "figure" else "right")
    table.add_column("how")
    for one in figures:
        measured = "not measured" if one.value is None else f"{_number(one.value)} {one.unit}"
        floor = "" if one.floor is None else f"{'≤' if one.at_most else '≥'} {_number(one.floor)}"
        table.add_row(one.name, measured, floor, "" if one.floor is None else "yes" if one.ok else "NO", one.detail)
    console.print(table)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
