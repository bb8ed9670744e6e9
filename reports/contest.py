"""Performance compared: paired repetitions, the ratio's interval, winners corrected over all comparisons. Pure.

Source of the rule: METHOD 10. Below five pairs there is neither interval nor winner. Holm's correction (S. Holm, 1979,
"A simple sequentially rejective multiple test procedure") in its interval form: a comparison is decided where the
interval at confidence 1 - 0.05 / (comparisons not yet decided) excludes 1.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from crep.harness.checks.results import RunResults
from crep.reports.comparison import Contest, Subject
from crep.reports.gather import RunData, results_of

REPETITIONS_FOR_A_WINNER = 5
ALPHA = 0.05
RESAMPLES = 20_000
CO_LOCATED = "co-located"
"""Label that bars verdicts on throughput (METHOD rule 17)."""
_PERCENTILES = ("50", "99")


@dataclass(frozen=True)
class Metric:
    """One number that two subjects can be compared by."""

    name: str
    where: str
    unit: str
    less_is_better: bool = True


@dataclass(frozen=True)
class _Pairing:
    metric: Metric
    left: Subject
    right: Subject
    values: tuple[tuple[float, float], ...]  # (left, right) per repetition that both have
    gap: str  # why the pairs cannot be compared at all


def contests(subjects: Sequence[Subject], runs: Mapping[str, Sequence[RunData]]) -> tuple[Contest, ...]:
    """Every metric of every two subjects that may be compared.

    ``runs`` holds the counted runs by subject. A subject whose standing forbids it takes no part, whatever its numbers.
    """
    admitted = [s for s in subjects if s.kind == "measured" and s.standing.comparable and s.counted]
    pairings = [
        _paired(metric, a, b, runs[a.key], runs[b.key])
        for a, b in combinations(admitted, 2)
        if a.durability == b.durability
        for metric in _metrics([*runs[a.key], *runs[b.key]])
        if not (metric.name == "throughput" and CO_LOCATED in {*a.labels, *b.labels})
    ]
    confidence = _corrected([p for p in pairings if _decidable(p)])
    return tuple(_contest(p, confidence.get(id(p))) for p in pairings)


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
        found[Metric("time to recover", where, "s")] = fault.time_to_recover_s
    return found


def _metrics(runs: Sequence[RunData]) -> list[Metric]:
    return list(dict.fromkeys(metric for run in runs for metric in values(results_of(run))))


def _paired(
    metric: Metric, left: Subject, right: Subject, lefts: Sequence[RunData], rights: Sequence[RunData]
) -> _Pairing:
    a, b = ({_repetition(run): values(results_of(run)).get(metric) for run in runs} for runs in (lefts, rights))
    both = [(a[key], b[key]) for key in sorted(a.keys() & b.keys())]
    known = tuple((x, y) for x, y in both if x is not None and y is not None)
    gap = ""
    if not both:
        gap = "no repetition was counted on both"
    elif len(known) < len(both):  # the missing ones are the worst ones: leaving them out would flatter
        gap = f"no value in {len(both) - len(known)} of {len(both)} pairs"
    elif any(x <= 0 or y <= 0 for x, y in known):
        gap = "a value of 0 has no ratio"
    return _Pairing(metric, left, right, () if gap else known, gap)


def _repetition(run: RunData) -> tuple[str, int]:
    return run.document.campaign, run.document.repetition


def _decidable(pairing: _Pairing) -> bool:
    return not pairing.gap and len(pairing.values) >= REPETITIONS_FOR_A_WINNER


def _corrected(open_: list[_Pairing]) -> dict[int, float]:
    """Identity of the pairing → confidence at which it is decided, by Holm's steps."""
    confidence: dict[int, float] = {}
    while open_:
        level = 1.0 - ALPHA / len(open_)
        confidence |= {id(p): level for p in open_}
        still = [p for p in open_ if _contains_one(_interval(p, level))]
        if len(still) == len(open_):
            break
        open_ = still
    return confidence


def _interval(pairing: _Pairing, confidence: float) -> tuple[float, float]:
    """Percentile bootstrap of the median ratio; the seed is fixed, so that the same runs give the same report."""
    ratios = np.array([left / right for left, right in pairing.values])
    picks = np.random.default_rng(0).integers(0, len(ratios), (RESAMPLES, len(ratios)))
    medians = np.median(ratios[picks], axis=1)
    low, high = np.quantile(medians, ((1.0 - confidence) / 2.0, (1.0 + confidence) / 2.0))
    return float(low), float(high)


def _contains_one(interval: tuple[float, float]) -> bool:
    return interval[0] <= 1.0 <= interval[1]


def _contest(pairing: _Pairing, confidence: float | None) -> Contest:
    metric, left, right = pairing.metric, pairing.left, pairing.right
    ratio = statistics.median(x / y for x, y in pairing.values) if pairing.values else None
    low = high = winner = None
    if pairing.gap:
        statement = f"not compared: {pairing.gap}"
    elif confidence is None:
        statement = f"{len(pairing.values)} pairs, fewer than {REPETITIONS_FOR_A_WINNER}: no interval, no winner"
    else:
        low, high = _interval(pairing, confidence)
        if _contains_one((low, high)):
            statement = "no winner: the interval contains 1"
        else:
            winner = left if (high < 1.0) == metric.less_is_better else right
            statement = f"{winner.title} is better in {metric.name}, {metric.where}."
    return Contest(
        metric=metric.name,
        where=metric.where,
        unit=metric.unit,
        left=left.key,
        right=right.key,
        repetitions=len(pairing.values),
        ratio=ratio,
        low=low,
        high=high,
        winner=winner.key if winner else None,
        statement=statement,
    )
