"""A campaign: scenarios × bindings × repetitions, interleaved A-B-A-B, each with its no-fault control run first.

Starts the brokers that are not running, keeps them between runs, and ends those that it started.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple

from crep.harness.config.errors import EnvironmentFailure, Interrupted, UsageError
from crep.harness.config.targets import Target
from crep.harness.deployment import Deployment, deploy, proxy_on_request
from crep.harness.faults.registry import FAULTS
from crep.harness.load.contract import MakeEngines
from crep.harness.load.engines import Engines
from crep.harness.monitor.live import LiveView, Status
from crep.harness.runner import RunRequest, Stop, run_once
from crep.harness.runner.run import Evaluate
from crep.harness.runs.document import RunDocument
from crep.harness.runs.folder import RunFolder
from crep.harness.scenario.binding import Binding
from crep.harness.scenario.model import Scenario
from crep.harness.scenario.plan import Plan, TimelineEvent, plan, without_faults

CONTROL = 0
"""Repetition number of the control run."""
RECORDED_AT_MOST = 10_000_000
"""Messages of a run whose times ``--record`` keeps."""


@dataclass(frozen=True)
class Part:
    """One scenario (with ``vary``: one value of it) with the bindings that it is run on, ``repeat`` times each."""

    scenario: Scenario
    bindings: tuple[Binding, ...]
    repeat: int


@dataclass(frozen=True)
class Campaign:
    """What is to be run.

    ``targets`` holds every target that a binding names, ``results`` is the folder of all results; ``record``: each
    message's times stay in the run folders.
    """

    name: str
    parts: tuple[Part, ...]
    targets: dict[str, Target]
    results: Path = Path("results")
    record: bool = False


@dataclass
class Outcome:
    """What came of it: the documents of all runs in the order they were made. ``strict``: all had to be supported."""

    folder: Path
    runs: list[RunDocument] = field(default_factory=list)
    interrupted: bool = False
    strict: bool = False

    @property
    def exit_code(self) -> int:
        """The first that applies of 130, 3, 4, 1, 0."""
        tried = [run for run in self.runs if run.status != "not-supported"]
        measured = [run for run in tried if run.kind == "measured"]
        refused = len(tried) < len(self.runs)
        if self.interrupted:
            return Interrupted.exit_code
        if not (measured or refused) or any(run.status == "failed" for run in tried):
            return EnvironmentFailure.exit_code
        if any(run.results is None or not run.results.valid for run in tried):
            return 4
        passed = all(run.results and run.results.passed for run in measured)
        return 0 if passed and not (refused and self.strict) else 1


@dataclass(frozen=True)
class Turn:
    """One run of a campaign. Repetitions count from 1; ``CONTROL`` is the no-fault control run."""

    scenario: Scenario
    binding: Binding
    repetition: int
    plan: Plan
    timeline: tuple[TimelineEvent, ...]  # of the measured runs
    what: str = ""  # for people, instead of the repetition

    @property
    def pair(self) -> tuple[str, str]:
        """What a control run and a refusal are good for: the scenario and the binding."""
        return self.scenario.label, str(self.binding)

    @property
    def kind(self) -> Literal["measured", "control"]:
        """Of the run."""
        return "control" if self.repetition == CONTROL else "measured"

    @property
    def title(self) -> str:
        """What people are told."""
        repetition = "control, no faults" if self.repetition == CONTROL else f"repetition {self.repetition}"
        which = self.what or repetition
        return f"{self.scenario.label} on {self.binding}, {which}"


def turns(campaign: Campaign) -> list[Turn]:
    """Every run in order: control runs, then repetition by repetition with the bindings in turn (METHOD rule 10)."""
    plans = [(part, plan(part.scenario)) for part in campaign.parts]
    controls = [
        Turn(part.scenario, binding, CONTROL, without_faults(made), made.timeline)
        for part, made in plans
        if made.timeline
        for binding in part.bindings
    ]
    repetitions = [
        Turn(part.scenario, binding, repetition, made, made.timeline)
        for repetition in range(1, max(part.repeat for part in campaign.parts) + 1)
        for part, made in plans
        if repetition <= part.repeat
        for binding in part.bindings
    ]
    return controls + repetitions


def run_campaign(
    campaign: Campaign,
    view: LiveView,
    stop: Stop,
    evaluate: Evaluate,
    *,
    strict: bool = False,
    engines: MakeEngines = Engines,
) -> Outcome:
    """Carry out the whole campaign. What a target does not support is tried once, and the rest goes on.

    Raises:
        UsageError: a scenario and a binding do not fit.
        EnvironmentFailure: a broker cannot be started or reached, or results cannot be written.
    """
    order = turns(campaign)
    require_recordable(campaign, order)
    with Rounds(campaign, view, stop, evaluate, strict=strict, engines=engines) as rounds:
        for number, turn in enumerate(order, 1):
            if stop.requested.is_set():
                break
            rounds.carry_out(turn, number=number, of=len(order))
    return rounds.outcome


def require_recordable(campaign: Campaign, order: list[Turn]) -> None:
    """Refuse ``--record`` for runs of more messages than anybody looks into one by one.

    Raises:
        UsageError: a run sends more than ``RECORDED_AT_MOST``.
    """
    for turn in order if campaign.record else ():
        messages = sum(publisher.count for publisher in turn.plan.publishers)
        if messages > RECORDED_AT_MOST:
            raise UsageError(
                f"--record: {turn.title} sends {messages:,} messages; times are kept of at most {RECORDED_AT_MOST:,}",
                hint="leave --record out (the ledger counts every message all the same), or send less",
            )


class Rounds:
    """A campaign's runs, one after the other, on brokers that are kept between them.

    On entry the brokers that are not running are started; on exit those are ended.
    """

    def __init__(
        self,
        campaign: Campaign,
        view: LiveView,
        stop: Stop,
        evaluate: Evaluate,
        *,
        strict: bool = False,
        engines: MakeEngines = Engines,
    ) -> None:
        self._engines = engines
        self._campaign, self._view, self._stop, self._evaluate = campaign, view, stop, evaluate
        self._started_utc = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        self.outcome = Outcome(folder=campaign.results / campaign.name / self._started_utc, strict=strict)
        self._brokers = _Brokers(campaign, self.outcome.folder / "brokers", view)
        self._controls: dict[tuple[str, str], str] = {}
        self._refused: set[tuple[str, str]] = set()

    def __enter__(self) -> Rounds:
        self._brokers.__enter__()
        try:
            self._brokers.start(self._stop)
        except BaseException:
            self._brokers.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._brokers.__exit__()
        self.outcome.interrupted = self._stop.requested.is_set()

    def carry_out(self, turn: Turn, *, number: int, of: int) -> RunFolder | None:
        """Make one run; returns its folder, None where the target was found not to support it before."""
        view, campaign = self._view, self._campaign
        place = f"run {number}/{of}: {turn.title}"
        if turn.pair in self._refused:
            view.event(f"{place}: left out, not supported")
            return None
        view.status = Status(run=turn.title, number=number, runs=of)
        view.event(place, style="bold")
        folder = RunFolder.create(
            campaign.results,
            campaign=campaign.name,
            started_utc=self._started_utc,
            scenario=turn.scenario.label,
            binding=str(turn.binding),
            repetition=turn.repetition,
        )
        sites = turn.binding.sites
        request = RunRequest(
            scenario=turn.scenario,
            plan=turn.plan,
            binding=str(turn.binding),
            targets={site: campaign.targets[name] for site, name in sites.items()},
            deployments={
                site: self._brokers.ready(name, links_fail=links_fail(turn.timeline, site))
                for site, name in sites.items()
            },
            campaign=campaign.name,
            campaign_started_utc=self._started_utc,
            repetition=turn.repetition,
            kind=turn.kind,
            folder=folder,
            timeline=turn.timeline,
            control=self._controls.get(turn.pair),
            record=campaign.record,
            engines=self._engines,
        )
        document = run_once(request, view, self._stop, self._evaluate).document
        self.outcome.runs.append(document)
        if tells_what_is_usual(document):
            self._controls[turn.pair] = document.run_id
        if document.status == "not-supported":
            self._refused.add(turn.pair)
        _say_how_it_ended(view, document)
        return folder


def links_fail(timeline: Sequence[TimelineEvent], site: str) -> bool:
    """Whether a fault on the links to that site's broker is planned, for which a proxy has to carry them."""
    return any(
        event.site == site and event.action in FAULTS and FAULTS[event.action].acts_on == "links" for event in timeline
    )


