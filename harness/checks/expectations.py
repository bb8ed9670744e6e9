"""Judging the scenario's expectations from what was found (METHOD rules 4, 14, 16)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from crep.harness.checks.latency import statistic_s
from crep.harness.checks.results import ChannelLedger, ExpectationResult, ReaderLedger, ReplayResult, Verdict
from crep.harness.metrics.histogram import Histogram
from crep.harness.scenario.expectation import Expectation, When, format_value

LEAST_SAMPLES_IN_PHASE = 1000

_OF_RECEIPTS = frozenset({"duplicates", "reordered", "corrupt", "foreign", "unexpected"})
"""Counts of what is wrong with receipts: without any, 0 is no finding."""

_OF_LETTERS = frozenset({"dead_lettered", "misplaced"})

HistogramOf = Callable[[str, str, When], Histogram]
"""Metric, subject (channel or channel.reader), phase → samples of the measured phase."""
RateOf = Callable[[str, str, When], float | None]
"""Subject, statistic, phase → messages per second; None where the phase has no second."""


@dataclass(frozen=True)
class FaultCost:
    """What one fault cost one subject; None with the reason where it is not known."""

    seconds: float | None
    reason: str = ""


@dataclass(frozen=True)
class Evidence:
    """All that expectations are judged from. Subjects are ``channel`` or ``channel.reader``.

    ``outages`` and ``recoveries`` hold one entry per fault that touched the subject. ``barred`` says why an expectation
    cannot be judged on this target; empty where it can.
    """

    channels: Mapping[str, ChannelLedger]
    readers: Mapping[str, ReaderLedger]
    outages: Mapping[str, tuple[FaultCost, ...]]
    recoveries: Mapping[str, tuple[FaultCost, ...]]
    barred: Callable[[Expectation], str]
    histogram: HistogramOf
    rate: RateOf
    replays: Sequence[ReplayResult] = ()


@dataclass(frozen=True)
class Measured:
    """One subject's value; None means no data, with the reason."""

    value: float | None
    samples: int | None = None
    reason: str = ""


def judge(expectation: Expectation, evidence: Evidence) -> ExpectationResult:
    """Hold one expectation against the evidence; of several subjects the worst decides, and missing data fails."""
    measured = {subject: _measure(expectation, subject, evidence) for subject in expectation.subjects}
    missing = [f"{subject}: {one.reason}" for subject, one in measured.items() if one.value is None]
    values = {subject: one.value for subject, one in measured.items() if one.value is not None}
    worst = _worst(expectation, values)
    value = None if worst is None else values[worst]
    verdict: Verdict = "passed"
    reason = ""
    if barred := evidence.barred(expectation):
        verdict, reason = "not-judged", barred
    elif missing:
        verdict, reason = "no-data", "; ".join(missing)
    elif value is not None and not expectation.holds(value):
        verdict = "failed"
        reason = f"{worst}: {expectation.name} is {format_value(value, expectation.metric.unit)}"
    counts = [one.samples for one in measured.values() if one.samples is not None]
    return ExpectationResult(
        text=expectation.text,
        metric=expectation.name,
        kind=expectation.metric.kind,
        verdict=verdict,
        value=value,
        unit=expectation.metric.unit,
        threshold=expectation.threshold,
        operator=expectation.operator,
        samples=min(counts, default=None),
        reason=reason,
        evidences=expectation.evidences,
    )


def _worst(expectation: Expectation, values: Mapping[str, float]) -> str | None:
    """The subject that fails, if one does; else the one nearest to failing."""
    if not values:
        return None
    failing = [subject for subject, value in values.items() if not expectation.holds(value)]
    among = failing or list(values)
    return (min if expectation.operator in {">", ">="} else max)(among, key=lambda subject: values[subject])


