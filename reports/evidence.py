"""The sections that prove the result: delivery ledger, fault and recovery, latency, performance compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from crep.harness.checks.results import Offender
from crep.reports.blocks import (
    NOTHING,
    Block,
    Cell,
    Column,
    Group,
    Heading,
    Paragraph,
    Picture,
    Table,
    count,
    listed,
    plural,
    quantity,
    significant,
)
from crep.reports.comparison import Curve, ScenarioComparison, Subject
from crep.reports.figures import has_latency_curve, latency_name
from crep.reports.wording import column_of, counted_in, grey, tone_of

METRIC_NAMES = {
    "latency": "Latency (received − intended)",
    "acknowledge": "Acknowledge latency",
    "service": "Service time (received − sent)",
    "lateness": "Lateness of the load generator",
}
_NEVER_EARLY = ("latency", "acknowledge")
"""Metrics whose samples of 0 or below mean a wrong clock (METHOD rule 3)."""
_EARLY = (
    "Service time and lateness of 0 or below are counted and mean no wrong clock: a message that is sent at its very "
    "instant has lateness 0, and the hand-over is timed when the client library's call returns, by which time the "
    "message may have arrived already."
)
_Lines = tuple[tuple[str, str, bool], ...]
"""(title, counter, always shown); other counters are named in one line where they are 0 on every target."""
_READER_LINES: _Lines = (
    ("Expected", "expected", True),
    ("Received", "received", True),
    ("Lost", "lost", True),
    ("Pending when the drain ended", "pending", False),
    ("Dead-lettered", "dead_lettered", False),
    ("Expired", "expired", False),
    ("Missing, allowed by the guarantee", "missing_allowed", False),
    ("Missing, outcome of the send unknown", "missing_unknown", False),
    ("Received, outcome of the send unknown", "unknown_received", False),
    ("Received though rejected", "rejected_received", False),
    ("Duplicates, flagged as redelivered", "duplicates_flagged", False),
    ("Duplicates, not flagged", "duplicates_unflagged", False),
    ("Duplicates, the broker offers no flag", "duplicates_flag_not_offered", False),
    ("Reordered within a key", "reordered", False),
    ("Reordered, allowed by the guarantee", "reordered_allowed", False),
    ("Could not be processed (poison), receipts", "failed", False),
    ("In the dead letter place without cause", "misplaced", False),
    ("Corrupt", "corrupt", False),
    ("Of another run", "foreign", False),
    ("Never sent or not selected", "unexpected", False),
)
_SEND_LINES: _Lines = (
    ("Handed to the client library", "handed_over", True),
    ("Acknowledged", "acknowledged", True),
    ("Rejected", "rejected", False),
    ("Outcome unknown", "unknown", False),
    ("Sent without acknowledgement", "sent", False),
    ("Intended, never handed over", "unscheduled", False),
    ("Larger than the channel takes", "oversize", False),
    ("Larger than the channel takes, and accepted", "oversize_accepted", False),
    ("Contradicting outcomes", "contradictions", False),
)
OFFENDERS_SHOWN = 2
"""Of each kind; report.json holds more."""
_BROKEN = frozenset(
    (
        "lost",
        "pending",
        "duplicates_unflagged",
        "reordered",
        "misplaced",
        "corrupt",
        "foreign",
        "unexpected",
        "oversize_accepted",
        "contradictions",
    )
)
"""Counters that are marked when they are not 0."""


def ledger(scenario: ScenarioComparison) -> list[Block]:
    """What became of every message; nothing where no run was counted."""
    if not scenario.sends and not scenario.ledger:
        return []
    subjects = scenario.subjects
    sends = {(row.channel, row.subject): row for row in scenario.sends}
    readers = {(row.channel, row.reader, row.subject): row for row in scenario.ledger}
    rows: list[tuple[Cell, ...] | Group] = []
    for channel in dict.fromkeys(row.channel for row in scenario.sends):
        rows.append(Group(f"Sends to {channel}"))
        counts = [sends[channel, s.key].counts if (channel, s.key) in sends else None for s in subjects]
        rows += _counter_rows(_SEND_LINES, counts, subjects)
    for channel, reader in dict.fromkeys((row.channel, row.reader) for row in scenario.ledger):
        found = [readers.get((channel, reader, s.key)) for s in subjects]
        first = next(row for row in found if row is not None)
        how = f"{first.share}, {plural(first.members, 'member')}, {first.delivery}"
        rows.append(Group(f"Reader {channel}.{reader} ({how})"))
        rows += _counter_rows(_READER_LINES, [row.counts if row else None for row in found], subjects)
    caption = (
        f"Messages, warm-up included, added up over {counted_in(scenario)}. {scenario.durability}. "
        "Lost: acknowledged, not received, and the broker itself reported an empty backlog."
    )
    table = Table(caption, (Column("", "left", 2), *(column_of(s) for s in subjects)), tuple(rows))
    return [Heading(1, "Delivery ledger"), table, *_offenders(scenario)]


def _counter_rows(
    lines: _Lines, counts: Sequence[Mapping[str, int] | None], subjects: Sequence[Subject]
) -> list[tuple[Cell, ...] | Group]:
    """One row per counter; those that are 0 wherever something was counted share the last one."""
    rows: list[tuple[Cell, ...] | Group] = []
    zero = []
    for title, name, always in lines:
        values = [None if of is None else of[name] for of in counts]
        if not always and not any(values):
            zero.append(title)
            continue
        cells = [
            Cell(count(value), "bad" if value and name in _BROKEN else tone_of(subject))
            for value, subject in zip(values, subjects, strict=True)
        ]
        rows.append((Cell(title), *cells))
    if zero:
        rows.append(Group("None: " + "; ".join(title[0].lower() + title[1:] for title in zero) + ".", "note"))
    return rows


def _offenders(scenario: ScenarioComparison) -> list[Block]:
    rows = []
    for row in scenario.ledger:
        subject = scenario.subject(row.subject)
        for kind in dict.fromkeys(offender.kind for offender in row.offenders):
            of_kind = [offender for offender in row.offenders if offender.kind == kind][:OFFENDERS_SHOWN]
            rows += [_offender(f"{row.channel}.{row.reader}", subject, offender) for offender in of_kind]
    if not rows:
        return []
    columns = (
        Column("Target", "left", 3),
        Column("Reader", "left", 3),
        Column("What", "left", 3),
        Column("Publisher", "right"),
        Column("Sequence", "right"),
        Column("Key", "right"),
        Column("At (s)", "right"),
        Column("Detail", "left", 4),
    )
    return [Table("First messages of each kind of anomaly, by identity.", columns, tuple(rows))]


def _offender(place: str, subject: Subject, offender: Offender) -> tuple[Cell, ...]:
    tone = tone_of(subject)
    numbers = (count(offender.publisher), count(offender.sequence), count(offender.key), significant(offender.at_s))
    texts = (subject.title, place, offender.kind, *numbers, offender.detail)
    return tuple(Cell(text, tone) for text in texts)


def latency(scenario: ScenarioComparison) -> list[Block]:
    """The distributions as a figure and as percentiles."""
    shown = [c for c in scenario.curves if c.metric in METRIC_NAMES]
    if not shown:
        return []
    places = listed(list(dict.fromkeys(c.where for c in shown if c.metric == "latency")))
    picture = Picture(
        latency_name(scenario),
        f"Latency by percentile, whole measured phase, faults included. {scenario.durability}. Curves end where fewer "
        f"than 10 samples lie beyond.{grey(scenario)}",
        f"Latency against percentile on logarithmic axes for {places}",
    )
    rows: list[tuple[Cell, ...] | Group] = []
    for metric, title in METRIC_NAMES.items():
        of_metric = [c for c in shown if c.metric == metric]
        if of_metric:
            rows.append(Group(f"{title}, ms"))
            rows += [_curve_row(scenario, c) for c in sorted(of_metric, key=lambda c: (c.where, c.subject))]
    columns = (
        Column("Place and target", "left", 5),
        *(Column(f"p{p}", "right", 2) for p in ("50", "90", "99", "99.9", "99.99")),
        Column("Max", "right", 2),
        Column("> 1\u00a0s", "right", 2),
        Column("Samples", "right", 2),
        Column("≤\u00a00", "right", 1),
    )
    table = Table(
        f"Percentiles in milliseconds, histograms of all counted runs merged. {scenario.durability}. {NOTHING}: fewer "
        "than 10 samples beyond. > 1 s: share of the messages. Samples ≤ 0 of latency and acknowledge latency would be "
        "an error of the measurement.",
        columns,
        tuple(rows),
    )
    notes = [Paragraph(_EARLY, "note")] if any(c.non_positive and c.metric not in _NEVER_EARLY for c in shown) else []
    return [Heading(1, "Latency"), *([picture] if has_latency_curve(scenario) else []), table, *notes]


def _curve_row(scenario: ScenarioComparison, curve: Curve) -> tuple[Cell, ...]:
    subject = scenario.subject(curve.subject)
    tone = tone_of(subject)
    values = [quantity(q, unit=False) for q in (*curve.percentiles.values(), curve.maximum)]
    return (
        Cell(curve.where, tone, subject.title),
        *(Cell(v, tone) for v in values),
        Cell(NOTHING if curve.later_than_1_s is None else f"{curve.later_than_1_s:.2%}", tone),
        Cell(count(curve.maximum.samples), tone),
        Cell(count(curve.non_positive), "bad" if curve.non_positive and curve.metric in _NEVER_EARLY else tone),
    )


def contests(scenario: ScenarioComparison) -> list[Block]:
    """The pairs that were compared in performance; nothing where no two targets may be."""
    if not scenario.contests:
        return []
    rows = tuple(
        (
            Cell(f"{c.metric}, {c.where}"),
            Cell(f"{scenario.subject(c.left).title} / {scenario.subject(c.right).title}"),
            Cell(significant(c.ratio)),
            Cell(f"{significant(c.low)} to {significant(c.high)}" if c.low is not None else NOTHING),
            Cell(_p_value(c.p_value)),
            Cell(count(c.repetitions)),
            Cell(c.statement, "good" if c.winner else "muted"),
        )
        for c in scenario.contests
    )
    columns = (
        Column("Metric", "left", 2),
        Column("Ratio of", "left", 3),
        Column("Median", "right", 1),
        Column("95 % interval", "right", 2),
        Column("p (Holm)", "right", 1),
        Column("Pairs", "right", 1),
        Column("Statement", "left", 3),
    )
    caption = (
        f"Performance, paired by repetition. {scenario.durability}. Interval: bootstrap of the median ratio. p: "
        "paired t test on the logarithms, corrected over all comparisons of the report (Holm). A winner needs both."
    )
    return [Heading(1, "Performance compared"), Table(caption, columns, rows)]


def _p_value(value: float | None) -> str:
    if value is None:
        return NOTHING
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
