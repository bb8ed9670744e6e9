"""Warmed up and steady (METHOD rule 9): from when on a reader's rate and latency were what they stayed. Pure.

One value per second, from the first intended send to the end of the measured part (or to its first fault)::

    value │ *
          │  *
          │    * *    *  *     *
          │        *   *   * *   *
          └──────┼───────────────────▶ s        cut: what lies before is warm-up
                cut

* *Finding* is MSER-5 (White, An Effective Truncation Heuristic for Bias Reduction in Simulation Output, Simulation 69,
  1997; with means of five: Spratt 1998): of all places to cut in the first half, in steps of 5 s, the one after which
  the mean is known best, by the least sum of squared deviations over the squared number of values left. Not in the
  second half: among many short ends some are alike by chance, and everything before them would then look unusual.
* *Judging* is separate, because noise alone has some best place too. What lies before the place is warm-up up to the
  last five seconds whose median differs from the rest: by more than the tolerance (5 % of the rate, 25 % of latency)
  and by more than noise does once in 10,000 times (Student's t, since the noise is estimated from the rest). A single
  slow second makes none. The run is *steady* where the two halves of what follows do not differ either.

How often noise around one level is not called steady is stated in ``docs/method.md`` and held by a test.

Rate is receipts per second over their median; latency is p99 of a second with 1,000 samples or more, else the
median, as logarithm, so that a second that is ten times as slow does not outweigh all others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from crep.harness.checks.results import Steadiness, SteadySeries
from crep.harness.checks.statistics import student_two_sided
from crep.harness.metrics.histogram import Histogram

BATCH = 5
LEAST_S = 4 * BATCH
RATE_TOLERANCE = 0.05
LATENCY_TOLERANCE = math.log(1.25)
BY_CHANCE = 1e-4
"""A difference that noise alone would make as seldom as this is one."""
SAMPLES_FOR_P99 = 1000

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Cut:
    """``seconds`` from the start of a series are warm-up; ``steady``: whether what follows stays the same."""

    seconds: int
    steady: bool


def find_cut(values: Values) -> int:
    """Where MSER-5 cuts: a number of values, a multiple of 5, at most half; ``values`` 1-d, ``LEAST_S`` or more."""
    batches = values[: len(values) // BATCH * BATCH].reshape(-1, BATCH).mean(axis=1)
    rests = [batches[start:] for start in range(len(values) // 2 // BATCH + 1)]
    scores = [float(np.square(rest - rest.mean()).sum()) / len(rest) ** 2 for rest in rests]
    return int(np.argmin(scores)) * BATCH


def judge(values: Values, tolerance: float) -> Cut:
    """Where a series of ``LEAST_S`` values or more became steady, and whether it stayed so."""
    place = find_cut(values)
    rest = values[place:]
    # A median's error is 1.25 times a mean's.
    error = 1.25 * float(rest.std(ddof=1)) / math.sqrt(BATCH)
    apart = max(tolerance, critical(len(rest) - 1) * error)
    medians = np.median(values[:place].reshape(-1, BATCH), axis=1)
    unusual = np.flatnonzero(np.abs(medians - float(np.median(rest))) > apart)
    cut = BATCH * (int(unusual[-1]) + 1) if len(unusual) else 0
    return Cut(cut, steady=not _drifts(values[cut:], tolerance))


def _drifts(values: Values, tolerance: float) -> bool:
    """Whether the means of the two halves differ."""
    one, other = values[: len(values) // 2], values[len(values) // 2 :]
    error = math.sqrt(float(one.var(ddof=1)) / len(one) + float(other.var(ddof=1)) / len(other))
    return abs(float(one.mean() - other.mean())) > max(tolerance, critical(len(values) - 2) * error)


@cache
def critical(degrees: int) -> float:
    """How many estimated standard errors apart is no chance: the t with ``BY_CHANCE`` beyond, on both sides."""
    low, high = 3.0, 100.0  # the normal distribution's is 3.9, that of 2 degrees of freedom 100
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if student_two_sided(middle, degrees) > BY_CHANCE else (low, middle)
    return high


@dataclass(frozen=True)
class Second:
    """What a reader received in one second, and the latencies of the messages that were intended in it."""

    receipts: int
    latency: Histogram


def rates(seconds: Sequence[Second]) -> Values:
    """Receipts of each second over their median (1 where that is 0)."""
    receipts = np.array([second.receipts for second in seconds], np.float64)
    return receipts / max(float(np.median(receipts)), 1.0)


def latencies(seconds: Sequence[Second]) -> Values:
    """Logarithm of each second's latency in ns; a second without samples takes the value before it."""
    values: list[float] = []
    for second in seconds:
        enough = second.latency.count >= SAMPLES_FOR_P99
        value = _percentile(second.latency, 99.0 if enough else 50.0)
        values.append(values[-1] if value is None and values else math.log(max(value or 1.0, 1.0)))
    return np.array(values)


