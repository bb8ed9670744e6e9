"""The rules of the method that make a run valid or not, each with a sentence for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from crep.harness.checks.faults import FaultRecord
from crep.harness.checks.results import ChannelLedger, Drain, Rule
from crep.harness.metrics.histogram import Histogram
from crep.harness.scenario.plan import TimelineEvent

LATE_FAULT_S = 1.0
"""A fault that comes later than this after its declared time is another experiment."""


def lateness_rule(lateness: Mapping[str, Histogram], limit_s: float, phase: str) -> Rule:
    """METHOD rule 1: the client kept the schedule. With too few samples for a p99 the maximum is held to the limit.

    Args:
        lateness: channel → actual minus intended send, of the phase.
        limit_s: the scenario's limit.
        phase: the words for it: ``in the measured phase`` or ``outside faults``, where a broker that is down makes its
            clients wait.
    """
    worst, text = 0.0, []
    for channel, histogram in lateness.items():
        p99, what = histogram.percentile_ns(99), "p99"
        if p99 is None:
            p99, what = histogram.max_ns, f"maximum of {histogram.count} samples"
        if p99 is None:
            return Rule(name="lateness", holds=False, text=f"nothing was sent to {channel} {phase}")
        worst = max(worst, p99 / 1e9)
        text.append(f"{channel} {what} {p99 / 1e6:.3g} ms")
    holds = worst <= limit_s
    kept = "the clients kept the schedule" if holds else "the clients could not keep the schedule"
    return Rule(name="lateness", holds=holds, text=f"{kept} {phase}: {', '.join(text)}; limit {limit_s * 1e3:.3g} ms")


def drain_rule(drain: Drain | None) -> Rule:
    """METHOD rule 5: loss is judged only after the broker itself said that nothing is left."""
    if drain is None:
        return Rule(name="drain", holds=False, text="the run ended before it was drained, so loss is not known")
    ended = "clean" if drain.clean else "with messages on their way, so loss is not known"
    return Rule(
        name="drain", holds=drain.clean, text=f"the drain of {drain.duration_s:.1f} s ended {ended}: {drain.reason}"
    )


def faults_rule(declared: Sequence[TimelineEvent], happened: Sequence[FaultRecord]) -> Rule:
    """METHOD rule 13: every declared fault was injected, confirmed by a probe, and healed where that was declared."""
    records = {record.index: record for record in happened}
    wrong = []
    for event in declared:
        record = records.get(event.index)
        what = f"{event.action} at {event.at_s:g} s"
        if record is None or record.injected_s is None:
            wrong.append(f"{what} was not injected")
        elif record.injected_s - event.at_s > LATE_FAULT_S:
            wrong.append(f"{what} was injected {record.injected_s - event.at_s:.1f} s late")
        elif record.confirmed_s is None:
            wrong.append(f"{what} was not confirmed by the probe")
        elif event.heal_after_s is not None and record.healed_s is None:
            who = "the broker did not come back" if event.channel is None else "it was not healed"
            wrong.append(f"{what}: {who}")
        if record is not None and record.error:
            wrong.append(f"{what}: {record.error}")
    if not declared:
        return Rule(name="faults", holds=True, text="no fault was declared")
    return Rule(name="faults", holds=not wrong, text="; ".join(wrong) or f"{len(declared)} injected and confirmed")


def clock_rule(non_positive: Mapping[str, int]) -> Rule:
    """METHOD rule 3: nothing arrives before it was meant to be sent. ``non_positive``: what → samples."""
    seen = [f"{count:,} of {what}" for what, count in non_positive.items() if count]
    text = "no sample is 0 or below" if not seen else f"samples that are 0 or below: {', '.join(seen)}"
    return Rule(name="clock", holds=not seen, text=text)


def schedule_rule(channels: Iterable[ChannelLedger]) -> Rule:
    """Every message that the schedule intended was handed to a client library."""
    left = [f"{one.unscheduled:,} of {one.channel}" for one in channels if one.unscheduled]
    text = "every intended message was handed over" if not left else f"never handed over: {', '.join(left)}"
    return Rule(name="schedule", holds=not left, text=text)


def outcomes_rule(channels: Iterable[ChannelLedger]) -> Rule:
    """No message has two different outcomes, and no outcome is without a message."""
    seen = [f"{one.contradictions:,} on {one.channel}" for one in channels if one.contradictions]
    text = "no outcome contradicts another" if not seen else f"contradicting outcomes: {', '.join(seen)}"
    return Rule(name="outcomes", holds=not seen, text=text)


def completed_rule(failure: str | None) -> Rule:
    """The run went to its end, with every client alive."""
    text = "the run went to its end, every client alive" if failure is None else f"the run was cut short: {failure}"
    return Rule(name="completed", holds=failure is None, text=text)


def records_rule(
    receipts: Mapping[str, tuple[int, int]],
    damage: Sequence[str] = (),
    remarks: Sequence[str] = (),
    *,
    killed: bool = False,
) -> Rule:
    """What clients counted while they received is what their records hold: no record was lost on its way to the disk.

    Args:
        receipts: channel.reader → (counted by its clients, recorded).
        damage: what else is wrong with the records or with the ledger that was made of them.
        remarks: what a reader of the ledger must know, and is not wrong.
        killed: a fault ended clients. These had recorded more than they had told of; never less.
    """
    wrong, untold = [], []
    for where, (told, kept) in receipts.items():
        if told > kept or (told != kept and not killed):
            wrong.append(f"{where} counted {told:,} and recorded {kept:,}")
        elif told != kept:
            untold.append(f"{kept - told:,} receipts of {where} were recorded by clients that were killed uncounted")
    wrong += damage
    text = "; ".join([*(wrong or ["every receipt that was counted was recorded"]), *untold, *remarks])
    return Rule(name="records", holds=not wrong, text=text)
