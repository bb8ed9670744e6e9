"""What each injected fault cost (METHOD rule 13): outage, time to detect, recovery, and messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from crep.harness.brokers.contract import Outcome
from crep.harness.checks.channel import ChannelRun
from crep.harness.checks.ledger import find
from crep.harness.checks.outage import Silences, outage
from crep.harness.checks.recovery import BASELINE_S, Baseline, Recovery, baseline, recovery
from crep.harness.checks.results import FaultResult, Outage

SECOND = 1_000_000_000
BEFORE_S = 1.0
"""A send that was on its way when the fault came belongs to its cost: so many seconds before it are looked at."""


class FaultRecord(Protocol):
    """What the timeline did, seconds relative to t0 (``runs.document.FaultEvent``)."""

    index: int
    action: str
    site: str
    node: str | None
    subject: str | None
    declared_s: float
    injected_s: float | None
    confirmed_s: float | None
    heal_started_s: float | None
    healed_s: float | None
    error: str | None


@dataclass(frozen=True)
class ChannelFault:
    """One fault as one channel felt it."""

    publish: Outage | None
    receive: tuple[Outage, ...]
    recovery: Recovery
    baseline: str


@dataclass(frozen=True)
class FaultFinding:
    """One injected fault: the stretch of the run that is its own, and every channel of its site."""

    record: FaultRecord
    injected_s: float
    until_s: float  # the next fault, or the end of the measured phase
    channels: dict[str, ChannelFault]

    @property
    def recovered_s(self) -> float | None:
        """When the last of the channels had recovered; None when one did not."""
        times = [one.recovery.at_s for one in self.channels.values()]
        return max((t for t in times if t is not None), default=None) if None not in times else None

    @property
    def over_s(self) -> float:
        """End of the time that counts as *during* the fault."""
        return self.until_s if self.recovered_s is None else self.recovered_s


def find_faults(
    records: Sequence[FaultRecord],
    channels: Mapping[str, Sequence[ChannelRun]],
    control: Mapping[str, ChannelRun] | None,
    *,
    drain_clean: bool,
    control_clean: bool,
) -> list[FaultFinding]:
    """Study every fault that was injected.

    Args:
        records: what the timeline did.
        channels: site → its channels in this run.
        control: channel name → the same channel in the no-fault control run.
        drain_clean: how this run's drain ended.
        control_clean: how the control run's drain ended.
    """
    injected = sorted((r for r in records if r.injected_s is not None), key=lambda record: record.injected_s or 0.0)
    findings = []
    for place, record in enumerate(injected):
        at_s, touched = record.injected_s or 0.0, channels.get(record.site, ())
        end_s = max((channel.measured_s for channel in touched), default=at_s)
        following = injected[place + 1].injected_s if place + 1 < len(injected) else None
        until_s = end_s if following is None else min(end_s, following)
        first_s = injected[0].injected_s or 0.0
        felt = {}
        for channel in touched:
            usual = control.get(channel.name) if control else None
            silences = _silences_by_name(channel)
            usual_ns = _usual_silences(silences, usual, first_s)
            outages = _outages(silences, usual_ns, usual is not None, at_s, until_s)
            base = _baseline(channel, usual, first_s, drain_clean, control_clean)
            recovered = _recover(channel, base, at_s, until_s, drain_clean)
            felt[channel.name] = ChannelFault(
                publish=outages.get(channel.name),
                receive=tuple(found for where, found in outages.items() if where != channel.name),
                recovery=_not_before_the_silence_ended(recovered, silences, usual_ns),
                baseline=base.source if base else "",
            )
        findings.append(FaultFinding(record, at_s, until_s, felt))
    return findings


def _usual_silences(found: Mapping[str, Silences], usual: ChannelRun | None, first_s: float) -> dict[str, int]:
    """Longest silence by name in the control run, else in this run before its first fault; nanoseconds."""
    if usual is not None:
        return {where: silences.longest_ns for where, silences in _silences_by_name(usual).items()}
    return {where: silences.ended_by(round(first_s * SECOND)).longest_ns for where, silences in found.items()}


def _outages(
    found: Mapping[str, Silences], usual_ns: Mapping[str, int], controlled: bool, at_s: float, until_s: float
) -> dict[str, Outage]:
    """The outage of the publishing side and of each reader, by name."""
    outages = {
        where: outage(
            where,
            silences.within(round(at_s * SECOND), round(until_s * SECOND)),
            keys=len(np.unique(silences.key)),
            t0_ns=0,
            usual_ns=usual_ns[where],
            control_ns=usual_ns[where] if controlled else None,
        )
        for where, silences in found.items()
    }
    return {where: one for where, one in outages.items() if one is not None}


def _not_before_the_silence_ended(
    recovered: Recovery, found: Mapping[str, Silences], usual_ns: Mapping[str, int]
) -> Recovery:
    """A good second may begin while the last keys are still silent: then recovery is when these come back."""
    if recovered.at_s is None:
        return recovered
    start_ns = round(recovered.at_s * SECOND)
    last_ns = start_ns
    for where, silences in found.items():
        open_then = (silences.from_ns < start_ns) & (silences.to_ns - silences.from_ns > usual_ns[where])
        last_ns = max(last_ns, int(silences.to_ns[open_then].max(initial=start_ns)))
    return Recovery(last_ns / SECOND)


def _silences_by_name(channel: ChannelRun) -> dict[str, Silences]:
    return {channel.name: channel.publish_silences} | {
        reader.name: channel.receive_silences(reader) for reader in channel.readers
    }


def _baseline(
    channel: ChannelRun, usual: ChannelRun | None, first_s: float, drain_clean: bool, control_clean: bool
) -> Baseline | None:
    """From the control run where there is a long enough one, else from this run's part before its first fault."""
    if usual is not None and usual.measured_s >= BASELINE_S:
        source = f"control run without faults, {usual.measured_s:g} s"
        return baseline(usual, source, 0.0, usual.measured_s, control_clean)
    source = f"this run before its first fault, warm-up included, {channel.warm_up_s + first_s:.1f} s"
    return baseline(channel, source, -channel.warm_up_s, first_s, drain_clean)


