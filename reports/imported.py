"""Results of other tools: shown, marked as imported, in a section of their own that no verdict draws on."""

from __future__ import annotations

from collections.abc import Sequence

from crep.harness.runs.importing.document import TOOLS, Imported
from crep.reports.blocks import NOTHING, Block, Cell, Column, Heading, Paragraph, Table, significant


def blocks(imported: Sequence[Imported]) -> list[Block]:
    """One row a figure; nothing where nothing was imported."""
    if not imported:
        return []
    rows = [
        (
            Cell(one.name, "muted", f"{TOOLS[one.tool]}, {one.file}" if number == 0 else ""),
            Cell(one.driver or NOTHING, "muted", _settings(one) if number == 0 else ""),
            Cell(figure.name, "muted"),
            Cell(significant(figure.value), "muted"),
            Cell(figure.unit or "not stated", "muted"),
        )
        for one in imported
        for number, figure in enumerate(one.figures)
    ]
    columns = (
        Column("Imported result", "left", 4),
        Column("Driver", "left", 3),
        Column("Figure", "left", 3),
        Column("Value", "right", 2),
        Column("Unit", "left", 1),
    )
    caption = (
        "Imported, not measured by crep: as the other tool gives it, by its own definitions. No number of it enters a "
        "figure, a comparison or a verdict of this report."
    )
    remarks = dict.fromkeys(f"{TOOLS[one.tool]}: {remark}" for one in imported for remark in one.remarks)
    notes = [Paragraph(text, "note") for text in remarks]
    return [Heading(1, "Imported results"), Table(caption, columns, tuple(rows)), *notes]


def _settings(one: Imported) -> str:
    return ", ".join(f"{name} {value}" for name, value in one.settings.items())