def _measure(expectation: Expectation, subject: str, evidence: Evidence) -> Measured:
    name, statistic = expectation.metric.name, expectation.statistic or ""
    if name in {"latency", "service", "acknowledge", "lateness"}:
        return _distribution(expectation, subject, evidence)
    if name == "throughput":
        rate = evidence.rate(subject, statistic, expectation.when)
        return Measured(rate, reason="" if rate is not None else f"no second lies {expectation.when}")
    if name in {"outage", "recovery"}:
        costs = (evidence.outages if name == "outage" else evidence.recoveries).get(subject, ())
        return _cost(costs)
    if name == "replay":
        return _replay(statistic, [one for one in evidence.replays if one.channel == subject])
    return _count(name, subject, evidence)


def _replay(statistic: str, replays: Sequence[ReplayResult]) -> Measured:
    """The worst of all replays of a channel; one of which not everything is known, or that owed nothing, fails."""
    owed = sum(one.owed for one in replays)
    if not replays:
        return Measured(None, 0, "there was no replay")
    if troubles := [one.trouble for one in replays if one.trouble]:
        return Measured(None, owed, troubles[0])
    if empty := [one for one in replays if not one.owed]:
        return Measured(None, owed, f"nothing was acknowledged in the window of replay {empty[0].number}")
    return Measured(max(int(getattr(one, statistic)) for one in replays), owed)


def _distribution(expectation: Expectation, subject: str, evidence: Evidence) -> Measured:
    histogram = evidence.histogram(expectation.metric.name, subject, expectation.when)
    samples = histogram.count
    if expectation.when != "always" and samples < LEAST_SAMPLES_IN_PHASE:
        wanted = f"{LEAST_SAMPLES_IN_PHASE:,} are needed"
        return Measured(None, samples, f"only {samples:,} samples {expectation.when}; {wanted}")
    value = statistic_s(histogram, expectation.statistic or "")
    reason = "" if value is not None else f"{samples:,} samples are too few for {expectation.statistic}"
    return Measured(value, samples, reason)


def _cost(costs: tuple[FaultCost, ...]) -> Measured:
    if not costs:
        return Measured(None, reason="no fault was injected")
    unknown = [cost.reason for cost in costs if cost.seconds is None]
    if unknown:
        return Measured(None, reason=unknown[0])
    return Measured(max(cost.seconds for cost in costs if cost.seconds is not None))


def _count(name: str, subject: str, evidence: Evidence) -> Measured:
    if subject in evidence.channels:
        channel = evidence.channels[subject]
        if name == "oversize_accepted" and not channel.oversize:
            return Measured(None, 0, "no oversize message was sent")
        count = int(getattr(channel, name))
        intended = channel.handed_over + channel.unscheduled
        return Measured(count, intended) if intended else Measured(None, 0, "nothing was sent")
    reader = evidence.readers[subject]
    if reason := _not_known(name, reader, evidence.channels[reader.channel]):
        return Measured(None, reader.expected, reason)
    duplicates = reader.duplicates_flagged + reader.duplicates_unflagged + reader.duplicates_flag_not_offered
    counted = {"missing": reader.missing_allowed, "duplicates": duplicates}
    return Measured(counted.get(name, getattr(reader, name, None)), reader.expected)


def _not_known(name: str, reader: ReaderLedger, channel: ChannelLedger) -> str:
    """Why a count of a reader is not known, or is no finding; empty where it is."""
    pending = f"{reader.pending:,} messages are pending"
    unread = reader.letters is None
    why = "the drain had not ended clean, or what was given up is not known"
    cases = (
        (name == "lost" and reader.pending, f"{pending}: {why}, so loss is not known"),
        (not reader.expected, "nothing was sent that it selects"),
        (name in _OF_LETTERS and unread, "the dead letter place was not read to its end"),
        (name == "expired" and reader.pending, f"{pending}: how many of them have expired is not known"),
        (
            name in {"lost", "pending"} and not channel.acknowledged,
            "nothing was acknowledged, so nothing could be lost",
        ),
        (name in _OF_RECEIPTS and not reader.receipts, "nothing was received"),
    )
    return next((reason for holds, reason in cases if holds), "")
