"""The sections on faults: how each target lived through them, what recovery took, and what the failure cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from crep.harness.checks.results import Outage
from crep.reports import lost
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
    declared,
    listed,
    plural,
    quantity,
    significant,
)
from crep.reports.comparison import BacklogSummary, BesideFaults, FaultSummary, Quantity, ScenarioComparison, Subject
from crep.reports.figures import timeline_name
from crep.reports.settings import chances
from crep.reports.timelines import recovery_name
from crep.reports.wording import (
    fault_name,
    faults_declared,
    faults_named,
    grey,
    recovery,
    tone_of,
    with_spread,
)

READERS_APART = 2
"""So many readers have a column of their own; where there are more, the worst of them stands for all."""
COST_WORDS = {
    "lost": ("was lost", "were lost"),
    "pending": ("may be lost (the drain had not ended clean)", "may be lost (the drain had not ended clean)"),
    "duplicates": ("came again", "came again"),
    "reordered": ("was overtaken within its key", "were overtaken within their key"),
    "unknown": ("has no known outcome", "have no known outcome"),
    "rejected": ("was rejected", "were rejected"),
}


def faults(scenario: ScenarioComparison) -> list[Block]:
    """Rates over time with the faults drawn in, then outage, recovery and mean rates as tables."""
    if not scenario.series:
        return []
    blocks: list[Block] = [Heading(1, "Throughput, fault and recovery" if scenario.faults else "Throughput")]
    for channel in dict.fromkeys(s.channel for s in scenario.series):
        blocks += _pictures(scenario, channel)
    if scenario.fault_summaries:
        blocks += [
            _recovery_table(scenario),
            *_not_recovered(scenario),
            *_costs(scenario),
            *lost.blocks(scenario),
            *chances(scenario),
            _fault_runs(scenario),
        ]
    else:
        blocks += lost.blocks(scenario)
    if scenario.throughput:
        blocks.append(_throughput(scenario))
    return blocks


def _pictures(scenario: ScenarioComparison, channel: str) -> list[Block]:
    if not scenario.faults:
        names = listed([s.title for s in scenario.subjects])
        caption = f"Channel {channel}: messages per second, one line per run. {scenario.durability}.{grey(scenario)}"
        alt = f"Intended, acknowledged and received messages per second over time for {names}"
        return [Picture(timeline_name(scenario, channel), caption, alt)]
    pictures: list[Block] = []
    for subject in scenario.subjects:
        if not any((row.subject, row.channel) == (subject.key, channel) for row in scenario.series):
            continue
        why = f" Grey: {subject.standing.why}." if subject.kind != "measured" else ""
        caption = (
            f"{subject.title}, channel {channel}: rates, latency and backlog over time, one line per run, and below "
            f"them each fault from its injection until all was as before. {subject.durability}.{why}"
        )
        alt = (
            f"Messages per second, latency and backlog over time for {subject.title}, with {faults_declared(scenario)} "
            "drawn in"
        )
        pictures.append(Picture(recovery_name(scenario, subject, channel), caption, alt))
    return pictures


def _not_recovered(scenario: ScenarioComparison) -> list[Block]:
    """Why, in the words of the checks; once per target and reason."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for f in scenario.fault_summaries:
        if f.time_to_recover.value is None:
            reasons.setdefault((f.subject, f.time_to_recover.note), []).append(fault_name(f))
    return [
        Paragraph(f"{scenario.subject(key).title}, {listed(names)}: not recovered {why}.", "note")
        for (key, why), names in reasons.items()
    ]


def _recovery_table(scenario: ScenarioComparison) -> Table:
    places = list(dict.fromkeys(where for f in scenario.fault_summaries for where in f.receive_outages))
    apart = places if len(places) <= READERS_APART else []
    rows: list[tuple[Cell, ...] | Group] = []
    for index in dict.fromkeys(f.index for f in sorted(scenario.fault_summaries, key=lambda f: f.index)):
        of_index = [f for f in scenario.fault_summaries if f.index == index]
        rows.append(Group(f"#{index + 1} {of_index[0].action} at {declared(of_index[0].declared_s)}"))
        rows += [_recovery_row(scenario, f, apart) for f in of_index]
    if any(f.publish_control is not None for f in scenario.fault_summaries):
        rows.append(Group("The control run, without a fault"))
        rows += [_control_row(scenario, beside, apart) for beside in scenario.beside_faults]
    columns = (
        Column("Target", "left", 4),
        Column("Detected after (s)", "right", 3),
        Column("Publish outage (s)", "right", 2),
        *(Column(f"Receive outage {w.rpartition('.')[2]} (s)", "right", 2) for w in apart),
        *([] if apart else [Column("Receive outage, worst reader (s)", "right", 3)]),
        Column("Recovered after (s)", "right", 2),
        Column("Backlog, highest (messages)", "right", 3),
        Column("Connected again", "right", 3),
    )
    baselines = listed([b for b in dict.fromkeys(f.baseline for f in scenario.fault_summaries) if b])
    caption = (
        f"Outage and recovery, median over the runs, range below. {scenario.durability}. Detected: the first error "
        "that a client was told, or the first silence that is not usual. Outage: longest time in which a key had "
        "intended sends and no acknowledgement (receipt), less the longest of the no-fault control run."
    )
    return Table(caption + (f" Baseline: {baselines}." if baselines else ""), columns, tuple(rows))


