"""What the terminal prints after a run: at most ten plain lines."""

from __future__ import annotations

from pathlib import Path

from crep.reports.blocks import NOTHING, plural, quantity
from crep.reports.comparison import Comparison, ScenarioComparison, Subject

LINES = 10


def summary_lines(comparison: Comparison, folder: Path | None = None) -> list[str]:
    """What was compared, the verdicts, lost and doubled, outage and recovery per target, where the report is."""
    lines: list[str] = []
    for scenario in comparison.scenarios:
        lines.append(_headline(scenario))
        for subject in scenario.subjects:
            lines += _subject(scenario, subject)
        lines += [f"  {sentence}" for sentence in scenario.performance]
    report = [] if folder is None else [f"Report: {folder / 'report.pdf'} (and .html, .json beside it)"]
    room = LINES - len(report)
    if len(lines) > room:
        left = len(lines) - room + 1
        lines = [*lines[: room - 1], f"  … {plural(left, 'more line')} in the report"]
    return lines + report


def _headline(scenario: ScenarioComparison) -> str:
    states = [run.state for run in scenario.runs if run.state not in ("counted", "control")]
    left_out = "".join(f", {states.count(state)} {state}" for state in dict.fromkeys(states))
    counted = sum(run.state == "counted" for run in scenario.runs)
    return f"{scenario.name}: {plural(counted, 'run')} counted{left_out}; {scenario.durability}"


def _subject(scenario: ScenarioComparison, subject: Subject) -> list[str]:
    kind = subject.kind if subject.profile == "default" else f"{subject.kind}, profile {subject.profile}"
    verdict = {"passed": "passed", "failed": "FAILED", "no-verdict": "NO VERDICT"}[subject.functional]
    rows = [row for row in scenario.ledger if row.subject == subject.key and row.delivery == "at-least-once"]
    lost = sum(row.counts["lost"] for row in rows)
    doubled = sum(n for row in rows for name, n in row.counts.items() if name.startswith("duplicates"))
    acknowledged = sum(row.counts["acknowledged"] for row in scenario.sends if row.subject == subject.key)
    lines = [f"  {subject.title} ({kind}): {verdict}, {subject.functional_text}"]
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
