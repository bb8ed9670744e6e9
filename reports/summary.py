"""What the terminal prints after a run: at most ten plain lines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from crep.reports.blocks import NOTHING, plural, quantity
from crep.reports.comparison import Comparison, FunctionalVerdict, ScenarioComparison, Subject
from crep.reports.wording import badge, left_out, performance_failed, why_left_out

LINES = 10
_WORDS: dict[FunctionalVerdict, str] = {
    "passed": "functional passed",
    "failed": "functional FAILED",
    "no-verdict": "NO VERDICT",
    "not-supported": "not supported",
}


def summary_lines(comparison: Comparison, written: Sequence[Path] = ()) -> list[str]:
    """What was compared, the verdicts, lost and doubled, outage and recovery per target, which files were written."""
    lines: list[str] = []
    for scenario in comparison.scenarios:
        lines.append(_headline(scenario))
        lines += [f"  {text}" for text in why_left_out(scenario)]
        for subject in scenario.subjects:
            lines += _subject(scenario, subject)
        lines += [f"  {sentence}" for sentence in scenario.performance]
    report = _report(written)
    room = LINES - len(report)
    if len(lines) > room:
        left = len(lines) - room + 1
        lines = [*lines[: room - 1], f"  … {plural(left, 'more line')} in the report"]
    return lines + report


def _report(written: Sequence[Path]) -> list[str]:
    if not written:
        return []
    first, *others = written
    beside = f" (and {', '.join(file.suffix for file in others)} beside it)" if others else ""
    return [f"Report: {first}{beside}"]


def _headline(scenario: ScenarioComparison) -> str:
    counted = sum(run.state == "counted" for run in scenario.runs)
    parts = ", ".join((f"{plural(counted, 'run')} counted", *left_out(scenario)))
    return f"{scenario.label}: {parts}; {scenario.durability}"


def _subject(scenario: ScenarioComparison, subject: Subject) -> list[str]:
    verdict = ", ".join(part for part in (_WORDS[subject.functional], performance_failed(subject)) if part)
    rows = [row for row in scenario.ledger if row.subject == subject.key and row.delivery == "at-least-once"]
    lost = sum(row.counts["lost"] for row in rows)
    doubled = sum(n for row in rows for name, n in row.counts.items() if name.startswith("duplicates"))
    acknowledged = sum(row.counts["acknowledged"] for row in scenario.sends if row.subject == subject.key)
    lines = [f"  {subject.title} ({badge(subject)}): {verdict}; {subject.functional_text}"]
    if rows:
        lines.append(
            f"    acknowledged {acknowledged:,}, lost {lost:,}, duplicates {doubled:,}" + _faults(scenario, subject)
        )
    return lines


def _faults(scenario: ScenarioComparison, subject: Subject) -> str:
    texts = []
    for fault in scenario.fault_summaries:
        if fault.subject == subject.key:
            outage, recovery = quantity(fault.publish_outage), quantity(fault.time_to_recover)
            back = "not recovered" if recovery == NOTHING else f"recovered after {recovery}"
            texts.append(f"; {fault.action}: outage {outage}, {back}")
    return "".join(texts)
