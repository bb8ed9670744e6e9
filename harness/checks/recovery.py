"""Recovery (METHOD rule 13): the first second from which, for 5 s, all is as it was before the fault.

A second is *as before* when

* at least 95 % of the sends **intended** in it were acknowledged (where the class offers no acknowledgement: handed
  over) in time: within 1 s, or twice the baseline's p99 where that is longer. Acknowledgements that come when the
  outage is over do not make its seconds good;
* each at-least-once reader's backlog at its end is no higher than the highest of the baseline. Backlog is computed from
  the history: messages acknowledged and not yet received. What never came is no backlog once the drain ended clean: it
  is lost, and the ledger says so;
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
            peak = _peak(*_backlog(channel, reader, drain_clean), start, end)
            readers[reader.name] = Usual(float(median), float(p99), peak)
    return Baseline(source, max(IN_TIME_NS, round(FACTOR * slowest)), readers)


def recovery(channel: ChannelRun, usual: Baseline, *, injected_s: float, until_s: float, drain_clean: bool) -> Recovery:
    """When the channel had recovered from a fault injected at ``injected_s``; looked for up to ``until_s``."""
    first, last = int(np.ceil(injected_s)), int(np.floor(until_s))
    if last - first < HOLD_S:
        return Recovery(None, f"only {max(0, last - first)} whole seconds were measured after it; {HOLD_S} are needed")
    seconds = np.arange(first, last)
    checks = [_acknowledged(channel, usual, seconds)]
    for reader in channel.readers:
        checks += _reader_checks(channel, reader, usual.readers.get(reader.name), seconds, drain_clean)
    good = np.logical_and.reduce([holds for _, holds in checks])
    held = np.convolve(good, np.ones(HOLD_S), "valid") == HOLD_S
    if held.any():
        return Recovery(float(seconds[int(held.argmax())]))
    failing = int(np.flatnonzero(~good)[-1])
    reasons = [text for text, holds in checks if not holds[failing]]
    return Recovery(None, f"second {seconds[failing]}: {'; '.join(reasons)}")


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
        entered, left = _backlog(channel, reader, drain_clean)
        ends = (seconds + 1) * SECOND
        depth = np.searchsorted(entered, ends, "right") - np.searchsorted(left, ends, "right")
        checks.append((f"backlog of {reader.name} was higher than before", depth <= usual.backlog))
    return checks


def _latencies(channel: ChannelRun, reader: ReaderRun) -> tuple[Times, Times]:
    """Intended time (relative to t0) and latency of every message that the reader received."""
    came = reader.receipts.received_ns != NEVER
    intended = channel.sends.intended_ns[came]
    return intended - channel.t0_ns, reader.receipts.received_ns[came] - intended


def _backlog(channel: ChannelRun, reader: ReaderRun, drain_clean: bool) -> tuple[Times, Times]:
    """Sorted times (relative to t0) at which messages entered the backlog and left it."""
    acknowledged, received = channel.sends.acknowledged_ns, reader.receipts.received_ns
    waited = reader.selected & (acknowledged < received)
    if drain_clean:
        waited &= received != NEVER
    left = received[waited]
    return np.sort(acknowledged[waited] - channel.t0_ns), np.sort(left[left != NEVER] - channel.t0_ns)


def _peak(entered: Times, left: Times, start: int, end: int) -> int:
    """Highest backlog at any instant from ``start`` to ``end``: it can only rise where a message enters."""
    rises = np.concatenate([[start], entered[(entered >= start) & (entered < end)]])
    depth = np.searchsorted(entered, rises, "right") - np.searchsorted(left, rises, "right")
    return int(depth.max())


def _per_second(moments: Times, seconds: Times) -> Times:
    places = moments // SECOND - seconds[0]
    return np.bincount(places[(places >= 0) & (places < len(seconds))], minlength=len(seconds))
