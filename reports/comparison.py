"""The `Comparison` document: everything that a report says, as data. Renderers add no number and no verdict.

Seconds are relative to the first measured message's intended time; warm-up is negative. ``None`` means *not known*,
never zero. The document is a pure function of the runs: the same runs give the same bytes.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from crep.harness.checks.results import ExpectationResult, FaultResult, Found, Offender, Steadiness, Verdict
from crep.harness.runs.document import Harness, Host, Phase
from crep.harness.runs.importing.document import Imported

SCHEMA = "crep-comparison/1"

Kind = Literal["measured", "emulated", "mock", "unknown"]
"""Where a number is from (METHOD rules 15 and 16). Only *measured* numbers take part in performance verdicts.

*unknown*: no run came so far as to ask the broker what it is.
"""

RunState = Literal["counted", "control", "invalid", "unchecked", "incomplete", "interrupted", "failed", "not-supported"]
"""*counted* runs enter tables and figures; *control* runs are what outages are compared with; others are listed."""

FunctionalVerdict = Literal["passed", "failed", "no-verdict", "not-supported"]
"""*not-supported* is no failure: the target cannot do what the scenario asks, and no load was sent."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Quantity(_Part):
    """One number with its origin. ``low`` and ``high`` span the runs where there is one value per run."""

    value: float | None
    unit: str
    kind: Kind
    durability: str
    runs: tuple[str, ...]
    samples: int | None = None
    low: float | None = None
    high: float | None = None
    per_run: tuple[float | None, ...] = ()
    note: str = ""  # why there is no value, or what bounds it


class RunRow(_Part):
    """One run as the report lists it, counted or not."""

    run_id: str
    subject: str
    repetition: int
    state: RunState
    why: str  # why it is not counted; empty for counted runs
    started_utc: str
    ended_utc: str | None
    t0_utc: str | None
    phases: tuple[Phase, ...]
    harness: Harness
    host: Host
    labels: tuple[str, ...]
    steadiness: Steadiness | None = None  # METHOD rule 9; None: not checked, or by an older crep


class Site(_Part):
    """One broker of a subject: identity, set-up, mapping and the settings that decide an outcome (METHOD rule 18)."""

    site: str
    target: str
    system: str
    source: str
    profile: str
    kind: Kind
    product: str
    version: str
    edition: str
    client: str
    recognised_by: str
    configuration: dict[str, str]
    caps: dict[str, str]
    mapping: dict[str, Any]
    durability: dict[str, str]  # channel → "1 copy, sync disk (configured)"
    objects: dict[str, Any]  # channel → native objects, of the first counted run
    deployment: dict[str, Any]


class ClientGroup(_Part):
    """All clients of one role at one place: the settings that they share, and the names of those that differ."""

    clients: tuple[str, ...]
    role: str
    channel: str
    reader: str | None
    settings: dict[str, str]
    own: tuple[str, ...]


class ServiceRow(_Part):
    """A service that fills a channel from another one, over a subject's counted runs."""

    channel: str
    source: str
    what: str  # a bridge's file, or a command
    transform: str  # as declared, in words
    starts: tuple[int, ...]  # per counted run: how often it was started
    given_up: tuple[int | None, ...]  # per counted run: messages in its dead letter place; None: not known
    forced: int  # counted runs at whose end it did not end by itself


class Standing(_Part):
    """Whether a subject may take part in performance verdicts, and why not."""

    comparable: bool
    why: str


class Subject(_Part):
    """One binding under test: what is compared. ``kind`` is the weakest of its sites over all its runs."""

    key: str  # the binding
    title: str
    kind: Kind
    profile: str
    durability: str
    counted: tuple[str, ...]  # run ids
    functional: FunctionalVerdict
    functional_text: str
    performance_failed: int  # performance expectations that were judged and not met
    standing: Standing
    labels: dict[str, str]  # code → text
    sites: tuple[Site, ...]
    clients: tuple[ClientGroup, ...]
    services: tuple[ServiceRow, ...] = ()


