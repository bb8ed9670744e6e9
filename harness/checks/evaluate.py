"""All verdicts of one run, computed from what its run folder holds and from nothing else.

::

    run folder ─▶ RunData ─┬─▶ tallies ─▶ ledger, rates, service ──┐
    scenario   ─▶ Plan ────┤                                       ├─▶ rules, expectations ─▶ RunResults
    control    ─▶ RunData ─┴─▶ channels (faults) ─▶ outage, recovery ┘
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from crep.harness.checks import rules
from crep.harness.checks.asked import Asked, asked_volume
from crep.harness.checks.balance import channel_ledger, damage, reader_ledger, remarks, sends_per_second
from crep.harness.checks.caps import ChannelLoad, SiteLimits, find_caps
from crep.harness.checks.channel import Recorded, channel_runs
from crep.harness.checks.dead_letters import GivenUp
from crep.harness.checks.detection import Sign
from crep.harness.checks.expectations import Evidence, FaultCost, judge
from crep.harness.checks.faults import FaultFinding, FaultRecord, fault_result, study
from crep.harness.checks.latency import summarise
from crep.harness.checks.replays import Replayed, judge_replay
from crep.harness.checks.results import (
    ChannelLedger,
    Drain,
    Found,
    LatencySummary,
    ReaderLedger,
    Rule,
    RunResults,
    Steadiness,
    Throughput,
)
from crep.harness.checks.steady import Second, steadiness
from crep.harness.checks.tally import SECOND, ChannelTally, ReaderTally
from crep.harness.checks.usage import Sample, used
from crep.harness.checks.whereabouts import contradicting, whereabouts
from crep.harness.metrics.histogram import Histogram
from crep.harness.scenario.actions.clients import KILLS_CLIENTS
from crep.harness.scenario.expectation import Expectation, When
from crep.harness.scenario.plan import Plan, without_faults


class SiteRecord(Protocol):
    """One broker of the run (``runs.document.SitePart``)."""

    @property
    def target(self) -> str:
        """The target's name."""

    @property
    def genuineness(self) -> str:
        """``genuine``, ``emulated`` or ``mock``."""

    @property
    def profile(self) -> str:
        """``default`` or ``quick``."""

    @property
    def system(self) -> str:
        """``kafka`` or ``solace``."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """``brokers.contract.Facts`` as plain data."""

    @property
    def objects(self) -> Mapping[str, Any]:
        """Channel → native objects."""


class RunData(Recorded, Protocol):
    """A run as it was recorded; a run folder that was read is one (``runs.read.Run``). Seconds are relative to t0."""

    @property
    def drain(self) -> Drain | None:
        """How the drain ended; None in a run that never came so far."""

    @property
    def failure(self) -> str | None:
        """Why the run was cut short; None when it went to its end."""

    @property
    def faults(self) -> Sequence[FaultRecord]:
        """What the timeline did."""

    @property
    def sites(self) -> Mapping[str, SiteRecord]:
        """The brokers, by site."""

    @property
    def labels(self) -> Collection[str]:
        """Codes of the run's labels."""

    @property
    def signs(self) -> Sequence[Sign]:
        """What clients said of their connections."""

    @property
    def whereabouts(self) -> Sequence[Found]:
        """Where missing messages were found in the broker's storage."""

    @property
    def replays(self) -> Sequence[Replayed]:
        """What came again, by replay."""

    @property
    def samples(self) -> Sequence[Sample]:
        """What the processes of local brokers used, second by second."""

    def tallies(self, plan: Plan) -> Mapping[str, ChannelTally]:
        """What every message came to, by channel, in the plan's order."""

    def rejection_reasons(self, channel: str) -> Mapping[str, int]:
        """How often clients were given which reason for a refusal."""

    def given_up(self, channel: str, reader: str) -> GivenUp | None:
        """What was given up of a reader's messages; None where nothing could be, or it was never read."""

    def receipts_counted(self, channel: str, reader: str) -> int:
        """Receipts of all kinds that the reader's clients counted while they ran, apart from their records."""

    def by_second(self, channel: str, reader: str) -> Mapping[int, Second]:
        """What a reader received, by second relative to t0."""

    def histogram(
        self, metric: str, channel: str, reader: str | None = None, seconds: Collection[int] | None = None
    ) -> Histogram:
        """Samples of ``latency``, ``acknowledge`` or ``lateness`` of messages intended in ``seconds``."""