def _recovery_row(scenario: ScenarioComparison, f: FaultSummary, apart: Sequence[str]) -> tuple[Cell, ...]:
    subject = scenario.subject(f.subject)
    tone = tone_of(subject)
    if apart:
        received = [
            with_spread(f.receive_outages[w], tone) if w in f.receive_outages else Cell(NOTHING, tone) for w in apart
        ]
    else:
        received = [_worst(f.receive_outages, subject)]
    again = f"; {f.bad_seconds_later} s disturbed later" if f.bad_seconds_later else ""
    return (
        Cell(subject.title, tone, " or ".join(f.acted_on)),
        with_spread(f.detected, tone, listed(f.detected_by)),
        with_spread(f.publish_outage, tone, _keys_hit(f)),
        *received,
        Cell(
            recovery(f.time_to_recover).removesuffix(" s"),
            tone,
            (with_spread(f.time_to_recover, tone).below if f.time_to_recover.value is not None else "") + again,
        ),
        _waited(f.backlogs, subject),
        Cell(_reconnected(f) or "none", tone),
    )


def _keys_hit(f: FaultSummary) -> str:
    share = f.keys_hit.value
    if not share:
        return ""
    shown = "under 1%" if share < 0.01 else "over 99%" if 0.99 < share < 1 else f"{share:.0%}"
    return f"{shown} of the keys"


def _reconnected(f: FaultSummary) -> str:
    return ", ".join(f"{n.value:,g} {role}" for role, n in f.reconnects.items() if n.value)


def _worst(outages: Mapping[str, Quantity], subject: Subject) -> Cell:
    known = {where: value for where, value in outages.items() if value.value is not None}
    if not known:
        return Cell(NOTHING, tone_of(subject))
    where = max(known, key=lambda name: known[name].value or 0.0)
    return with_spread(known[where], tone_of(subject), where)


def _waited(backlogs: Mapping[str, BacklogSummary], subject: Subject) -> Cell:
    """Of the reader for which most waited."""
    known = {where: one for where, one in backlogs.items() if one.peak.value is not None}
    if not known:
        return Cell(NOTHING, tone_of(subject))
    where = max(known, key=lambda name: known[name].peak.value or 0.0)
    one = known[where]
    gone = f"gone in {quantity(one.drain)}" if one.drain.value is not None else one.drain.note
    return Cell(f"{one.peak.value or 0:,.0f}", tone_of(subject), f"{where.rpartition('.')[2]}, {gone}")


def _control_row(scenario: ScenarioComparison, beside: BesideFaults, apart: Sequence[str]) -> tuple[Cell, ...]:
    subject = scenario.subject(beside.subject)
    tone = tone_of(subject)
    mine = [f for f in scenario.fault_summaries if f.subject == beside.subject]
    longest = max((f.publish_control for f in mine if f.publish_control is not None), default=None)
    usual = [one.usual for f in mine for one in f.backlogs.values() if one.usual is not None]
    empty = [Cell(NOTHING, tone)] * (len(apart) or 1)
    return (
        Cell(subject.title, tone, _counts(beside.control) if beside.control is not None else ""),
        Cell(NOTHING, tone),
        Cell(significant(longest), tone, "longest silence"),
        *empty,
        Cell(NOTHING, tone),
        Cell(count(max(usual, default=None)), tone, "usual"),
        Cell(NOTHING, tone),
    )


