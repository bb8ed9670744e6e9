"""How subjects, runs and faults are named and coloured, the same in every section."""

from __future__ import annotations

from collections.abc import Sequence

from crep.reports.blocks import (
    Cell,
    Column,
    Tone,
    declared,
    listed,
    plural,
    quantity,
    spread,
)
from crep.reports.comparison import Comparison, FaultSummary, Quantity, RunState, ScenarioComparison, Subject

STATE_WORDS: dict[RunState, tuple[str, Tone]] = {
    "counted": ("counted", "good"),
    "control": ("control", "muted"),
    "invalid": ("INVALID", "bad"),
    "unchecked": ("UNCHECKED", "warn"),
    "incomplete": ("INCOMPLETE", "bad"),
    "interrupted": ("INTERRUPTED", "warn"),
    "failed": ("FAILED", "bad"),
    "not-supported": ("not supported", "muted"),
}


LONGEST_REASON = 140  # characters of a reason on the terminal


def left_out(scenario: ScenarioComparison) -> tuple[str, ...]:
    """``1 invalid``, ``2 not supported`` …: the runs that are neither counted nor control runs, by state."""
    states = [run.state for run in scenario.runs if run.state not in ("counted", "control")]
    return tuple(f"{states.count(state)} {STATE_WORDS[state][0].lower()}" for state in dict.fromkeys(states))


def why_left_out(scenario: ScenarioComparison) -> list[str]:
    """Which run of those does not count, and why: one line for the first of each state and target."""
    lines: dict[tuple[RunState, str], str] = {}
    for run in scenario.runs:
        if run.state in ("counted", "control", "not-supported"):
            continue
        which = f"repetition {run.repetition}" if run.repetition else "control run"
        why = " ".join(run.why.split())
        why = why if len(why) <= LONGEST_REASON else why[: LONGEST_REASON - 1] + "…"
        text = f"{scenario.subject(run.subject).title}, {which} {STATE_WORDS[run.state][0]}: {why}"
        lines.setdefault((run.state, run.subject), text)
    return list(lines.values())


def counted_line(comparison: Comparison) -> str:
    """``4 of 4 measured runs counted, 2 control runs``: the control runs apart, because none is ever averaged in."""
    runs = [run for scenario in comparison.scenarios for run in scenario.runs]
    measured = [run for run in runs if run.repetition]
    counted = sum(run.state == "counted" for run in measured)
    controls = len(runs) - len(measured)
    return f"{counted} of {plural(len(measured), 'measured run')} counted" + (
        f", {plural(controls, 'control run')}" if controls else ""
    )


def steady(scenario: ScenarioComparison) -> str:
    """Per target: in how many counted runs the measured part was steady, after which warm-up; else what was seen."""
    texts = []
    for subject in scenario.subjects:
        found = [r.steadiness for r in scenario.runs if r.run_id in subject.counted and r.steadiness is not None]
        good = [one for one in found if one.verdict == "steady"]
        if not found:
            continue
        if good:
            longest = max(one.warm_up_s or 0.0 for one in good)
            text = f"steady in {len(good)} of {plural(len(subject.counted), 'run')}, at the latest {declared(longest)}"
            texts.append(f"{subject.title}: {text} after the first send")
        texts += dict.fromkeys(f"{subject.title}: {one.text}" for one in found if one.verdict != "steady")
    return "; ".join(texts) or "not judged"


def badge(subject: Subject) -> str:
    """Where the numbers of a subject are from: ``measured``, ``emulated, profile quick``."""
    if subject.functional == "not-supported":
        return "not run"
    return subject.kind if subject.profile == "default" else f"{subject.kind}, profile {subject.profile}"


def performance_failed(subject: Subject) -> str:
    """``1 performance expectation failed``; empty where none did."""
    number = subject.performance_failed
    return f"{plural(number, 'performance expectation')} failed" if number else ""


def tone_of(subject: Subject) -> Tone:
    """Numbers of emulated targets are grey, everywhere."""
    return "plain" if subject.kind == "measured" else "emulated"


def column_of(subject: Subject) -> Column:
    """A column of numbers of one subject, its kind in the head."""
    return Column(subject.title, "right", 1, tone_of(subject), badge(subject))


def counted_in(scenario: ScenarioComparison) -> str:
    """``2 runs of Apache Kafka 4.1.0 and 2 runs of …`` for captions."""
    return listed([f"{plural(len(s.counted), 'run')} of {s.title}" for s in scenario.subjects])


def faults_declared(scenario: ScenarioComparison) -> str:
    """``kill-broker at 8 s``, as the scenario declared it."""
    declared_ones = listed([f"{planned.action} at {declared(planned.declared_s)}" for planned in scenario.timeline])
    measured = any(subject.counted for subject in scenario.subjects)
    return declared_ones or ("none" if measured else "no run came so far; see the timeline of the scenario below")


def fault_name(fault: FaultSummary) -> str:
    """``#1 kill-broker (kafka-1) at 8 s``: its own action, and what it acted on where that is known."""
    on = f" ({' or '.join(fault.acted_on)})" if fault.acted_on else ""
    return f"#{fault.index + 1} {fault.action}{on} at {declared(fault.declared_s)}"


def faults_named(indices: Sequence[int]) -> str:
    """``#1 and #2``."""
    return listed([f"#{index + 1}" for index in indices])


def grey(scenario: ScenarioComparison) -> str:
    """What grey means, where there is some."""
    whys = dict.fromkeys(s.standing.why for s in scenario.subjects if s.kind != "measured")
    return f" Grey: {'; '.join(whys)}." if whys else ""


def with_spread(value: Quantity, tone: Tone, below: str = "") -> Cell:
    """A number with its range over the runs below it, or with why there is none."""
    more = spread(value) if value.value is not None else value.note
    return Cell(quantity(value, unit=False), tone, "; ".join(part for part in (more, below) if part))


def fault_keys(scenario: ScenarioComparison) -> list[tuple[int, str, float]]:
    """(index, action, declared second) of every fault that was injected in a counted run."""
    return sorted({(f.index, f.action, f.declared_s) for f in scenario.fault_summaries})


def recovery(value: Quantity) -> str:
    """``3.00 s``, or *not recovered*."""
    return quantity(value) if value.value is not None else "not recovered"
