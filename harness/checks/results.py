"""What the checks say of one run: plain, frozen, written to ``run.json`` and read by the reports.

Seconds are relative to the first measured message's intended time (``t0``); warm-up is negative. ``None`` means *not
known*, never zero.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from crep.harness.brokers.locating import State
from crep.harness.checks.asked import Asked
from crep.harness.checks.caps import Cap
from crep.harness.checks.usage import NodeUse

Verdict = Literal["passed", "failed", "no-data", "not-judged"]
"""``no-data`` fails (METHOD rule 14); ``not-judged``: a performance threshold on an emulated target (rule 16)."""


class _Result(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Offender(_Result):
    """One message that broke a promise, by its identity."""

    kind: str  # lost, duplicate, reordered, corrupt, unexpected …
    publisher: int | None
    sequence: int | None
    key: int | None = None
    key_sequence: int | None = None
    at_s: float | None = None
    detail: str = ""


class ChannelLedger(_Result):
    """Outcomes of all sends of one channel, warm-up included (METHOD rule 5)."""

    channel: str
    handed_over: int  # taken by the client library
    acknowledged: int
    rejected: int
    unknown: int
    sent: int  # the class offers no acknowledgement
    unscheduled: int  # intended by the schedule and never handed over (the client stayed blocked to the end)
    contradictions: int = 0  # a second, different outcome for the same sequence, or an outcome without a send
    oversize: int = 0  # handed over, larger than the channel takes
    oversize_accepted: int = 0  # of these, not refused
    rejection_reasons: dict[str, int] = {}


class ReaderLedger(_Result):
    """What one logical reader should have received, and did. Counts are messages unless said."""

    channel: str
    reader: str
    share: str
    delivery: str
    members: int
    expected: int  # handed over, not rejected, and selected by the reader's filter
    received: int  # distinct expected messages that came
    lost: int
    pending: int  # acknowledged and missing while the drain had not ended clean
    missing_allowed: int  # missing where the guarantee allows it (at-most-once, or sent without acknowledgement)
    missing_unknown: int  # outcome unknown and not received: neither lost nor delivered
    unknown_received: int  # outcome unknown, but it came
    rejected_received: int  # the broker refused it, and still it came
    duplicates_flagged: int  # extra receipts with the broker's redelivered flag
    duplicates_unflagged: int
    duplicates_flag_not_offered: int
    reordered: int
    reordered_allowed: int
    corrupt: int
    foreign: int  # of another run
    unexpected: int  # never sent, or not selected by the filter
    receipts: int  # all receipts, duplicates included
    failed: int = 0  # receipts that the reader could not process (poison), and said so
    dead_lettered: int = 0  # not processed, and in the reader's dead letter place
    expired: int = 0  # not processed: its time to live was over, and it is in that place or discarded
    misplaced: int = 0  # letters in that place that have no business there
    letters: int | None = None  # in that place; None: there is none, or it was not read to its end
    members_receipts: tuple[int, ...] = ()
    offenders: tuple[Offender, ...] = ()  # the first few of each kind


class LatencySummary(_Result):
    """Percentiles of a whole merged histogram over the measured phase, milliseconds; absent where samples are too few.

    A percentile needs 10 samples beyond it (METHOD rule 4).
    """

    metric: str  # latency | service | acknowledge | lateness
    where: str  # channel.reader, or channel for the publishing side
    samples: int
    non_positive: int
    percentiles_ms: dict[str, float | None]  # "50", "90", "99", "99.9", "99.99"
    mean_ms: float | None
    max_ms: float | None
    later_than: dict[str, float] = {}  # "10 ms", "100 ms", "1 s", "10 s" → share of the samples; empty without any


class Throughput(_Result):
    """Mean rates over the measured phase, messages per second."""

    channel: str
    intended_per_s: float
    sent_per_s: float
    acknowledged_per_s: float
    received_per_s: dict[str, float]  # reader → distinct and doubled receipts


class Outage(_Result):
    """METHOD rule 13: the longest silence per key in which sends were intended, less the control run's longest."""

    where: str  # channel (acknowledgements) or channel.reader (receipts)
    longest_s: float  # maximum over the keys, before the control is taken off
    control_s: float | None  # longest of the no-fault control run
    outage_s: float | None  # longest minus control, never below 0; None without a control run
    keys_hit: float  # share of keys whose own longest silence exceeds the control's longest
    from_s: float
    to_s: float


class BacklogPeak(_Result):
    """How much waited for one reader while a fault was in effect: acknowledged and not yet received, messages."""

    where: str  # channel.reader
    peak: int
    at_s: float  # the first time of the peak
    usual: int | None  # highest of the baseline; None without one
    drained_s: float | None  # when it was no higher than usual again; None: never, or nothing is usual
    drain_s: float | None  # drained minus peak


class BacklogSeries(_Result):
    """The backlog of one reader at the end of each second; index i is second ``first_second + i``."""

    where: str
    first_second: int
    depth: tuple[int, ...]


class FaultGroup(_Result):
    """Faults of one site whose effects overlap (or one fault alone), and the messages that are attributed to them.

    Groups are disjoint in time: no message is in two of them. ``to_s`` is None where the effects were not over before
    the run was.
    """

    site: str
    faults: tuple[int, ...]  # indices
    from_s: float
    to_s: float | None
    cost: dict[str, int]  # ``attribution.KINDS``


