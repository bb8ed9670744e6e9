"""What the terminal prints after a run: at most ten plain lines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from crep.reports.blocks import NOTHING, listed, plural, quantity
from crep.reports.comparison import Comparison, FaultSummary, FunctionalVerdict, ScenarioComparison, Subject
from crep.reports.wording import badge, left_out, performance_failed, why_left_out

LINES = 10
_LONGER_S = 0.5
"""Receipts that stayed away so much longer than acknowledgements are told by themselves: it is readers who waited."""
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
    mine = [fault for fault in scenario.fault_summaries if fault.subject == subject.key]
    often = {fault.action for fault in mine if sum(other.action == fault.action for other in mine) > 1}
    return "".join(f"; {_fault(fault, named=fault.action in often)}" for fault in mine)


def _fault(fault: FaultSummary, *, named: bool) -> str:
    """One fault; ``named`` with what it acted on, where there are several of its kind."""
    what = f"{fault.action} of {listed(fault.acted_on)}" if named and fault.acted_on else fault.action
    recovery = quantity(fault.time_to_recover)
    back = "not recovered" if recovery == NOTHING else f"recovered after {recovery}"
    outage = f"outage {quantity(fault.publish_outage)}"
    receipts = max(fault.receive_outages.values(), key=lambda one: one.value or 0.0, default=fault.publish_outage)
    if (receipts.value or 0.0) > (fault.publish_outage.value or 0.0) + _LONGER_S:
        outage += f", of receipts {quantity(receipts)}"
    return f"{what}: {outage}, {back}"
