"""``run.json``: one run's identity, provenance and verdicts (METHOD rule 14). Never a secret.

Times named ``*_s`` are seconds relative to ``t0`` (first measured message's intended time).
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from crep.harness.checks.results import Drain, RunResults

SCHEMA = "crep-run/1"
Status = Literal["running", "complete", "interrupted", "failed", "not-supported"]
"""``running`` in a folder whose process is gone means *incomplete*: it was killed.

``not-supported``: a target cannot do what the scenario asks, found before any load was sent; ``failure`` says what.
"""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Host(_Part):
    """The machine that ran clients (and local brokers)."""

    system: str
    kernel: str
    cpu: str
    cores: int
    memory_bytes: int
    python: str


class Harness(_Part):
    """Which crep measured."""

    version: str
    commit: str | None  # None outside a git checkout
    modified: bool | None  # uncommitted changes


class ScenarioPart(_Part):
    """The scenario as it was run."""

    name: str
    file: str  # file name only, never a path of the machine
    text: str
    sha256: str
    params: dict[str, str]
    evidences: tuple[str, ...]
    seed: int
    varied: dict[str, str] = {}  # the dimension of ``vary`` and its value in this run
    files: dict[str, str] = {}  # other files that it reads, kept in ``inputs/``: name and SHA-256
    dated_utc: str | None = None  # when its file, and with it every threshold, was last written (METHOD rule 15)


class SitePart(_Part):
    """One broker: who it is, how it was set up, how the scenario was mapped onto it."""

    target: str
    system: str
    source: str
    profile: str
    genuineness: Literal["genuine", "emulated", "mock"]
    facts: dict[str, Any]
    mapping: dict[str, Any]  # name, version, summary, and the rules
    durability: dict[str, Any]  # channel → copies, sync, known
    objects: dict[str, Any]
    deployment: dict[str, Any]


class ClientPart(_Part):
    """One publishing or receiving client."""

    name: str
    role: Literal["publisher", "subscriber"]
    channel: str
    reader: str | None
    publisher: int | None
    member: int | None
    settings: dict[str, str]


class WorkerPart(_Part):
    """A machine that ran engines, and its clock beside the master's (METHOD rule 3).

    ``clock_ahead_ms``: what its clock shows more, as it was used; ``clock_error_ms`` bounds the error of that over the
    whole run. Times of the run folder are the master's.
    """

    name: str
    host: Host
    clients: tuple[str, ...]
    clock_ahead_ms: float
    clock_error_ms: float
    round_trip_ms: float


class Phase(_Part):
    """A phase of the run and when it was."""

    name: str
    start_s: float
    end_s: float | None


class FaultEvent(_Part):
    """What the timeline did, as measured (seconds relative to t0)."""

    index: int
    action: str
    site: str
    node: str | None  # the word that chose its nodes; None: the only one, or no node
    subject: str | None = None  # what it acted on: the nodes that were chosen, a reader, …
    parameters: dict[str, Any] = {}
    declared_s: float
    injected_s: float | None = None
    confirmed_s: float | None = None
    heal_started_s: float | None = None
    healed_s: float | None = None
    error: str | None = None


class DeadLetterPart(_Part):
    """What was given up of one reader's messages, as it was after the drain; the letters are in ``ledger/``."""

    channel: str
    reader: str
    place: str | None  # the native object; None: it has none, and what is given up is discarded
    read: int = 0  # letters
    complete: bool = False  # all of them
    counted: dict[str, int] = {}  # by the broker itself, in its own names
    expired_discarded: int | None = None  # expired and in no place; None: the broker does not count them
    trouble: str = ""  # why it could not be read


class ServicePart(_Part):
    """A service between two channels: what it is, what it is declared to do, and what it said at its end."""

    channel: str  # that it fills
    source: str  # that it takes
    transform: str
    bridge: str | None = None  # file
    route: str | None = None
    command: tuple[str, ...] = ()
    lives: int = 0  # how often it was started
    in_order: bool | None = None  # whether it ended by itself when it was told to; None: it was not told yet
    ledger: dict[str, Any] | None = None  # of its last life, in its own words
    given_up: int | None = None  # messages in its dead letter place, as the broker counts; None: not known


class ReplayPart(_Part):
    """One replay of a channel: its window in seconds relative to t0, what the player says, and what was read of it."""

    channel: str
    number: int  # of the channel's replays, from 1
    from_s: float
    until_s: float
    pace: str
    ledger: dict[str, Any] | None = None  # of the player; None: it did not come to its end
    read: int = 0  # messages
    trouble: str = ""  # why that is not all


class Label(_Part):
    """A mark that every reader of the numbers must see, e.g. ``quick-profile``, ``emulated``, ``co-located``."""

    code: str
    text: str


class RunDocument(_Part):
    """The whole of ``run.json``. ``results`` is None until the run has been checked."""

    schema_version: str = SCHEMA
    status: Status
    run_id: str
    campaign: str
    campaign_started_utc: str | None = None  # runs of one start were interleaved, and only these are paired
    binding: str  # site=target[,site=target]
    repetition: int  # from 1; 0 for the control run
    kind: Literal["measured", "control"]
    started_utc: str
    ended_utc: str | None = None
    pid: int | None = None  # of the running crep, to tell running from killed
    process_started: int | None = None  # of that pid, clock ticks since boot: ids are used again
    scenario: ScenarioPart
    harness: Harness
    host: Host
    sites: dict[str, SitePart]
    clients: tuple[ClientPart, ...] = ()
    workers: tuple[WorkerPart, ...] = ()  # none: engines ran on ``host``
    t0_ns: int | None = None
    t0_utc: str | None = None
    warm_up_s: float = 0.0
    measured_s: float = 0.0
    reconnect_s: float | None = None  # how long every client tries to connect again (METHOD rule 13)
    phases: tuple[Phase, ...] = ()
    timeline: tuple[dict[str, Any], ...] = ()  # what was to happen, as a timeline has it: drawn and repeated ones too
    faults: tuple[FaultEvent, ...] = ()
    drain: Drain | None = None
    dead_letters: tuple[DeadLetterPart, ...] = ()
    services: tuple[ServicePart, ...] = ()
    replays: tuple[ReplayPart, ...] = ()
    labels: tuple[Label, ...] = ()
    pinning: str = "not pinned"  # which cores brokers and clients kept to (METHOD rule 17), or why they did not
    records_kept: bool = True  # each message's times; else the ledger has bitmaps, counts and anomalies only
    control: str | None = None  # run_id of the control run that outages were compared with
    failure: str | None = None
    results: RunResults | None = None