def _percentile(histogram: Histogram, percent: float) -> float | None:
    """Also where too few samples lie beyond for a printed percentile: seconds are compared with each other."""
    if not histogram.count:
        return None
    value = histogram.percentile_ns(percent)
    return value if value is not None else histogram.mean_ns


def steadiness(
    readers: Mapping[str, Mapping[int, Second]], *, warm_up_s: float, until_s: float, because: str = ""
) -> Steadiness:
    """Whether the measured part was steady, over all readers.

    Args:
        readers: ``channel.reader`` → what it received by second relative to t0 (negative: warm-up).
        warm_up_s: as the scenario declares it.
        until_s: end of the measured part, or its first fault.
        because: why nothing can be judged at all (the rate was meant to change); empty where it can.
    """
    first, last = math.ceil(-warm_up_s), math.floor(until_s)
    if not because and last - first < LEAST_S:
        because = f"{last - first} s until the end or the first fault are too short; {LEAST_S} s are needed"
    if because or not readers:
        text = f"not judged: {because or 'nothing was received'}"
        return Steadiness(verdict="not-judged", text=text, declared_warm_up_s=warm_up_s, measured_s=max(until_s, 0.0))
    nothing = Second(0, Histogram())
    series: list[SteadySeries] = []
    for where, by_second in readers.items():
        seconds = [by_second.get(second, nothing) for second in range(first, last)]
        for metric, values, tolerance in (
            ("rate", rates(seconds), RATE_TOLERANCE),
            ("latency", latencies(seconds), LATENCY_TOLERANCE),
        ):
            cut = judge(values, tolerance)
            from_s = float(first + cut.seconds) if cut.steady else None
            series.append(SteadySeries(where=where, metric=metric, steady_from_s=from_s))
    return _summed(series, first, warm_up_s, until_s)


def _summed(series: Sequence[SteadySeries], first: int, warm_up_s: float, until_s: float) -> Steadiness:
    never = [f"{one.metric} of {one.where}" for one in series if one.steady_from_s is None]
    common = Steadiness(
        verdict="never-steady",
        text=f"never became steady: {', '.join(never)}",
        declared_warm_up_s=warm_up_s,
        measured_s=until_s,
        series=tuple(series),
    )
    if never:
        return common
    slowest = max(series, key=lambda one: one.steady_from_s or 0.0)
    from_s = slowest.steady_from_s or 0.0
    lengths = {"warm_up_s": from_s - first, "steady_s": until_s - max(from_s, 0.0)}
    if from_s > 0:
        text = (
            f"the warm-up of {warm_up_s:g} s was too short: {slowest.metric} of {slowest.where} was steady only from "
            f"{from_s:g} s of the measured part on"
        )
        return common.model_copy(update={**lengths, "verdict": "warm-up-too-short", "text": text})
    text = (
        f"steady {lengths['warm_up_s']:g} s after the first send, of {warm_up_s:g} s of warm-up; measured {until_s:g} s"
    )
    return common.model_copy(update={**lengths, "verdict": "steady", "text": text})
