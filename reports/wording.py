"""How subjects, runs and faults are named and coloured, the same in every section."""

from __future__ import annotations

from crep.reports.blocks import (
    Column,
    Tone,
    declared,
    listed,
    plural,
    quantity,
)
from crep.reports.comparison import Quantity, ScenarioComparison, Subject


def tone_of(subject: Subject) -> Tone:
    """Numbers of emulated targets are grey, everywhere."""
    return "plain" if subject.kind == "measured" else "emulated"


def column_of(subject: Subject) -> Column:
    """A column of numbers of one subject, its kind in the head."""
    badge = subject.kind if subject.profile == "default" else f"{subject.kind}, profile {subject.profile}"
    return Column(subject.title, "right", 1, tone_of(subject), badge)


def counted_in(scenario: ScenarioComparison) -> str:
    """``2 runs of Apache Kafka 4.1.0 and 2 runs of …`` for captions."""
    return listed([f"{plural(len(s.counted), 'run')} of {s.title}" for s in scenario.subjects])


def faults_declared(scenario: ScenarioComparison) -> str:
    """``kill-broker at 8 s``, as the scenario declared it."""
    return listed([f"{planned.action} at {declared(planned.declared_s)}" for planned in scenario.timeline]) or "none"


def fault_keys(scenario: ScenarioComparison) -> list[tuple[int, str, float]]:
    """(index, action, declared second) of every fault that was injected in a counted run."""
    return sorted({(f.index, f.action, f.declared_s) for f in scenario.fault_summaries})


def recovery(value: Quantity) -> str:
    """``3.00 s``, or *not recovered*."""
    return quantity(value) if value.value is not None else "not recovered"