def evaluate(run: RunData, plan: Plan, control: RunData | None = None) -> RunResults:
    """Check one run.

    Args:
        run: the run.
        plan: the plan that it followed (for a control run: ``without_faults`` of it).
        control: the no-fault control run on the same target, for baselines and outages.
    """
    return _Evaluation(run, plan, control).results()


class _Evaluation:
    def __init__(self, run: RunData, plan: Plan, control: RunData | None) -> None:
        self._run, self._plan = run, plan
        self._clean = run.drain is not None and run.drain.clean
        self._tallies = run.tallies(plan)
        # What a fault cost is a matter of every message's times: only a run with faults needs its records here.
        injected = any(record.injected_s is not None for record in run.faults)
        self._channels = channel_runs(run, plan) if injected else {}
        by_site = {
            site: [self._channels[spec.name] for spec in specs if injected] for site, specs in plan.channels.items()
        }
        self._site_of = {spec.name: site for site, specs in plan.channels.items() for spec in specs}
        self._study = study(
            run.faults,
            by_site,
            channel_runs(control, without_faults(plan)) if control is not None and injected else None,
            run.signs if injected else (),
            drain_clean=self._clean,
            control_clean=control is not None and control.drain is not None and control.drain.clean,
        )
        self._findings = self._study.findings
        self._replays = tuple(
            judge_replay(self._channels[one.channel].sends, one, self._channels[one.channel].t0_ns)
            for one in run.replays
            if one.channel in self._channels
        )
        self._seconds = _seconds_by_phase(plan.measured_s, self._findings)
        self._usage = used(run.samples, plan.measured_s)
        self._caps = find_caps(
            {name: SiteLimits(site.system, site.facts, site.objects) for name, site in run.sites.items()},
            [self._load(channel) for channel in self._tallies.values()],
            self._usage,
            plan.measured_s,
        )

    def results(self) -> RunResults:
        channels = tuple(
            channel_ledger(channel, self._run.rejection_reasons(channel.channel)) for channel in self._tallies.values()
        )
        readers = tuple(
            reader_ledger(
                channel,
                reader,
                drain_clean=self._clean,
                given_up=self._run.given_up(channel.channel, reader.spec.name),
            )
            for channel, reader in self._readers().values()
        )
        latencies = tuple(self._latencies())
        return RunResults(
            rules=self._rules(channels, readers, latencies),
            channels=channels,
            readers=readers,
            latencies=latencies,
            throughput=tuple(self._throughput(channel) for channel in self._tallies.values()),
            faults=tuple(fault_result(one, self._study.groups, self._run.signs) for one in self._findings),
            fault_groups=self._study.groups,
            outside_faults=self._study.outside if self._findings else {},
            control_cost=self._study.control,
            backlogs=self._study.backlogs,
            whereabouts=whereabouts(self._run.whereabouts, readers),
            replays=self._replays,
            expectations=tuple(judge(one, self._evidence(channels, readers)) for one in self._plan.expectations),
            steadiness=self._steadiness(),
            usage=self._usage,
            caps=self._caps,
            asked=self._asked(),
        )

    def _asked(self) -> Asked | None:
        """METHOD rule 17: the volume of a day, where the scenario names one."""
        if self._plan.daily is None:
            return None
        loads = [self._load(channel) for channel in self._tallies.values()]
        messages = sum(load.messages for load in loads)
        free = [node.disk_free_min_bytes for node in self._usage if node.disk_free_min_bytes is not None]
        return asked_volume(
            self._plan.daily,
            carried_per_s=sum(load.in_per_s for load in loads),
            size=sum(load.messages * load.size for load in loads) / max(1, messages),
            topics=[self._run.sites[load.site].objects.get(load.channel) or {} for load in loads],
            free_bytes=min(free, default=None),
        )

    def _load(self, channel: ChannelTally) -> ChannelLoad:
        """What went through a channel, for its caps (METHOD rule 12)."""
        publishers = self._plan.feeders_of(channel.channel)
        messages = sum(one.count for one in publishers)
        rates = self._throughput(channel)
        drain_s = 0.0 if self._run.drain is None else self._run.drain.duration_s
        return ChannelLoad(
            site=self._site_of[channel.channel],
            channel=channel.channel,
            messages=messages,
            size=sum(one.count * one.sizes.mean for one in publishers) / max(1, messages),
            lasted_s=self._plan.warm_up_s + self._plan.measured_s + drain_s,
            intended_per_s=rates.intended_per_s,
            in_per_s=rates.acknowledged_per_s or rates.sent_per_s,
            out_per_s=sum(rates.received_per_s.values()),
            publishers=len(publishers),
            consumers=sum(reader.spec.members for reader in channel.readers),
            refusals=self._run.rejection_reasons(channel.channel),
        )

    def _steadiness(self) -> Steadiness:
        """METHOD rule 9, up to the first fault: what comes after one is judged as recovery."""
        until_s = min((one.injected_s for one in self._findings), default=self._plan.measured_s)
        constant = all(publisher.profile.constant for publisher in self._plan.publishers)
        readers = {
            name: self._run.by_second(channel.channel, reader.spec.name)
            for name, (channel, reader) in self._readers().items()
            if constant
        }
        because = "" if constant else "the load was not meant to be steady"
        return steadiness(readers, warm_up_s=self._plan.warm_up_s, until_s=until_s, because=because)

    def _readers(self) -> dict[str, tuple[ChannelTally, ReaderTally]]:
        """By channel.reader."""
        return {
            f"{channel.channel}.{reader.spec.name}": (channel, reader)
            for channel in self._tallies.values()
            for reader in channel.readers
        }

    def _rules(
        self, channels: Sequence[ChannelLedger], readers: Sequence[ReaderLedger], latencies: Sequence[LatencySummary]
    ) -> tuple[Rule, ...]:
        phase: When = "outside faults" if self._findings else "always"
        lateness = {name: self._histogram("lateness", name, phase) for name in self._tallies if self._sends_to(name)}
        # A send at its very instant has lateness 0, and the hand-over is timed when the library's call returns, by
        # which time the message may have arrived: service time ≤ 0. Both are shown; neither means a wrong clock.
        early = {
            f"{one.metric} of {one.where}": one.non_positive
            for one in latencies
            if one.metric in {"latency", "acknowledge"}
        }
        words = "outside faults" if self._findings else "in the measured phase"
        return (
            rules.completed_rule(self._run.failure),
            rules.lateness_rule(lateness, self._plan.lateness_s, words),
            rules.schedule_rule(channels),
            rules.drain_rule(self._run.drain),
            rules.faults_rule(self._plan.timeline, self._run.faults),
            rules.clock_rule(early),
            rules.outcomes_rule(channels),
            self._records_rule(readers),
        )

    def _records_rule(self, ledgers: Sequence[ReaderLedger]) -> Rule:
        readers = self._readers()
        return rules.records_rule(
            {
                name: (self._run.receipts_counted(channel.channel, reader.spec.name), reader.receipts)
                for name, (channel, reader) in readers.items()
            },
            damage=[
                text
                for (name, (_, reader)), found in zip(readers.items(), ledgers, strict=True)
                for text in damage(name, reader, found)
            ]
            + contradicting(self._run.whereabouts, self._tallies),
            remarks=[text for name, (_, reader) in readers.items() for text in remarks(name, reader)],
            killed=any(event.action in KILLS_CLIENTS for event in self._plan.timeline),
        )

    def _sends_to(self, channel: str) -> bool:
        return bool(self._plan.publishers_of(channel))

    def _latencies(self) -> Iterable[LatencySummary]:
        for channel in self._tallies.values():
            for metric in ("acknowledge", "lateness"):
                yield summarise(metric, channel.channel, self._histogram(metric, channel.channel, "always"))
            for reader in channel.readers:
                for metric in ("latency", "service"):
                    name = f"{channel.channel}.{reader.spec.name}"
                    yield summarise(metric, name, self._histogram(metric, name, "always"))

    def _histogram(self, metric: str, subject: str, when: When) -> Histogram:
        """Samples of a subject (channel or channel.reader) in a phase of the measured part."""
        channel, _, reader = subject.partition(".")
        seconds = self._seconds[when]
        if metric == "service":
            return self._service(subject, when)
        return self._run.histogram(metric, channel, reader or None, seconds)

    def _service(self, subject: str, when: When) -> Histogram:
        """Received minus actual send: no client knows both."""
        if self._findings and when != "always":
            return self._service_of_records(subject, self._seconds[when])
        _, reader = self._readers()[subject]
        return reader.service if self._seconds[when] else Histogram()

    def _service_of_records(self, subject: str, seconds: Sequence[int]) -> Histogram:
        channel = self._channels[subject.partition(".")[0]]
        reader = next(one for one in channel.readers if one.name == subject)
        row, records = reader.receipts.row, reader.receipts.records
        intended = np.full(len(row), -SECOND, np.int64)  # not located: before t0
        located = row >= 0
        intended[located] = channel.sends.intended_ns[row[located]] - channel.t0_ns
        within = np.isin(intended // SECOND, np.asarray(seconds, np.int64))
        histogram = Histogram()
        histogram.record(records["received_ns"][within] - channel.sends.sent_ns[row[within]])
        return histogram

    def _throughput(self, channel: ChannelTally) -> Throughput:
        def rate(statistic: str, subject: str = channel.channel) -> float:
            return self._rate(subject, statistic, "always") or 0.0

        return Throughput(
            channel=channel.channel,
            intended_per_s=rate("intended"),
            sent_per_s=rate("sent"),
            acknowledged_per_s=rate("acknowledged"),
            received_per_s={
                reader.spec.name: rate("received", f"{channel.channel}.{reader.spec.name}")
                for reader in channel.readers
            },
        )

    def _rate(self, subject: str, statistic: str, when: When) -> float | None:
        seconds = self._seconds[when]
        if not seconds:
            return None
        if statistic == "received":
            counts = self._readers()[subject][1].per_second
        else:
            counts = sends_per_second(self._tallies[subject.partition(".")[0]], statistic)
        lasted_s = sum(min(1.0, self._plan.measured_s - second) for second in seconds)
        return float(counts[[second for second in seconds if second < len(counts)]].sum()) / lasted_s

    def _evidence(self, channels: Sequence[ChannelLedger], readers: Sequence[ReaderLedger]) -> Evidence:
        outages: dict[str, list[FaultCost]] = {}
        recoveries: dict[str, list[FaultCost]] = {}
        for finding in self._findings:
            for name, felt in finding.channels.items():
                for one in (*([felt.publish] if felt.publish else []), *felt.receive):
                    cost = FaultCost(one.outage_s, "there was no control run, so the outage is not known")
                    outages.setdefault(one.where, []).append(cost)
                at_s = felt.recovery.at_s
                took_s = None if at_s is None else at_s - finding.injected_s
                recoveries.setdefault(name, []).append(FaultCost(took_s, f"not recovered: {felt.recovery.because}"))
        return Evidence(
            channels={one.channel: one for one in channels},
            readers={f"{one.channel}.{one.reader}": one for one in readers},
            outages={name: tuple(costs) for name, costs in outages.items()},
            recoveries={name: tuple(costs) for name, costs in recoveries.items()},
            barred=self._barred,
            histogram=self._histogram,
            rate=self._rate,
            replays=self._replays,
        )

    def _barred(self, expectation: Expectation) -> str:
        """METHOD rules 8, 12, 15, 16, 17, 18: where no performance verdict may be given, and why."""
        site = self._run.sites.get(self._site_of[expectation.channel])
        if expectation.metric.kind == "functional" or site is None:
            return ""
        capped = "; ".join(str(cap) for cap in self._caps if cap.site == self._site_of[expectation.channel])
        shared = expectation.metric.name == "throughput" and "co-located" in self._run.labels
        reasons = (
            (
                site.genuineness != "genuine",
                f"{site.target} is {site.genuineness}: its timings are not a measurement of the product",
            ),
            (
                site.profile != "default",
                f"profile {site.profile} of {site.target} is for tests and demos: no verdict on its timings",
            ),
            (
                "client-bound" in self._run.labels,
                "a client was near its own limit: no verdict on the broker's timings",
            ),
            (bool(capped), f"{capped}: no verdict on the broker"),
            ("late-criteria" in self._run.labels, "the scenario's thresholds are dated after the start of the run"),
            (shared, "broker and clients shared a busy host: no verdict on rates"),
        )
        return next((why for holds, why in reasons if holds), "")


def _seconds_by_phase(measured_s: float, findings: Sequence[FaultFinding]) -> dict[When, list[int]]:
    """The whole seconds of the measured part; a second that a fault touches at all is *during* faults."""
    every = list(range(int(np.ceil(measured_s))))
    during = [s for s in every if any(one.injected_s < s + 1 and one.over_s > s for one in findings)]
    return {
        "always": every,
        "during faults": during,
        "outside faults": [second for second in every if second not in set(during)],
    }