class Wanted(NamedTuple):
    """One deployment of a campaign. ``proxied``: its links fail in some runs, and it has no proxy but for those."""

    target: str
    proxied: bool

    @classmethod
    def of(cls, target: Target, *, links_fail: bool) -> Wanted:
        """The deployment of that target for a run whose links fail, or do not."""
        return cls(target.name, links_fail and proxy_on_request(target))

    def __str__(self) -> str:
        return f"{self.target}+proxy" if self.proxied else self.target


def deployments_of(campaign: Campaign) -> frozenset[Wanted]:
    """Every deployment that the campaign's runs need.

    Two brokers cannot have one port: a target with a fixed `port` is deployed once, with a proxy if any run needs one.
    """
    wanted = frozenset(
        Wanted.of(campaign.targets[name], links_fail=links_fail(timeline, site))
        for part in campaign.parts
        for timeline in [plan(part.scenario).timeline]
        for binding in part.bindings
        for site, name in binding.sites.items()
    )
    return frozenset(one for one in wanted if one.proxied or not _shares_its_port(one, wanted, campaign.targets))


def _shares_its_port(one: Wanted, wanted: frozenset[Wanted], targets: Mapping[str, Target]) -> bool:
    return targets[one.target].port != 0 and one._replace(proxied=True) in wanted