class SendRow(_Part):
    """Outcomes of all sends of one channel, added up over the counted runs."""

    subject: str
    channel: str
    kind: Kind
    durability: str
    runs: tuple[str, ...]
    counts: dict[str, int]  # fields of ChannelLedger
    rejection_reasons: dict[str, int]


class LedgerRow(_Part):
    """Delivery to one logical reader, added up over the counted runs."""

    subject: str
    channel: str
    reader: str
    share: str
    delivery: str
    members: int
    kind: Kind
    durability: str
    runs: tuple[str, ...]
    counts: dict[str, int]  # fields of ReaderLedger
    offenders: tuple[Offender, ...]


class Curve(_Part):
    """One latency distribution: histograms of the counted runs merged (METHOD rule 4), never averaged.

    ``points`` are (percentile, milliseconds) and end where fewer than 10 samples lie beyond.
    """

    subject: str
    metric: str  # latency | service | acknowledge | lateness
    where: str  # channel.reader, or channel for the publishing side
    non_positive: int
    percentiles: dict[str, Quantity]
    maximum: Quantity
    later_than_1_s: float | None = None  # share of the samples
    points: tuple[tuple[float, float], ...]


class Series(_Part):
    """Messages per second of one channel in one run; index i is second ``first_second + i``."""

    subject: str
    run_id: str
    repetition: int
    channel: str
    kind: Kind
    durability: str
    first_second: int
    rates: dict[str, tuple[float, ...]]  # intended, acknowledged, "received by billing" …
    latencies: dict[str, tuple[float | None, ...]] = {}  # "p99, billing" … → ms, by intended second; with faults only
    backlogs: dict[str, tuple[int, ...]] = {}  # reader → messages at the end of each second; with faults only


class FaultRow(_Part):
    """One injected fault in one counted run."""

    subject: str
    run_id: str
    repetition: int
    kind: Kind
    durability: str
    result: FaultResult


class BacklogSummary(_Part):
    """What waited for one reader while a fault was in effect: median, and the range over the runs."""

    peak: Quantity
    drain: Quantity  # from the peak until it was as before
    usual: int | None  # highest of the baseline, over the runs


class FaultSummary(_Part):
    """One fault of the timeline over the counted runs of a subject: median, and the range over the runs."""

    subject: str
    index: int
    action: str
    acted_on: tuple[str, ...]  # nodes, a reader, …: one entry for each choice that was made in the runs
    declared_s: float
    runs: tuple[str, ...]
    detected: Quantity
    detected_by: tuple[str, ...]
    publish_outage: Quantity
    publish_control: float | None  # longest usual silence, over the runs
    keys_hit: Quantity  # share of the keys whose acknowledgements stayed away for longer than usual
    receive_outages: dict[str, Quantity]
    time_to_recover: Quantity
    bad_seconds_later: int  # most of any run: seconds between recovered and over that were not as before
    backlogs: dict[str, BacklogSummary]
    reconnects: dict[str, Quantity]  # publishers, subscribers
    overlaps: tuple[int, ...]  # indices of faults that it overlapped with in some run, itself among them
    cost: dict[str, int]  # of the runs in which it overlapped with none
    baseline: str


class FaultGroupRow(_Part):
    """Faults whose effects overlapped, and what is attributed to them together, over the runs in which they did."""

    subject: str
    faults: tuple[int, ...]
    runs: tuple[str, ...]
    cost: dict[str, int]


class BesideFaults(_Part):
    """What belongs to no fault, and what the control run shows without any; counts over the counted runs."""

    subject: str
    outside: dict[str, int]
    control: dict[str, int] | None  # of one control run; None where there was none


class WhereaboutsRow(_Part):
    """Where missing messages of one reader were found, over the counted runs."""

    subject: str
    channel: str
    reader: str
    kind: Kind
    missing: int
    looked_for: int
    states: dict[str, int]
    reasons: dict[str, int]
    examples: tuple[Found, ...]


class ThroughputRow(_Part):
    """Mean rates over the measured phase: median and range over the counted runs."""

    subject: str
    channel: str
    rates: dict[str, Quantity]


