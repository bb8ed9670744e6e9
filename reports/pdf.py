"""PDF by typst: tagged (PDF/UA-1), archivable (PDF/A-3a), ``report.json`` attached, the same bytes from the same data.

Typst is given every file it may read as bytes in memory; it sees neither the disk's files nor the system's fonts. Text
reaches the template as data and is never evaluated as markup.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, cast

import matplotlib as mpl
import typst
from matplotlib.ft2font import FT2Font

from crep.reports.blocks import Block, Picture, Table
from crep.reports.comparison import Comparison
from crep.reports.wording import counted_line

STANDARDS: list[Any] = ["ua-1", "a-3a"]
LINE, WORD = 70, 22
"""Longest word, in characters, that fits a line of the page and a column of a table."""
_TEMPLATE = "report.typ"


def render_pdf(comparison: Comparison, blocks: Sequence[Block], figures: Mapping[str, str], attached: bytes) -> bytes:
    """The report as PDF; ``attached`` is report.json.

    Raises:
        typst.TypstError: the document breaks PDF/UA-1 or PDF/A-3a (a fault of the template, not of the data).
    """
    moment = datetime.fromisoformat(comparison.as_of).astimezone(UTC)
    names = {name: f"figure-{number}.svg" for number, name in enumerate(sorted(figures), start=1)}
    data = {
        "title": printable(comparison.title),
        "subtitle": printable(" · ".join(dict.fromkeys(s.name for s in comparison.scenarios))),
        "moment": [moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second],
        "counted": printable(counted_line(comparison)),
        "blocks": [_plain(block, names) for block in blocks],
    }
    files = {
        "main": resources.files("crep.reports").joinpath("templates", _TEMPLATE).read_bytes(),
        "data.json": json.dumps(data, ensure_ascii=False).encode(),
        "report.json": attached,
        **{names[name]: svg.encode() for name, svg in figures.items()},
    }
    made = typst.compile(
        cast(Any, files),  # typst-py takes files by name; its stub does not say so
        format="pdf",
        font_paths=[_font_folder()],
        ignore_system_fonts=True,
        pdf_standards=STANDARDS,
        timestamp=int(moment.timestamp()),
    )
    return bytes(made)


def printable(text: str, word: int = LINE) -> str:
    """The text with signs that the embedded fonts lack as [U+XXXX], and a break allowed in words longer than ``word``.

    PDF/UA-1 allows no missing glyph, and a scenario may hold any text.
    """
    shown = "".join(c if c == "\n" or ord(c) in _glyphs() else f"[U+{ord(c):04X}]" for c in text)
    return re.sub(rf"[^\s\-]{{{word + 1},}}", lambda match: _with_breaks(match.group(), word), shown)


def _with_breaks(long_word: str, word: int) -> str:
    """Breaks after punctuation, and where that leaves a part longer than ``word``, anywhere."""
    parts = re.sub(r"(?<=[.,/_=:])(?=\w)", "\u200b", long_word)
    return re.sub(rf"([^\u200b]{{{word}}})(?=[^\u200b])", "\\1\u200b", parts)


def _plain(block: Block, names: Mapping[str, str]) -> dict[str, Any]:
    """The block as the template wants it."""
    plain = cast(dict[str, Any], _printable(dataclasses.asdict(block), WORD if isinstance(block, Table) else LINE))
    if isinstance(block, Table):
        plain["rows"] = [
            {"group": r["text"], "style": r["style"]} if isinstance(r, dict) else {"cells": r} for r in plain["rows"]
        ]
    if isinstance(block, Picture):
        plain["file"] = names[block.name]
    return plain


def _printable(value: object, word: int) -> object:
    if isinstance(value, str):
        return printable(value, word)
    if isinstance(value, dict):
        return {key: _printable(item, word) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_printable(item, word) for item in value]
    return value


def _font_folder() -> str:
    """DejaVu Sans as matplotlib carries it, for the signs that typst's own Libertinus lacks."""
    return str(Path(mpl.get_data_path()) / "fonts" / "ttf")


@cache
def _glyphs() -> frozenset[int]:
    return frozenset(FT2Font(str(Path(_font_folder()) / "DejaVuSans.ttf")).get_charmap())