class FaultResult(_Result):
    """One injected fault and what it cost."""

    index: int
    action: str
    node: str | None
    subject: str | None = None  # what it acted on: nodes, a reader, …
    declared_s: float
    injected_s: float | None
    confirmed_s: float | None  # the probe saw the broker gone
    heal_started_s: float | None
    healed_s: float | None  # the probe saw it answer again
    detected_s: float | None  # seconds from injection to the first sign that a client had; None: it had none
    detected_by: str = ""  # which sign that was
    publish: Outage | None
    receive: tuple[Outage, ...] = ()
    backlogs: tuple[BacklogPeak, ...] = ()
    reconnects: dict[str, int] = {}  # publishers, subscribers → connections made again, until the next fault
    recovered_s: float | None  # METHOD rule 13: first second from which all holds for 5 s
    time_to_recover_s: float | None  # recovered minus injected
    not_recovered_because: str | None = None
    over_s: float | None = None  # healed, and all as before for 5 s: what comes later is none of its cost
    bad_seconds_later: int = 0  # seconds between recovered and over that were not as before
    baseline: str = ""  # where the baseline is from and how long it is
    group: tuple[int, ...] = ()  # all faults that it overlaps with, itself among them; empty: none
    cost: dict[str, int] = {}
    """Messages that are attributed to it (``attribution``); empty where it overlaps: see ``FaultGroup``."""


class Found(_Result):
    """One message that was missing, and where the broker's own storage has it (``brokers.locating``)."""

    channel: str
    reader: str
    publisher: int
    sequence: int
    key: int | None
    key_sequence: int | None
    at_s: float | None  # its intended time
    state: State
    where: str
    why: str  # what the storage shows of the reason; empty where it shows none


class Whereabouts(_Result):
    """Where what is missing of one reader's messages was found, counted by state and by reason."""

    channel: str
    reader: str
    missing: int  # lost or pending
    looked_for: int
    states: dict[State, int]
    reasons: dict[str, int]  # the most frequent ones
    examples: tuple[Found, ...]


class ExpectationResult(_Result):
    """One line of ``expect:`` judged."""

    text: str
    metric: str
    kind: Literal["functional", "performance"]
    verdict: Verdict
    value: float | None
    unit: str
    threshold: float
    operator: str
    samples: int | None
    reason: str = ""
    evidences: tuple[str, ...] = ()


class Rule(_Result):
    """One rule of the method that makes the run valid or not (lateness, drain, fault confirmed, clock …)."""

    name: str
    holds: bool
    text: str


class Drain(_Result):
    """How the drain ended."""

    clean: bool  # the broker's own backlog was 0 and nothing came for 3 s
    reason: str
    backlog: dict[str, int | None]  # channel.reader → as the broker said last
    duration_s: float


class SteadySeries(_Result):
    """One quantity of one reader, second by second (``checks.steady``)."""

    where: str  # channel.reader
    metric: str  # rate | latency
    steady_from_s: float | None  # None: it never became steady


class Steadiness(_Result):
    """METHOD rule 9: how long the warm-up had to be, and whether what was measured was steady."""

    verdict: Literal["steady", "warm-up-too-short", "never-steady", "not-judged"]
    text: str
    declared_warm_up_s: float
    measured_s: float  # up to the first fault, where there is one
    warm_up_s: float | None = None  # as detected, from the first intended send; None: never steady, or not judged
    steady_s: float | None = None  # how much of the measured part was steady
    series: tuple[SteadySeries, ...] = ()

    @property
    def disturbed(self) -> bool:
        """Whether every reader of the numbers must be told."""
        return self.verdict in ("warm-up-too-short", "never-steady")


class ReplayResult(_Result):
    """One replay held against the ledger. Counts are messages; the window is in seconds relative to t0."""

    channel: str
    number: int  # of the channel's replays, from 1
    from_s: float
    until_s: float
    owed: int  # intended in the window and acknowledged before its end
    replayed: int  # distinct ones of the channel that came again, owed or not
    missing: int  # owed, and did not come again
    doubled: int  # came once more than once
    unexpected: int  # came, and is none of the channel's messages, or damaged, or of no replay
    trouble: str = ""  # why what came again is not known
    offenders: tuple[Offender, ...] = ()


class RunResults(_Result):
    """All verdicts of one run; recomputable from the run folder."""

    rules: tuple[Rule, ...]
    channels: tuple[ChannelLedger, ...]
    readers: tuple[ReaderLedger, ...]
    latencies: tuple[LatencySummary, ...]
    throughput: tuple[Throughput, ...]
    faults: tuple[FaultResult, ...]
    expectations: tuple[ExpectationResult, ...]
    fault_groups: tuple[FaultGroup, ...] = ()
    outside_faults: dict[str, int] = {}  # what the fault groups do not account for; empty without faults
    control_cost: dict[str, int] | None = None  # the same counts of the control run; None without faults or without one
    backlogs: tuple[BacklogSeries, ...] = ()  # of runs with faults
    whereabouts: tuple[Whereabouts, ...] = ()  # of readers that miss something
    replays: tuple[ReplayResult, ...] = ()
    steadiness: Steadiness | None = None  # None: an older crep did not look
    usage: tuple[NodeUse, ...] = ()  # local brokers only
    caps: tuple[Cap, ...] = ()
    asked: Asked | None = None  # where the scenario names the volume of a day

    @property
    def valid(self) -> bool:
        """No rule is broken."""
        return all(rule.holds for rule in self.rules)

    @property
    def passed(self) -> bool:
        """Every expectation that was judged holds."""
        return all(e.verdict in ("passed", "not-judged") for e in self.expectations)