class UsageRow(_Part):
    """What one node's process used over the measured phase, by name: median and range over the counted runs."""

    subject: str
    site: str
    node: str
    cores: int  # that it may use
    used: dict[str, Quantity]


class ExpectationCell(_Part):
    """One expectation on one subject. ``verdict`` is the worst of the counted runs; None where none was counted."""

    subject: str
    verdict: Verdict | None
    reason: str
    results: tuple[ExpectationResult, ...]
    runs: tuple[str, ...]


class ExpectationRow(_Part):
    """One line of ``expect:`` over all subjects."""

    text: str
    kind: Literal["functional", "performance"]
    evidences: tuple[str, ...]
    cells: tuple[ExpectationCell, ...]


class Contest(_Part):
    """One performance metric compared between two subjects that may be compared (METHOD rule 10)."""

    metric: str
    where: str
    unit: str
    left: str
    right: str
    repetitions: int
    ratio: float | None  # median of left / right over the pairs
    low: float | None  # 95 % bootstrap interval of this ratio; None below 5 repetitions
    high: float | None
    p_value: float | None  # paired t test, corrected over all contests of the report (Holm)
    winner: str | None
    statement: str


class Planned(_Part):
    """One action of the timeline as the scenario declares it."""

    index: int
    action: str
    declared_s: float


class ScenarioComparison(_Part):
    """All subjects under one scenario text and one set of parameters."""

    name: str
    file: str
    text: str
    sha256: str
    params: dict[str, str]
    evidences: tuple[str, ...]
    seed: int
    durability: str
    warm_up_s: float
    measured_s: float
    reconnect_s: float | None  # how long every client tries to connect again; None: an older crep did not write it
    timeline: tuple[Planned, ...]
    subjects: tuple[Subject, ...]
    runs: tuple[RunRow, ...]
    expectations: tuple[ExpectationRow, ...]
    sends: tuple[SendRow, ...]
    ledger: tuple[LedgerRow, ...]
    curves: tuple[Curve, ...]
    series: tuple[Series, ...]
    uncounted: tuple[Series, ...]  # of invalid, interrupted and incomplete runs: shown, never counted
    faults: tuple[FaultRow, ...]
    fault_summaries: tuple[FaultSummary, ...]
    fault_groups: tuple[FaultGroupRow, ...]  # of faults that overlapped; one alone is in ``fault_summaries``
    beside_faults: tuple[BesideFaults, ...]
    whereabouts: tuple[WhereaboutsRow, ...]
    throughput: tuple[ThroughputRow, ...]
    usage: tuple[UsageRow, ...]  # of brokers on this host
    contests: tuple[Contest, ...]
    performance: tuple[str, ...]  # the performance verdict in sentences
    command: str  # how to run it again
    varied: dict[str, str] = {}  # the dimension of ``vary`` and its value here
    dated_utc: str | None = None  # latest date of the scenario's file, and so of its thresholds (METHOD rule 15)

    @property
    def label(self) -> str:
        """``name``, or ``name@value`` of one of several values."""
        return "@".join((self.name, *self.varied.values()))

    def subject(self, key: str) -> Subject:
        """The subject of that binding."""
        return next(s for s in self.subjects if s.key == key)


class SweepPoint(_Part):
    """One value of a varied dimension; ``label`` is that of its scenario."""

    value: str
    number: float | None  # in its base unit; None for a word
    label: str


class Sweep(_Part):
    """A scenario that was run with several values of one dimension; the numbers are those of its variants."""

    name: str
    sha256: str
    dimension: str
    points: tuple[SweepPoint, ...]


class Comparison(_Part):
    """The whole report. ``as_of`` is the latest time that any of its runs names: the report's date."""

    schema_version: str = SCHEMA
    as_of: str
    title: str
    campaigns: tuple[str, ...]
    scenarios: tuple[ScenarioComparison, ...]
    sweeps: tuple[Sweep, ...] = ()
    imported: tuple[Imported, ...] = ()  # of other tools: shown, never compared