def _counts(cost: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {number:,}" for name, number in cost.items() if number) or "nothing lost or repeated"


def _costs(scenario: ScenarioComparison) -> list[Block]:
    """What the failure cost, in sentences; those on emulated targets are set apart."""
    blocks: list[Block] = [Heading(2, "What the failure cost")]
    for subject in scenario.subjects:
        style: Literal["plain", "note"] = "plain" if subject.kind == "measured" else "note"
        for f in scenario.fault_summaries:
            if f.subject == subject.key:
                blocks.append(Paragraph(f"{subject.title}, {fault_name(f)}: {_story(f)}", style))
        for group in scenario.fault_groups:
            if group.subject == subject.key:
                often = f"{len(group.runs)} of {plural(len(subject.counted), 'run')}"
                text = (
                    f"{subject.title}, {faults_named(group.faults)} together: their effects overlapped in {often}, so "
                    f"messages are attributed to all of them together: {_messages(group.cost)}."
                )
                blocks.append(Paragraph(text, style))
        for beside in scenario.beside_faults:
            if beside.subject == subject.key:
                blocks.append(_beside(subject, beside))
    return blocks


def _story(f: FaultSummary) -> str:
    """One fault in a few sentences, from its figures alone."""
    parts = []
    if f.detected.value is not None:
        by = f" ({listed(f.detected_by)})" if f.detected_by else ""
        parts.append(f"A client could first know after {quantity(f.detected)}{by}.")
    else:
        parts.append("No client noticed it in every run." if f.detected_by else "No client noticed it.")
    still = [f"{quantity(f.publish_outage)} in publishing"] if f.publish_outage.value else []
    still += [
        f"{quantity(value)} at {where.rpartition('.')[2]}" for where, value in f.receive_outages.items() if value.value
    ]
    if still:
        parts.append(f"The longest silence of a key beyond the usual: {listed(still)}.")
    waited = [
        f"{one.peak.value:,.0f} messages waited for {where.rpartition('.')[2]}"
        + (f", gone {quantity(one.drain)} after the peak" if one.drain.value is not None else "")
        for where, one in f.backlogs.items()
        if one.peak.value and one.peak.value > (one.usual or 0)
    ]
    if waited:
        parts.append(f"Up to {listed(waited)}.")
    if f.time_to_recover.value is not None:
        parts.append(f"All was as before {quantity(f.time_to_recover)} after the injection.")
    else:
        parts.append("It was not seen to recover.")
    if f.cost:
        parts.append(f"Messages: {_messages(f.cost)}.")
    return " ".join(parts)


def _messages(cost: Mapping[str, int]) -> str:
    """``none was lost, 341 came again``: loss is always told."""
    said = ["none was lost"] if not cost.get("lost") and not cost.get("pending") else []
    said += [
        f"{number:,} {COST_WORDS[name][number != 1]}" for name, number in cost.items() if number and name in COST_WORDS
    ]
    return listed(said)


def _beside(subject: Subject, beside: BesideFaults) -> Paragraph:
    outside = {name: number for name, number in beside.outside.items() if number}
    text = f"{subject.title}, outside the faults: {_messages(beside.outside)}."
    if beside.control is not None:
        text += f" In the control run, without a fault: {_messages(beside.control)}."
    return Paragraph(text, "warning" if outside.get("lost") and subject.kind == "measured" else "note")


def _fault_runs(scenario: ScenarioComparison) -> Table:
    def s(value: float | None) -> str:
        return NOTHING if value is None else f"{value:.2f}"

    rows = []
    for row in scenario.faults:
        f, subject = row.result, scenario.subject(row.subject)
        tone = tone_of(subject)
        windows = [_longest_silence([f.publish] if f.publish else []), _longest_silence(f.receive)]
        texts = (s(f.injected_s), s(f.confirmed_s), s(f.heal_started_s), s(f.healed_s), *windows, s(f.recovered_s))
        on = f" ({f.subject or f.node})" if f.subject or f.node else ""
        shared = f", overlaps with {faults_named([i for i in f.group if i != f.index])}" if f.group else ""
        first = Cell(subject.title, tone, f"repetition {row.repetition}, #{f.index + 1} {f.action}{on}{shared}")
        over = Cell(s(f.over_s), tone)
        rows.append((first, *(Cell(text, tone) for text in texts), over, Cell(_counts(f.cost) if f.cost else "", tone)))
    columns = (
        Column("Run", "left", 6),
        Column("Injected", "right", 3),
        Column("Confirmed", "right", 4),
        Column("Healing", "right", 3),
        Column("Healed", "right", 3),
        Column("No acknowledgement", "right", 6),
        Column("No receipt", "right", 5),
        Column("Recovered", "right", 4),
        Column("Over", "right", 3),
        Column("Messages", "left", 5),
    )
    caption = (
        "Each fault of each run, seconds from the first measured message. Over: healed, and all as before for 5 s; "
        "what comes later is none of its cost. No acknowledgement, no receipt: the longest silence "
        "of a key, where it was longer than usual. Messages of faults that overlap are told above, together."
    )
    return Table(caption, columns, tuple(rows))


def _longest_silence(outages: Sequence[Outage]) -> str:
    """From when to when, of the outages that any key felt."""
    felt = [one for one in outages if one.keys_hit > 0]
    if not felt:
        return NOTHING
    worst = max(felt, key=lambda one: one.longest_s)
    return f"{worst.from_s:.2f} to {worst.to_s:.2f}"


def _throughput(scenario: ScenarioComparison) -> Table:
    names = list(dict.fromkeys(n for row in scenario.throughput for n in row.rates))
    rows = []
    for row in scenario.throughput:
        subject = scenario.subject(row.subject)
        cells = [with_spread(row.rates[n], tone_of(subject)) if n in row.rates else Cell(NOTHING) for n in names]
        rows.append((Cell(subject.title, tone_of(subject), row.channel), *cells))
    columns = (
        Column("Target and channel", "left", 3),
        *(Column(f"{n} (msg/s)".capitalize(), "right", 2) for n in names),
    )
    caption = f"Mean rates over the measured phase, median over the runs, range below. {scenario.durability}."
    return Table(caption, columns, tuple(rows))
