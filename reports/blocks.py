"""The pieces that a printed report consists of, and how its numbers are written. Renderers draw these and no more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from crep.reports.comparison import Quantity

Tone = Literal["plain", "muted", "emulated", "good", "bad", "warn"]
NOTHING = "–"
"""Stands where there is no value; a zero is always written as 0."""


@dataclass(frozen=True)
class Cell:
    """One table cell; ``below`` is a second, smaller line."""

    text: str
    tone: Tone = "plain"
    below: str = ""


@dataclass(frozen=True)
class Column:
    """``share`` is the part of the free width (0: as wide as its content)."""

    title: str
    align: Literal["left", "right"] = "left"
    share: int = 0
    tone: Tone = "plain"
    below: str = ""


@dataclass(frozen=True)
class Heading:
    """Level 1 opens a section (on a new page where ``new_page``), level 2 a part of one."""

    level: int
    text: str
    new_page: bool = False
    kind: str = "heading"


@dataclass(frozen=True)
class Paragraph:
    """Running text; *note* is small and grey, *warning* is set apart, *rule* is one of a list."""

    text: str
    style: Literal["plain", "note", "warning", "rule"] = "plain"
    kind: str = "paragraph"


@dataclass(frozen=True)
class Group:
    """A line across a table: heads the rows below it, or (*note*) says something of those above."""

    text: str
    style: Literal["head", "note"] = "head"


@dataclass(frozen=True)
class Table:
    """Rows of cells, each as long as ``columns``, or `Group` lines between them."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...] | Group, ...]
    kind: str = "table"


@dataclass(frozen=True)
class Picture:
    """A figure by its name; ``alt`` says in words what it shows."""

    name: str
    caption: str
    alt: str
    kind: str = "picture"


@dataclass(frozen=True)
class Facts:
    """Names and values, one a line."""

    pairs: tuple[tuple[str, str], ...]
    kind: str = "facts"


@dataclass(frozen=True)
class Code:
    """Text that is printed letter by letter, line breaks kept."""

    text: str
    caption: str
    kind: str = "code"


@dataclass(frozen=True)
class VerdictLine:
    """One target in the verdict box; ``also`` stands under the verdict: what failed besides, empty if nothing."""

    name: str
    badge: str
    badge_tone: Tone
    verdict: str
    tone: Tone
    text: str
    also: str = ""


@dataclass(frozen=True)
class Verdicts:
    """The verdict box: a line per target, then the performance verdict in words."""

    lines: tuple[VerdictLine, ...]
    performance: str
    kind: str = "verdicts"


Block: TypeAlias = Heading | Paragraph | Table | Picture | Facts | Code | Verdicts


def count(value: int | None) -> str:
    """``12,345``."""
    return NOTHING if value is None else f"{value:,}"


def significant(value: float | None, digits: int = 3) -> str:
    """Three significant digits without an exponent: ``0.412``, ``3.81``, ``52.0``, ``1,840``."""
    if value is None:
        return NOTHING
    if value == 0:
        return "0"
    rounded = float(f"{value:.{digits - 1}e}")
    magnitude = len(str(int(abs(rounded)))) if abs(rounded) >= 1 else 0
    decimals = max(digits - magnitude, 0) if magnitude else digits
    return f"{rounded:,.{decimals}f}"


def number(value: float, unit: str) -> str:
    """What is counted is shown whole, ``12,345``; what is measured in three significant digits."""
    counted = unit == "msg/s" or (unit == "messages" and value == int(value))
    return f"{value:,.0f}" if counted else significant(value)


def declared(seconds: float) -> str:
    """A time that somebody wrote down, as it was written: ``8 s``, ``0.5 s``."""
    return f"{seconds:,.10g} s"


def quantity(value: Quantity, *, unit: bool = True) -> str:
    """The value with its unit, or `NOTHING`."""
    if value.value is None:
        return NOTHING
    text = number(value.value, value.unit)
    return f"{text} {value.unit}" if unit else text


def spread(value: Quantity) -> str:
    """``1.62 to 1.84`` over the runs; empty for one run."""
    if value.low is None or value.high is None or value.low == value.high:
        return ""
    return f"{number(value.low, value.unit)} to {number(value.high, value.unit)}"


def plural(number: int, word: str) -> str:
    """``1 run``, ``2 runs``."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def listed(words: Sequence[str]) -> str:
    """``a, b and c``."""
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)
