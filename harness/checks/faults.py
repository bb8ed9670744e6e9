"""What each injected fault cost (METHOD rule 13): detection, outage, backlog, recovery, and messages.

Faults may overlap: one may come before the effects of another are over. Then no check can tell whose a message is, and
they are one *group*, to which messages are attributed together. A fault's effects are over at the first second, at or
after its healing, from which all is as before for 5 s::

    injected ─▶ detected ─▶ recovered (METHOD rule 13) ─▶ healed ─▶ over
       └──────────── what is lost, repeated, late, unknown: the group's ──┘

What is told of one fault alone, also within a group: its outages and reconnects are those of its own *stretch*, from
its injection to that of the next fault.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from crep.harness.checks.attribution import SECOND, added, costs
from crep.harness.checks.backlog import backlog
from crep.harness.checks.channel import ChannelRun
from crep.harness.checks.detection import RECONNECTED, Detection, Sign, detect, unusual_ns
from crep.harness.checks.history import NEVER
from crep.harness.checks.outage import Silences, outage
from crep.harness.checks.recovery import BASELINE_S, Baseline, Recovery, Seconds, baseline
from crep.harness.checks.results import BacklogPeak, BacklogSeries, FaultGroup, FaultResult, Outage

FOREVER_S = float("inf")


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
    backlogs: tuple[BacklogPeak, ...]
    bad_later: int  # seconds that were not as before, after the recovery and before its effects were over


@dataclass(frozen=True)
class FaultFinding:
    """One injected fault, and every channel of its site."""

    record: FaultRecord
    injected_s: float
    until_s: float  # its own stretch: to the next fault, or the end of the measured phase
    ends_s: float  # when its effects are over; infinite: not within the run
    group: tuple[int, ...]  # the indices of all faults that it overlaps with, its own among them
    measured_s: float
    channels: dict[str, ChannelFault]
    detection: Detection | None
    baseline: str

    @property
    def recovered_s(self) -> float | None:
        """When the last of the channels had recovered; None when one did not."""
        times = [one.recovery.at_s for one in self.channels.values()]
        return max((t for t in times if t is not None), default=None) if None not in times else None

    @property
    def over_s(self) -> float:
        """End of the time that counts as *during* the fault: recovered, or the end of the measured phase."""
        return self.measured_s if self.recovered_s is None else self.recovered_s


@dataclass(frozen=True)
class Study:
    """All that is known of the faults of a run."""

    findings: tuple[FaultFinding, ...]
    groups: tuple[FaultGroup, ...]
    outside: dict[str, int]  # what belongs to no fault
    control: dict[str, int] | None  # the same kinds of messages in the control run
    backlogs: tuple[BacklogSeries, ...]


class _Felt:
    """A channel of a run with faults, beside what is usual for it. Made once, asked for every fault."""

    def __init__(
        self, channel: ChannelRun, usual: ChannelRun | None, first_s: float, *, clean: bool, control_clean: bool
    ) -> None:
        self.channel = channel
        self.silences = _silences_by_name(channel)
        self.controlled = usual is not None
        if usual is not None:
            self.usual_ns = {name: one.longest_ns for name, one in _silences_by_name(usual).items()}
        else:
            before = round(first_s * SECOND)
            self.usual_ns = {name: one.ended_by(before).longest_ns for name, one in self.silences.items()}
        self.base = _baseline(channel, usual, first_s, clean, control_clean)
        self._seconds = None if self.base is None else Seconds(channel, self.base, clean)
        self.backlogs = {
            reader.name: backlog(channel, reader, clean)
            for reader in channel.readers
            if reader.history.spec.delivery == "at-least-once"
        }

    def recovered(self, since_s: float) -> Recovery:
        """By METHOD rule 13, looked for from ``since_s`` to the end."""
        if self._seconds is None:
            return Recovery(None, f"no baseline: neither a control run nor {BASELINE_S:g} s before the first fault")
        return self._not_before_the_silence_ended(self._seconds.recovered(since_s))

    def _not_before_the_silence_ended(self, recovered: Recovery) -> Recovery:
        """A good second may begin while the last keys are still silent: then recovery is when these come back."""
        if recovered.at_s is None:
            return recovered
        start_ns = round(recovered.at_s * SECOND)
        last_ns = start_ns
        for where, silences in self.silences.items():
            open_then = (silences.from_ns < start_ns) & (silences.to_ns - silences.from_ns > self.usual_ns[where])
            last_ns = max(last_ns, int(silences.to_ns[open_then].max(initial=start_ns)))
        return Recovery(last_ns / SECOND)

    def fault(self, injected_s: float, until_s: float, ends_s: float) -> ChannelFault:
        """What one fault did to it."""
        outages = self._outages(injected_s, until_s)
        recovery = self.recovered(injected_s)
        began_s = self._first_unusual(injected_s, min(until_s, ends_s))
        if recovery.at_s is not None and began_s > recovery.at_s:  # there was nothing to recover from so far
            recovery = self.recovered(began_s)
        bad = 0
        if self._seconds is not None and recovery.at_s is not None:
            bad = self._seconds.bad(recovery.at_s, min(ends_s, self.channel.measured_s))
        return ChannelFault(
            publish=outages.get(self.channel.name),
            receive=tuple(found for where, found in outages.items() if where != self.channel.name),
            recovery=recovery,
            backlogs=tuple(self._peaks(injected_s, ends_s)),
            bad_later=bad,
        )

    def _first_unusual(self, from_s: float, to_s: float) -> float:
        """When the first unusual silence between two moments began, in seconds; 0: there is none.

        A fault may work late: a broker that the controllers do not hear any more leads until its session has ended.
        """
        began_ns = [
            silences.began_ns[
                (silences.to_ns - silences.began_ns > unusual_ns(self.usual_ns[where]))
                & (silences.began_ns >= from_s * SECOND)
                & (silences.began_ns < to_s * SECOND)
            ]
            for where, silences in self.silences.items()
        ]
        return min((int(found.min()) for found in began_ns if len(found)), default=0) / SECOND

    def _outages(self, injected_s: float, until_s: float) -> dict[str, Outage]:
        """The outage of the publishing side and of each reader, by name."""
        start, until = round(injected_s * SECOND), round(until_s * SECOND)
        if until_s >= self.channel.measured_s:
            until = NEVER  # what falls silent at the end becomes unusual after it
        outages = {
            where: outage(
                where,
                silences.of_stretch(start, until, unusual_ns(self.usual_ns[where])),
                keys=len(np.unique(silences.key)),
                t0_ns=0,
                at_ns=start,
                usual_ns=self.usual_ns[where],
                control_ns=self.usual_ns[where] if self.controlled else None,
            )
            for where, silences in self.silences.items()
        }
        return {where: one for where, one in outages.items() if one is not None}

    def _peaks(self, injected_s: float, ends_s: float) -> list[BacklogPeak]:
        """The highest backlog of each reader, and when it was down again."""
        peaks = []
        start, end = round(injected_s * SECOND), NEVER if ends_s == FOREVER_S else round(ends_s * SECOND)
        for name, of in self.backlogs.items():
            highest, at_ns = of.peak(start, end)
            usual = self.base.readers[name].backlog if self.base and name in self.base.readers else None
            down_ns = None if usual is None else of.down_to(usual, at_ns)
            peaks.append(
                BacklogPeak(
                    where=name,
                    peak=highest,
                    at_s=at_ns / SECOND,
                    usual=usual,
                    drained_s=None if down_ns is None else down_ns / SECOND,
                    drain_s=None if down_ns is None else (down_ns - at_ns) / SECOND,
                )
            )
        return peaks

    def series(self) -> list[BacklogSeries]:
        """The backlog of each reader at the end of every second, from the warm-up to the last receipt."""
        first = -int(np.ceil(self.channel.warm_up_s))
        found = []
        for name, of in self.backlogs.items():
            last_ns = max(round(self.channel.measured_s * SECOND), int(of.left.max(initial=0)))
            ends = np.arange(first + 1, -(-last_ns // SECOND) + 1, dtype=np.int64) * SECOND
            found.append(BacklogSeries(where=name, first_second=first, depth=tuple(of.depth(ends).tolist())))
        return found


def study(
    records: Sequence[FaultRecord],
    channels: Mapping[str, Sequence[ChannelRun]],
    control: Mapping[str, ChannelRun] | None,
    signs: Sequence[Sign],
    *,
    drain_clean: bool,
    control_clean: bool,
) -> Study:
    """Study every fault that was injected.

    Args:
        records: what the timeline did.
        channels: site → its channels in this run.
        control: channel name → the same channel in the no-fault control run.
        signs: what clients said of their connections.
        drain_clean: how this run's drain ended.
        control_clean: how the control run's drain ended.
    """
    injected = sorted((r for r in records if r.injected_s is not None), key=lambda record: record.injected_s or 0.0)
    findings: list[FaultFinding] = []
    groups: list[FaultGroup] = []
    outside: list[dict[str, int]] = []
    backlogs: list[BacklogSeries] = []
    first_s = min((record.injected_s or 0.0 for record in injected), default=0.0)
    for site in dict.fromkeys([*channels, *(record.site for record in injected)]):
        of_site = channels.get(site, ())
        felt = [
            _Felt(
                channel,
                control.get(channel.name) if control else None,
                first_s,
                clean=drain_clean,
                control_clean=control_clean,
            )
            for channel in (of_site if injected else ())
        ]
        mine = [record for record in injected if record.site == site]
        ends = [_ends(record, felt) for record in mine]
        together = _grouped(mine, ends)
        windows = [(mine[places[0]].injected_s or 0.0, max(ends[place] for place in places)) for places in together]
        cost, rest = costs([_nanoseconds(window) for window in windows], of_site, drain_clean)
        outside.append(rest)
        for places, window, spent in zip(together, windows, cost, strict=True):
            indices = tuple(mine[place].index for place in places)
            groups.append(_group(site, indices, window, spent))
            findings += [_finding(mine[place], injected, felt, signs, ends[place], indices) for place in places]
        backlogs += [series for one in felt for series in one.series()]
    return Study(
        findings=tuple(sorted(findings, key=lambda one: one.injected_s)),
        groups=tuple(groups),
        outside=added(outside),
        control=None if control is None else costs([], tuple(control.values()), control_clean)[1],
        backlogs=tuple(backlogs),
    )


def _ends(record: FaultRecord, felt: Sequence[_Felt]) -> float:
    """When the effects of a fault are over: healed, and all as before for 5 s; infinite where that never comes."""
    if record.heal_started_s is not None and record.healed_s is None:
        return FOREVER_S
    since_s = max(record.injected_s or 0.0, record.healed_s or 0.0)
    times = [one.recovered(since_s).at_s for one in felt]
    return max((FOREVER_S if at_s is None else max(at_s, since_s) for at_s in times), default=since_s)


def _grouped(records: Sequence[FaultRecord], ends: Sequence[float]) -> list[list[int]]:
    """Places of faults that overlap with each other, directly or over others; ``records`` by time of injection."""
    groups: list[list[int]] = []
    end_s = -FOREVER_S
    for place, record in enumerate(records):
        if (record.injected_s or 0.0) < end_s:
            groups[-1].append(place)
        else:
            groups.append([place])
        end_s = max(end_s, ends[place])
    return groups


def _nanoseconds(window: tuple[float, float]) -> tuple[int, int]:
    start_s, end_s = window
    return round(start_s * SECOND), NEVER if end_s == FOREVER_S else round(end_s * SECOND)


def _group(site: str, indices: tuple[int, ...], window: tuple[float, float], cost: Mapping[str, int]) -> FaultGroup:
    start_s, end_s = window
    return FaultGroup(
        site=site, faults=indices, from_s=start_s, to_s=None if end_s == FOREVER_S else end_s, cost=dict(cost)
    )


def _finding(
    record: FaultRecord,
    injected: Sequence[FaultRecord],
    felt: Sequence[_Felt],
    signs: Sequence[Sign],
    ends_s: float,
    group: tuple[int, ...],
) -> FaultFinding:
    at_s = record.injected_s or 0.0
    measured_s = max((one.channel.measured_s for one in felt), default=at_s)
    later = [r.injected_s or 0.0 for r in injected if r is not record and (r.injected_s or 0.0) >= at_s]
    until_s = min([*(s for s in later if s > at_s), measured_s])
    noticed_until_s = until_s if until_s < measured_s else FOREVER_S  # the drain is the last one's
    channels = [one.channel for one in felt]
    silences = {name: found for one in felt for name, found in one.silences.items()}
    usual_ns = {name: longest for one in felt for name, longest in one.usual_ns.items()}
    return FaultFinding(
        record=record,
        injected_s=at_s,
        until_s=until_s,
        ends_s=ends_s,
        group=group,
        measured_s=measured_s,
        channels={one.channel.name: one.fault(at_s, until_s, ends_s) for one in felt},
        detection=detect(channels, signs, silences, usual_ns, at_s, noticed_until_s),
        baseline=next((one.base.source for one in felt if one.base), ""),
    )


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


def fault_result(finding: FaultFinding, groups: Sequence[FaultGroup], signs: Sequence[Sign]) -> FaultResult:
    """What the report says of one fault."""
    felt, record, recovered = finding.channels, finding.record, finding.recovered_s
    publish = [one.publish for one in felt.values() if one.publish is not None]
    reasons = [one.recovery.because for one in felt.values() if one.recovery.because]
    alone = next((group.cost for group in groups if group.faults == (record.index,)), {})
    return FaultResult(
        index=record.index,
        action=record.action,
        node=record.node,
        subject=record.subject,
        declared_s=record.declared_s,
        injected_s=record.injected_s,
        confirmed_s=record.confirmed_s,
        heal_started_s=record.heal_started_s,
        healed_s=record.healed_s,
        detected_s=None if finding.detection is None else finding.detection.at_s - finding.injected_s,
        detected_by="" if finding.detection is None else finding.detection.by,
        publish=max(publish, key=lambda one: one.longest_s, default=None),
        receive=tuple(one for each in felt.values() for one in each.receive),
        backlogs=tuple(one for each in felt.values() for one in each.backlogs),
        reconnects=_reconnects(finding, signs),
        recovered_s=recovered,
        time_to_recover_s=None if recovered is None else recovered - finding.injected_s,
        not_recovered_because="; ".join(reasons) or None,
        over_s=None if finding.ends_s == FOREVER_S else finding.ends_s,
        bad_seconds_later=max((one.bad_later for one in felt.values()), default=0),
        baseline=finding.baseline,
        group=finding.group if len(finding.group) > 1 else (),
        cost=dict(alone),
    )


def _reconnects(finding: FaultFinding, signs: Sequence[Sign]) -> dict[str, int]:
    """How often clients of each role said that they were connected again, in the fault's own stretch."""
    until_s = finding.until_s if finding.until_s < finding.measured_s else FOREVER_S  # the drain is the last one's
    return dict(
        Counter(
            f"{sign.role}s"
            for sign in signs
            if sign.kind == RECONNECTED
            and sign.channel in finding.channels
            and finding.injected_s <= sign.at_s < until_s
        )
    )
