"""Where what was lost is, as the broker's own storage told after the drain."""

from __future__ import annotations

from crep.reports.blocks import NOTHING, Block, Cell, Column, Heading, Paragraph, Table, count, listed
from crep.reports.comparison import ScenarioComparison, WhereaboutsRow
from crep.reports.wording import tone_of

STATES = {
    "never-stored": "never stored",
    "stored": "stored, not delivered",
    "dead-lettered": "in the dead letter place",
    "not-found": "not found, and may have been there",
    "not-looked-for": "not looked for",
}


def blocks(scenario: ScenarioComparison) -> list[Block]:
    """The figures per reader, the reasons that the storage shows, and the first few messages with their places."""
    if not scenario.whereabouts:
        return []
    rows = tuple(_row(scenario, row) for row in scenario.whereabouts)
    states = Table(
        "Missing messages that were looked for in the broker's own storage after the drain, at most 1,000 a run.",
        (
            Column("Target and reader", "left", 4),
            Column("Missing", "right", 2),
            Column("Looked for", "right", 2),
            *(Column(words.capitalize(), "right", 2) for words in STATES.values()),
        ),
        rows,
    )
    reasons: list[Block] = [
        Paragraph(
            f"{scenario.subject(row.subject).title}, {row.channel}.{row.reader}: "
            + listed([f"{number:,} × {why}" for why, number in row.reasons.items()])
            + ".",
            "plain" if row.kind == "measured" else "note",
        )
        for row in scenario.whereabouts
        if row.reasons
    ]
    return [Heading(2, "Where it was lost"), states, *reasons, _examples(scenario)]


def _row(scenario: ScenarioComparison, row: WhereaboutsRow) -> tuple[Cell, ...]:
    subject = scenario.subject(row.subject)
    tone = tone_of(subject)
    counts = [row.states.get(state, 0) for state in STATES]
    return (
        Cell(subject.title, tone, f"{row.channel}.{row.reader}"),
        Cell(count(row.missing), "bad" if row.missing else tone),
        Cell(count(row.looked_for), tone),
        *(Cell(count(number) if number else NOTHING, tone) for number in counts),
    )


def _examples(scenario: ScenarioComparison) -> Table:
    rows = []
    for row in scenario.whereabouts:
        subject = scenario.subject(row.subject)
        tone = tone_of(subject)
        for one in row.examples:
            rows.append(
                (
                    Cell(f"{one.publisher} / {one.sequence:,}", tone, "" if one.key is None else f"key {one.key:,}"),
                    Cell(NOTHING if one.at_s is None else f"{one.at_s:.2f}", tone),
                    Cell(STATES[one.state], tone, f"{subject.title}, {row.channel}.{row.reader}"),
                    Cell(one.where or NOTHING, tone, one.why),
                )
            )
    columns = (
        Column("Publisher / sequence", "left", 2),
        Column("Due at (s)", "right", 1),
        Column("State", "left", 3),
        Column("Where, and what shows why", "left", 6),
    )
    return Table("The first of each state and reason, by identity.", columns, tuple(rows))
