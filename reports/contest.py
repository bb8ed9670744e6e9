"""Performance compared: paired repetitions, the ratio's interval, winners corrected over the whole report. Pure.

Source of the rules: METHOD 10; the statistics are those of ``checks.statistics``. Here is decided *who* is compared: no
number of a subject that may not be compared ever reaches them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

from crep.harness.checks.results import RunResults
from crep.harness.checks.statistics import LEAST_REPETITIONS, PairedRatio, holm, paired_ratio, winners
from crep.reports.comparison import Contest, Subject
from crep.reports.gather import RunData, results_of

CO_LOCATED = "co-located"
"""Label that bars verdicts on throughput (METHOD rule 17)."""
_PERCENTILES = ("50", "99")
_AT_EQUAL_LOAD = ("latency", "acknowledge")
RECOVERY_RESOLUTION_S = 1.1
"""Recovery is found in whole seconds, and injections come some milliseconds late."""
_KEPT_UP = 0.99
"""Share of the intended rate from which a target is said to have carried the load."""
_EQUAL_LOAD = 0.02
"""Rates that differ by more than this share are not equal: there latency is not compared (METHOD rule 7)."""


@dataclass(frozen=True)
class Metric:
    """One number that two subjects can be compared by."""

    name: str
    where: str
    unit: str
    less_is_better: bool = True
    resolution: float = 0.0  # in its unit: a smaller difference may be none


@dataclass(frozen=True)
class Pairing:
    """One metric of two subjects; ``ratio`` is left / right over the repetitions, None where ``gap`` says why not."""

    metric: Metric
    left: Subject
    right: Subject
    ratio: PairedRatio | None
    gap: str


def pairings(subjects: Sequence[Subject], runs: Mapping[str, Sequence[RunData]]) -> tuple[Pairing, ...]:
    """Every metric of every two subjects of one scenario that may be compared.

    ``runs`` holds the counted runs by subject. A subject whose standing forbids it takes no part, whatever its numbers.
    """
    admitted = [s for s in subjects if s.kind == "measured" and s.standing.comparable and s.counted]
    return tuple(
        _paired(metric, a, b, runs[a.key], runs[b.key])
        for a, b in combinations(admitted, 2)
        if a.durability == b.durability
        for metric in _metrics([*runs[a.key], *runs[b.key]])
        if not (metric.name == "throughput" and CO_LOCATED in {*a.labels, *b.labels})
    )


def decide(drawn: Sequence[Pairing]) -> tuple[Contest, ...]:
    """Who wins each pairing of a whole report, in the order given; corrected over all of them at once."""
    ratios = [pairing.ratio for pairing in drawn if pairing.ratio is not None]
    tested = [ratio.p_value for ratio in ratios if ratio.p_value is not None]
    corrected, won = iter(holm(tested)), iter(winners(ratios))
    return tuple(
        _contest(
            pairing,
            won=pairing.ratio is not None and next(won),
            p_value=next(corrected) if pairing.ratio is not None and pairing.ratio.p_value is not None else None,
        )
        for pairing in drawn
    )


def values(results: RunResults) -> dict[Metric, float | None]:
    """All performance numbers of one run."""
    found: dict[Metric, float | None] = {}
    for summary in results.latencies:
        if summary.metric in ("latency", "acknowledge"):
            for p in _PERCENTILES:
                found[Metric(f"{summary.metric} p{p}", summary.where, "ms")] = summary.percentiles_ms.get(p)
    for rate in results.throughput:
        found[Metric("throughput", rate.channel, "msg/s", less_is_better=False)] = rate.acknowledged_per_s
    for fault in results.faults:
        where = f"{fault.action} at {fault.declared_s:g} s"
        found[Metric("publish outage", where, "s")] = fault.publish.outage_s if fault.publish else None
        found[Metric("time to recover", where, "s", resolution=RECOVERY_RESOLUTION_S)] = fault.time_to_recover_s
    return found


def _metrics(runs: Sequence[RunData]) -> list[Metric]:
    return list(dict.fromkeys(metric for run in runs for metric in values(results_of(run))))


def _paired(
    metric: Metric, left: Subject, right: Subject, lefts: Sequence[RunData], rights: Sequence[RunData]
) -> Pairing:
    a, b = ({_repetition(run): values(results_of(run)).get(metric) for run in runs} for runs in (lefts, rights))
    both = [(a[key], b[key]) for key in sorted(a.keys() & b.keys())]
    known = [(x, y) for x, y in both if x is not None and y is not None]
    gap = ""
    if not both:
        gap = "no repetition was counted on both"
    elif metric.name == "throughput" and all(_kept_up(run, metric.where) for run in (*lefts, *rights)):
        gap = "both carried the whole load, so it says nothing of what either could"
    elif len(known) < len(both):  # the missing ones are the worst ones: leaving them out would flatter
        gap = f"no value in {len(both) - len(known)} of {len(both)} pairs"
    elif metric.resolution and median(abs(x - y) for x, y in known) <= metric.resolution:
        gap = f"the difference is within the resolution of {metric.resolution:g} {metric.unit}"
    elif any(x <= 0 or y <= 0 for x, y in known):
        gap = "a value of 0 has no ratio"
    elif metric.name.startswith(_AT_EQUAL_LOAD):
        gap = _unequal_load(metric.where, lefts, rights)
    ratio = None if gap else paired_ratio([x for x, _ in known], [y for _, y in known])
    return Pairing(metric, left, right, ratio, gap)


def _kept_up(run: RunData, channel: str) -> bool:
    """Whether the intended rate was acknowledged: what differs then is which edge of the phase cut whose messages."""
    rates = [rate for rate in results_of(run).throughput if rate.channel == channel]
    return all(rate.acknowledged_per_s >= _KEPT_UP * rate.intended_per_s for rate in rates)


def _unequal_load(where: str, lefts: Sequence[RunData], rights: Sequence[RunData]) -> str:
    """Why latency at a channel or reader says nothing: one target carried less, and who waits less is no faster.

    What did not arrive has no latency, and what is refused costs none.
    """
    channel, _, reader = where.partition(".")
    sides = [[_carried(run, channel, reader) for run in runs] for runs in (lefts, rights)]
    if any(rate is None for side in sides for rate in side):
        return "the rate that was carried is not known, and latency is compared at equal load only"
    a, b = (median(rate for rate in side if rate is not None) for side in sides)
    if min(a, b) >= (1 - _EQUAL_LOAD) * max(a, b):
        return ""
    return f"{a:,.0f} and {b:,.0f} msg/s were carried, and latency is compared at equal load only"


def _carried(run: RunData, channel: str, reader: str) -> float | None:
    """Messages per second that a reader received, or that a channel acknowledged (sent, where it does not)."""
    for rate in results_of(run).throughput:
        if rate.channel == channel:
            return rate.received_per_s.get(reader) if reader else rate.acknowledged_per_s or rate.sent_per_s
    return None


def _repetition(run: RunData) -> tuple[str, str, int]:
    """What makes a pair: the same repetition of the same start of a campaign, so that both ran side by side."""
    document = run.document
    return document.campaign, document.campaign_started_utc or "", document.repetition


def _contest(pairing: Pairing, won: bool, p_value: float | None) -> Contest:
    metric, ratio = pairing.metric, pairing.ratio
    winner = None
    if ratio is None:
        statement = f"not compared: {pairing.gap}"
    elif ratio.p_value is None:
        statement = f"no winner: fewer than {LEAST_REPETITIONS} repetitions give no interval"
    elif won:
        winner = pairing.left if (ratio.median < 1.0) == metric.less_is_better else pairing.right
        statement = f"{winner.title} is better in {metric.name}, {metric.where}"
    elif ratio.differs:
        statement = "no winner: not certain enough after correction for the number of comparisons"
    else:
        statement = "no winner: the interval contains 1"
    return Contest(
        metric=metric.name,
        where=metric.where,
        unit=metric.unit,
        left=pairing.left.key,
        right=pairing.right.key,
        repetitions=ratio.repetitions if ratio else 0,
        ratio=ratio.median if ratio else None,
        low=ratio.low if ratio else None,
        high=ratio.high if ratio else None,
        p_value=p_value,
        winner=winner.key if winner else None,
        statement=statement,
    )