def _recover(channel: ChannelRun, base: Baseline | None, at_s: float, until_s: float, drain_clean: bool) -> Recovery:
    if base is None:
        return Recovery(None, f"no baseline: neither a control run nor {BASELINE_S:g} s before the first fault")
    return recovery(channel, base, injected_s=at_s, until_s=until_s, drain_clean=drain_clean)


def fault_result(
    finding: FaultFinding, signs_s: Sequence[float], drain_clean: bool, channels: Sequence[ChannelRun]
) -> FaultResult:
    """What the report says of one fault.

    Args:
        finding: the fault.
        signs_s: when publishers reported a lost connection or an error, seconds relative to t0.
        drain_clean: how the drain ended.
        channels: those of the fault's site.
    """
    felt, record, recovered = finding.channels, finding.record, finding.recovered_s
    publish = [one.publish for one in felt.values() if one.publish is not None]
    reasons = [one.recovery.because for one in felt.values() if one.recovery.because]
    return FaultResult(
        index=record.index,
        action=record.action,
        node=record.subject or record.node,
        declared_s=record.declared_s,
        injected_s=record.injected_s,
        confirmed_s=record.confirmed_s,
        heal_started_s=record.heal_started_s,
        healed_s=record.healed_s,
        detected_s=_detected(finding, signs_s, channels),
        publish=max(publish, key=lambda one: one.longest_s, default=None),
        receive=tuple(one for each in felt.values() for one in each.receive),
        recovered_s=recovered,
        time_to_recover_s=None if recovered is None else recovered - finding.injected_s,
        not_recovered_because="; ".join(reasons) or None,
        baseline=next((one.baseline for one in felt.values() if one.baseline), ""),
        cost=_cost(finding, channels, drain_clean),
    )


def _detected(finding: FaultFinding, signs_s: Sequence[float], channels: Sequence[ChannelRun]) -> float | None:
    """Seconds until a client reported a lost connection, or an outcome was *rejected* or explicitly *unknown*."""
    first = [sign for sign in signs_s if finding.injected_s <= sign < finding.until_s]
    for channel in channels:
        for publisher in channel.history.publishers:
            outcomes = publisher.outcomes
            bad = np.isin(outcomes["outcome"], (Outcome.REJECTED, Outcome.UNKNOWN))
            at_s = (outcomes["at_ns"][bad] - channel.t0_ns) / 1e9
            first += at_s[(at_s >= finding.injected_s) & (at_s < finding.until_s)][:1].tolist()
    return min(first) - finding.injected_s if first else None


def _cost(finding: FaultFinding, channels: Sequence[ChannelRun], drain_clean: bool) -> dict[str, int]:
    """Messages lost and unknown by their intended time, duplicates and disorder by the time of the receipt.

    ``lost`` and the counts of receipts are summed over the readers of the site, ``unknown`` over its channels.
    """
    start, end = round((finding.injected_s - BEFORE_S) * SECOND), round(finding.over_s * SECOND)
    cost = dict.fromkeys(("lost", "duplicates", "reordered", "unknown"), 0)
    for channel in channels:
        intended = channel.sends.intended_ns - channel.t0_ns
        then = (intended >= start) & (intended < end)
        cost["unknown"] += int(np.count_nonzero(then & (channel.sends.outcome == Outcome.UNKNOWN)))
        for reader in channel.readers:
            found = find(channel.sends, reader.history, reader.receipts, drain_clean)
            received = reader.receipts.records["received_ns"] - channel.t0_ns
            came = (received >= round(finding.injected_s * SECOND)) & (received < end)
            cost["lost"] += int(np.count_nonzero(then & found.missing["lost"]))
            cost["reordered"] += int(np.count_nonzero(came & found.receipts["reordered"]))
            for kind, mask in found.receipts.items():
                if kind.startswith("duplicate"):
                    cost["duplicates"] += int(np.count_nonzero(came & mask))
    return cost
