"""Recovery (METHOD rule 13): the first second from which, for 5 s, all is as it was before the fault.

A second is *as before* when

* at least 95 % of the sends **intended** in it were acknowledged (where the class offers no acknowledgement: handed
  over) in time: within 1 s, or twice the baseline's p99 where that is longer. Acknowledgements that come when the
  outage is over do not make its seconds good;
* each at-least-once reader's backlog (``backlog``) at its end is no higher than the highest of the baseline;
* each reader's latency (received - intended, first receipts) of the messages intended in it is at most twice the
  baseline's: p99 where it has 1,000 samples or more, else the median; and something came, if anything was to come.

Seconds are whole ones relative to t0, so a recovery time has a resolution of 1 s (``faults`` moves it to the end of the
last unusual silence that began before that second, where that is later).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crep.harness.brokers.contract import Outcome
from crep.harness.checks.backlog import backlog
from crep.harness.checks.channel import ChannelRun, ReaderRun
from crep.harness.checks.history import NEVER

SECOND = 1_000_000_000
HOLD_S = 5
BASELINE_S = 10.0
SHARE = 0.95
FACTOR = 2
SAMPLES_FOR_P99 = 1000
IN_TIME_NS = SECOND

Times = NDArray[np.int64]


@dataclass(frozen=True)
class Usual:
    """What is usual for one reader."""

    median_ns: float
    p99_ns: float
    backlog: int


@dataclass(frozen=True)
class Baseline:
    """What is usual, and where that is from. A reader without a receipt in the baseline is absent."""

    source: str
    in_time_ns: int
    readers: dict[str, Usual]


@dataclass(frozen=True)
class Recovery:
    """``at_s`` is None when it did not happen; then ``because`` says what was not as before."""

    at_s: float | None
    because: str | None = None


def baseline(channel: ChannelRun, source: str, start_s: float, end_s: float, drain_clean: bool) -> Baseline | None:
    """What is usual, from ``start_s`` to ``end_s`` of a run; None when that is shorter than 10 s."""
    if end_s - start_s < BASELINE_S:
        return None
    start, end = round(start_s * SECOND), round(end_s * SECOND)
    accepted = channel.accepted_ns - channel.sends.intended_ns
    intended = channel.sends.intended_ns - channel.t0_ns
    there = (channel.accepted_ns != NEVER) & (intended >= start) & (intended < end)
    slowest = float(np.percentile(accepted[there], 99)) if there.any() else 0.0
    readers = {}
    for reader in channel.readers:
        when, latency = _latencies(channel, reader)
        latency = latency[(when >= start) & (when < end)]
        if len(latency):
            median, p99 = np.percentile(latency, [50, 99])
            peak, _ = backlog(channel, reader, drain_clean).peak(start, end)
            readers[reader.name] = Usual(float(median), float(p99), peak)
    return Baseline(source, max(IN_TIME_NS, round(FACTOR * slowest)), readers)


class Seconds:
    """Every whole second of a channel's measured phase against what is usual; made once, asked for every fault."""

    def __init__(self, channel: ChannelRun, usual: Baseline, drain_clean: bool) -> None:
        self._numbers = np.arange(max(1, int(np.floor(channel.measured_s))))
        self._checks = [_acknowledged(channel, usual, self._numbers)]
        for reader in channel.readers:
            known = usual.readers.get(reader.name)
            self._checks += _reader_checks(channel, reader, known, self._numbers, drain_clean)
        self._good = np.logical_and.reduce([holds for _, holds in self._checks])

    def recovered(self, since_s: float) -> Recovery:
        """The first second at or after ``since_s`` from which all is as before for 5 s."""
        first = max(0, int(np.ceil(since_s)))
        good = self._good[first:]
        if len(good) < HOLD_S:
            return Recovery(None, f"only {len(good)} whole seconds were measured after it; {HOLD_S} are needed")
        held = np.convolve(good, np.ones(HOLD_S), "valid") == HOLD_S
        if held.any():
            return Recovery(float(first + int(held.argmax())))
        failing = first + int(np.flatnonzero(~good)[-1])
        reasons = [text for text, holds in self._checks if not holds[failing]]
        return Recovery(None, f"second {failing}: {'; '.join(reasons)}")

    def bad(self, from_s: float, to_s: float) -> int:
        """How many whole seconds between these two were not as before."""
        return int(np.count_nonzero(~self._good[int(np.ceil(from_s)) : max(0, int(np.floor(to_s)))]))


Check = tuple[str, NDArray[np.bool_]]
"""What is wrong where it does not hold, and per second whether it holds."""


def _acknowledged(channel: ChannelRun, usual: Baseline, seconds: Times) -> Check:
    intended = _per_second(channel.moments("intended"), seconds)
    in_time = channel.accepted_ns - channel.sends.intended_ns <= usual.in_time_ns
    in_time &= (channel.accepted_ns != NEVER) & (channel.sends.outcome != Outcome.REJECTED)
    good = _per_second((channel.sends.intended_ns - channel.t0_ns)[in_time], seconds)
    text = f"fewer than {SHARE:.0%} of the intended sends of {channel.name} were acknowledged in time"
    return text, good >= SHARE * intended


def _reader_checks(
    channel: ChannelRun, reader: ReaderRun, usual: Usual | None, seconds: Times, drain_clean: bool
) -> list[Check]:
    if usual is None:
        return [(f"{reader.name} has no baseline: it received nothing", np.zeros(len(seconds), np.bool_))]
    when, latency = _latencies(channel, reader)
    expected = _per_second((channel.sends.intended_ns - channel.t0_ns)[reader.selected], seconds)
    calm = np.ones(len(seconds), np.bool_)
    order = np.argsort(when, kind="stable")
    bounds = np.searchsorted(when[order], np.append(seconds, seconds[-1] + 1) * SECOND)
    for place in range(len(seconds)):
        these = latency[order[bounds[place] : bounds[place + 1]]]
        if not len(these):
            calm[place] = expected[place] == 0
        elif len(these) >= SAMPLES_FOR_P99:
            calm[place] = np.percentile(these, 99) <= FACTOR * usual.p99_ns
        else:
            calm[place] = np.median(these) <= FACTOR * usual.median_ns
    checks = [(f"latency of {reader.name} was more than {FACTOR} times the baseline's", calm)]
    if reader.history.spec.delivery == "at-least-once":
        depth = backlog(channel, reader, drain_clean).depth((seconds + 1) * SECOND)
        checks.append((f"backlog of {reader.name} was higher than before", depth <= usual.backlog))
    return checks


def _latencies(channel: ChannelRun, reader: ReaderRun) -> tuple[Times, Times]:
    """Intended time (relative to t0) and latency of every message that the reader received."""
    came = reader.receipts.received_ns != NEVER
    intended = channel.sends.intended_ns[came]
    return intended - channel.t0_ns, reader.receipts.received_ns[came] - intended


def _per_second(moments: Times, seconds: Times) -> Times:
    places = moments // SECOND - seconds[0]
    return np.bincount(places[(places >= 0) & (places < len(seconds))], minlength=len(seconds))
