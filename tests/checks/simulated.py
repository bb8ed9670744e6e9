"""A run as an ideal client would have recorded it, with one outage of a chosen kind: what the checks are tried on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crep.harness.brokers.contract import ChannelSpec, Durability, Guarantee, Outcome, ReaderSpec
from crep.harness.checks.channel import channel_runs
from crep.harness.checks.dead_letters import GivenUp
from crep.harness.checks.detection import Sign
from crep.harness.checks.replays import Replayed
from crep.harness.checks.results import Drain, Found
from crep.harness.checks.steady import Second
from crep.harness.checks.tally import ChannelTally
from crep.harness.checks.usage import Sample
from crep.harness.metrics.histogram import Histogram
from crep.harness.metrics.history import OUTCOME, RECEIVED, SENT, Records
from crep.harness.scenario.assignment import Assignment
from crep.harness.scenario.expectation import Expectation, parse_expectation
from crep.harness.scenario.plan import Plan, TimelineEvent
from crep.harness.scenario.profile import Profile, hold
from crep.harness.scenario.publisher_plan import PublisherPlan
from crep.harness.scenario.sizes import Sizes
from tests.checks.tallied import tallied_run

MS, SECOND = 1_000_000, 1_000_000_000
T0 = 900 * SECOND
READERS = {"orders": {"billing": ("billing",), "screen": ("screen",)}}


def a_plan(
    *,
    rate: float = 400,
    measured_s: float = 30,
    warm_up_s: float = 3,
    keys: int = 40,
    kill_at_s: float | None = 8.0,
    expect: tuple[str, ...] = (),
    guaranteed: bool = True,
    screen: Guarantee = "at-most-once",
) -> Plan:
    """Two publishers, a group and a direct reader, one kill."""
    profile = Profile(tuple(hold(rate, measured_s)), warm_up_s)
    readers = (
        ReaderSpec("billing", "group", 2, "at-least-once", order="per-key"),
        ReaderSpec("screen", "all", 1, screen),
    )
    expectations: list[Expectation] = [parse_expectation(text, READERS) for text in expect]
    return Plan(
        scenario="orders",
        channels={"bus": (ChannelSpec("orders", ("orders/eu", "orders/us"), keys, readers, Durability(1, "disk")),)},
        publishers=tuple(
            PublisherPlan(
                publisher=index,
                site="bus",
                channel="orders",
                load=0,
                index=index,
                of=2,
                guaranteed=guaranteed,
                seed=7,
                profile=profile,
                assignment=Assignment(7, index, 2, keys, 2),
                sizes=Sizes(((100, 1.0),)),
            )
            for index in range(2)
        ),
        timeline=() if kill_at_s is None else (TimelineEvent(0, kill_at_s, "kill-broker", "bus", heal_after_s=1.0),),
        expectations=tuple(expectations),
        warm_up_s=warm_up_s,
        measured_s=measured_s,
        drain_s=60,
        lateness_s=0.005,
        reconnect_s=60,
        carrier="payload",
        seed=7,
        repeat=1,
    )


@dataclass
class Fault:
    """``runs.document.FaultEvent``, as far as the checks look."""

    index: int = 0
    action: str = "kill-broker"
    site: str = "bus"
    node: str | None = "broker-1"
    subject: str | None = "broker-1"
    declared_s: float = 8.0
    injected_s: float | None = 8.002
    confirmed_s: float | None = 8.1
    heal_started_s: float | None = 9.002
    healed_s: float | None = 12.0
    error: str | None = None


@dataclass
class Site:
    target: str = "kafka-local"
    genuineness: str = "genuine"
    profile: str = "default"
    system: str = "kafka"
    facts: dict[str, Any] = field(default_factory=dict)
    objects: dict[str, Any] = field(default_factory=dict)


@dataclass
class SimulatedRun:
    """Implements ``checks.evaluate.RunData``.

    From ``down_s`` to ``up_s`` nothing is acknowledged or delivered for the keys below ``keys_hit`` (of 40); then all
    that had waited comes through in ``catch_up_s``. ``drop`` removes every receipt of these (publisher, sequence).
    """

    plan: Plan
    down_s: float | None = None
    up_s: float = 0.0
    catch_up_s: float = 0.5
    keys_hit: int = 10**6
    slow_after_s: float | None = None  # from then on everything takes 20 times as long
    drop: Collection[tuple[int, int]] = ()
    drop_screen_during_outage: bool = True
    cut_off: int = 0  # so many of the last messages of publisher 0 are never handed over
    lateness_ns: int = 20_000
    faults: tuple[Fault, ...] = ()
    drain: Drain | None = field(default_factory=lambda: Drain(clean=True, reason="quiet", backlog={}, duration_s=4.0))
    failure: str | None = None
    unrecorded: int = 0  # receipts that each reader counted and that never reached its records
    sites: dict[str, Site] = field(default_factory=lambda: {"bus": Site()})
    labels: frozenset[str] = frozenset()
    signs: tuple[Sign, ...] = ()
    samples: tuple[Sample, ...] = ()
    whereabouts: tuple[Found, ...] = ()
    replays: tuple[Replayed, ...] = ()
    t0_ns: int | None = T0

    def __post_init__(self) -> None:
        noise = np.random.default_rng(11)
        self._sent: dict[int, Records] = {}
        self._acknowledged: dict[int, NDArray[np.int64]] = {}
        for publisher in self.plan.publishers:
            sequences = np.arange(publisher.count - (self.cut_off if publisher.publisher == 0 else 0), dtype=np.uint64)
            sent = np.zeros(len(sequences), SENT)
            sent["sequence"], sent["intended_ns"] = sequences, publisher.intended_ns(sequences) + T0
            sent["sent_ns"] = sent["intended_ns"] + self.lateness_ns
            sent["key"], sent["key_sequence"] = publisher.assignment.of(sequences)
            sent["topic"], sent["size"] = publisher.assignment.topic_of(sent["key"]), 100
            took = noise.integers(1 * MS, 2 * MS, len(sent))
            done = sent["intended_ns"] + took
            if self.slow_after_s is not None:
                done = np.where(sent["intended_ns"] - T0 >= self.slow_after_s * SECOND, done + 19 * took, done)
            self._sent[publisher.publisher], self._acknowledged[publisher.publisher] = sent, self._delayed(sent, done)

    def _waits(self, sent: Records, done: NDArray[np.int64]) -> NDArray[np.bool_]:
        if self.down_s is None:
            return np.zeros(len(sent), np.bool_)
        relative = done - T0
        inside = (relative >= self.down_s * SECOND) & (relative < self.up_s * SECOND)
        return np.asarray(inside & (sent["key"] < self.keys_hit))

    def _delayed(self, sent: Records, done: NDArray[np.int64]) -> NDArray[np.int64]:
        waits = self._waits(sent, done)
        released = T0 + round(self.up_s * SECOND)
        late = released + np.linspace(0, self.catch_up_s * SECOND, int(waits.sum())).astype(np.int64)
        delayed = done.copy()
        delayed[waits] = late
        hit = sent["key"] < self.keys_hit
        delayed[hit] = np.maximum.accumulate(delayed[hit])  # what came later waits behind what had waited
        return delayed

    def sent(self, publisher: int) -> Records:
        return self._sent[publisher]

    def outcomes(self, publisher: int) -> Records:
        at_ns = self._acknowledged[publisher]
        outcomes = np.zeros(len(at_ns), OUTCOME)
        outcomes["sequence"], outcomes["at_ns"] = np.arange(len(at_ns)), at_ns
        outcomes["outcome"] = Outcome.ACKNOWLEDGED
        return outcomes[np.argsort(at_ns, kind="stable")]

    def receipts(self, channel: str, reader: str, member: int) -> Records:
        parts = []
        for number, sent in self._sent.items():
            got = np.zeros(len(sent), RECEIVED)
            for name in ("sequence", "intended_ns", "key", "key_sequence"):
                got[name] = sent[name]
            got["publisher"], got["received_ns"] = number, self._acknowledged[number] + MS // 2
            gone = np.isin(sent["sequence"], [sequence for publisher, sequence in self.drop if publisher == number])
            if reader == "screen" and self.drop_screen_during_outage:
                gone |= self._waits(sent, sent["intended_ns"] + MS)
            elif reader == "billing":
                gone |= got["key"] // 2 % 2 != member
            parts.append(got[~gone])
        everything = np.concatenate(parts)
        return everything[np.argsort(everything["received_ns"], kind="stable")]

    def tallies(self, plan: Plan) -> dict[str, ChannelTally]:
        """The same history, folded as the checks would fold it while the run goes on."""
        return {name: tallied_run(channel) for name, channel in channel_runs(self, plan).items()}

    def receipts_counted(self, channel: str, reader: str) -> int:
        members = 2 if reader == "billing" else 1
        return sum(len(self.receipts(channel, reader, member)) for member in range(members)) + self.unrecorded

    def given_up(self, channel: str, reader: str) -> GivenUp | None:
        return None

    def rejection_reasons(self, channel: str) -> dict[str, int]:
        return {}

    def by_second(self, channel: str, reader: str) -> dict[int, Second]:
        members = range(2 if reader == "billing" else 1)
        came = np.concatenate([self.receipts(channel, reader, member)["received_ns"] for member in members])
        counts = Counter(((came - T0) // SECOND).tolist())
        return {second: Second(n, self.histogram("latency", channel, reader, [second])) for second, n in counts.items()}

    def histogram(
        self, metric: str, channel: str, reader: str | None = None, seconds: Collection[int] | None = None
    ) -> Histogram:
        histogram = Histogram()
        for intended, values in self._samples(metric, reader):
            second = (intended - T0) // SECOND
            within = np.isin(second, list(seconds)) if seconds is not None else np.ones(len(second), np.bool_)
            histogram.record(values[within])
        return histogram

    def _samples(self, metric: str, reader: str | None) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        if metric == "latency":
            members = 2 if reader == "billing" else 1
            got = [self.receipts("orders", reader or "", member) for member in range(members)]
            return [(one["intended_ns"], one["received_ns"] - one["intended_ns"]) for one in got]
        ends = {n: s["sent_ns"] for n, s in self._sent.items()} if metric == "lateness" else self._acknowledged
        return [(s["intended_ns"], ends[n] - s["intended_ns"]) for n, s in self._sent.items()]