def tells_what_is_usual(document: RunDocument) -> bool:
    """Whether outages may be compared with this run: a control run that went to its end and broke no rule.

    A stalled client in it would be taken off every outage. Without one the outages are *not known*.
    """
    valid = document.results is not None and document.results.valid
    return document.kind == "control" and document.status == "complete" and valid


def _say_how_it_ended(view: LiveView, document: RunDocument) -> None:
    if document.status == "failed":
        view.event(f"run failed: {document.failure}", style="red")
    elif document.status == "not-supported":
        view.event(f"not supported, so not tried again: {document.failure}", style="yellow")
    elif document.status == "interrupted":
        view.event("run interrupted; what was measured is kept", style="yellow")
    elif document.results is not None:
        for rule in document.results.rules:
            if not rule.holds:
                view.event(f"run invalid: {rule.text}", style="red")
        for expectation in document.results.expectations:
            if expectation.verdict in ("failed", "no-data"):
                view.event(f"not met: {expectation.text} ({expectation.reason or expectation.value})", style="yellow")


class _Brokers:
    """The deployments of a campaign: started once, mended between runs, ended at the end; logs stay in ``folder``.

    Where links of a target fail in some runs and not in others, it is deployed twice, once with a proxy before it: a
    proxy costs a little of every exchange, so runs that need none have none, unless the target has a fixed port.
    """

    def __init__(self, campaign: Campaign, folder: Path, view: LiveView) -> None:
        self._view, self._targets = view, campaign.targets
        self._deployments: dict[Wanted, Deployment] = {
            wanted: deploy(campaign.targets[wanted.target], folder / str(wanted), proxied=wanted.proxied)
            for wanted in sorted(deployments_of(campaign))
        }
        self._exit = ExitStack()

    def __enter__(self) -> _Brokers:
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    def start(self, stop: Stop) -> None:
        """Start all that are not running."""
        for wanted, deployment in self._deployments.items():
            name = str(wanted)
            self._view.status = Status(run=name, phase="start broker")
            self._view.event(f"{name}: starting")
            self._exit.callback(deployment.stop)
            with stop.impatiently():
                deployment.start(lambda text, name=name: self._view.event(f"{name}: {text}"))  # type: ignore[misc]

    def ready(self, target: str, *, links_fail: bool) -> Deployment:
        """The deployment, with every node answering; a node that an earlier run left dead is started again.

        Raises:
            DeploymentError: it cannot be brought back.
        """
        name = Wanted.of(self._targets[target], links_fail=links_fail)
        if name not in self._deployments:
            name = name._replace(proxied=True)
        deployment = self._deployments[name]
        if not all(deployment.probe_node(node) for node in deployment.nodes):
            self._view.event(f"{name}: does not answer, starting it anew", style="yellow")
            deployment.stop()
            deployment.start(lambda text: self._view.event(f"{name}: {text}"))
        return deployment
