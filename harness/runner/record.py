"""Keeps ``run.json`` true while the run goes on: written whole at each change, so that a killed run is readable."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from crep.harness.brokers.contract import Provisioned
from crep.harness.checks.results import Drain, RunResults
from crep.harness.deployment.contract import Deployment
from crep.harness.faults.timeline import Injection
from crep.harness.load.contract import WorkerFacts
from crep.harness.runner.prepare import Site
from crep.harness.runs.document import (
    ClientPart,
    FaultEvent,
    Host,
    Label,
    Phase,
    RunDocument,
    ScenarioPart,
    SitePart,
    Status,
    WorkerPart,
)
from crep.harness.runs.folder import RunFolder
from crep.harness.runs.provenance import harness, host, process_started
from crep.harness.runs.secrets import without_secrets
from crep.harness.scenario.model import Scenario
from crep.harness.scenario.plan import Plan

CO_LOCATED_CPU = 0.85
"""Share of the host's CPU above which broker and clients disturb each other (METHOD rule 17)."""
CLIENT_BOUND_CPU = 0.85
"""Share of one core above which a client's process is near its own limit (METHOD rule 8)."""


def utc_now(ahead_s: float = 0.0) -> str:
    """Now, or so many seconds later, in ISO 8601 with milliseconds."""
    then = datetime.now(UTC) + timedelta(seconds=ahead_s)
    return then.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Record:
    """The run's document and the folder that it lives in."""

    def __init__(self, folder: RunFolder, document: RunDocument) -> None:
        self.folder, self.document = folder, document
        self._t0_ns: int | None = None

    def change(self, **fields: Any) -> None:
        """Set fields of the document and write it."""
        self.document = self.document.model_copy(update=fields)
        self.folder.write_document(self.document)

    def start_clock(self, t0_ns: int) -> None:
        """``t0``, which is still to come, is known: times are seconds relative to it from now on."""
        self._t0_ns = t0_ns
        self.change(t0_ns=t0_ns, t0_utc=utc_now((t0_ns - time.monotonic_ns()) / 1e9))

    def seconds(self, at_ns: int | None) -> float | None:
        """A CLOCK_MONOTONIC reading in seconds relative to ``t0``; None before the clock is started."""
        if at_ns is None or self._t0_ns is None:
            return None
        return round((at_ns - self._t0_ns) / 1e9, 6)

    def begin_phase(self, name: str, at_ns: int) -> None:
        """End the phase that goes on and begin another."""
        self.change(
            phases=(*self._ended_phases(at_ns), Phase(name=name, start_s=self.seconds(at_ns) or 0.0, end_s=None))
        )

    def end_phases(self, at_ns: int) -> None:
        """End the phase that goes on."""
        self.change(phases=self._ended_phases(at_ns))

    def event(self, kind: str, at_ns: int, **details: Any) -> None:
        """Append one line to ``events.jsonl``."""
        self.folder.append_event({"at_s": self.seconds(at_ns), "event": kind, **details})

    def faults(self, injections: Sequence[Injection]) -> None:
        """Write what the timeline did so far."""
        self.change(faults=tuple(self._fault(injection) for injection in injections))

    def label(self, code: str, text: str) -> None:
        """Mark the run for every reader of its numbers; once per code."""
        if code not in {label.code for label in self.document.labels}:
            self.change(labels=(*self.document.labels, Label(code=code, text=text)))

    def finish(self, status: Status, *, drain: Drain | None, failure: str | None, results: RunResults | None) -> None:
        """The run is over."""
        self.change(status=status, ended_utc=utc_now(), drain=drain, failure=failure, results=results)

    def _ended_phases(self, at_ns: int) -> tuple[Phase, ...]:
        phases = self.document.phases
        if not phases or phases[-1].end_s is not None:
            return phases
        return (*phases[:-1], phases[-1].model_copy(update={"end_s": self.seconds(at_ns)}))

    def _fault(self, injection: Injection) -> FaultEvent:
        return FaultEvent(
            index=injection.index,
            action=injection.action,
            site=injection.site,
            node=injection.node,
            subject=injection.subject,
            parameters=dict(injection.parameters),
            declared_s=injection.declared_s,
            injected_s=self.seconds(injection.injected_ns),
            confirmed_s=self.seconds(injection.confirmed_ns),
            heal_started_s=self.seconds(injection.heal_started_ns),
            healed_s=self.seconds(injection.healed_ns),
            error=injection.error,
        )


def first_document(
    *, run_id: str, scenario: Scenario, campaign: str, binding: str, repetition: int, kind: Any, started_utc: str
) -> RunDocument:
    """The document of a run that has just begun; nothing about its brokers is known yet."""
    return RunDocument(
        status="running",
        run_id=run_id,
        campaign=campaign,
        binding=binding,
        repetition=repetition,
        kind=kind,
        started_utc=started_utc,
        pid=os.getpid(),
        process_started=process_started(os.getpid()),
        scenario=ScenarioPart(
            name=scenario.name,
            file=scenario.file_name,
            text=scenario.text,
            sha256=scenario.sha256,
            params=dict(scenario.params),
            evidences=tuple(scenario.evidences),
            seed=scenario.measure.seed,
            varied=dict([scenario.varied] if scenario.varied else []),
            files={file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in scenario.files},
            dated_utc=scenario.dated_utc,
        ),
        harness=harness(),
        host=host(),
        sites={},
        labels=late_criteria(scenario.dated_utc, started_utc),
    )


def late_criteria(dated_utc: str | None, started_utc: str) -> tuple[Label, ...]:
    """METHOD rule 15: thresholds are dated before the run. Times as ``utc_now`` writes them."""
    if dated_utc is None or datetime.fromisoformat(dated_utc) <= datetime.fromisoformat(started_utc):
        return ()
    text = f"the scenario's file is dated {dated_utc}, after the run's start at {started_utc}: no verdict on timings"
    return (Label(code="late-criteria", text=text),)


UNACKNOWLEDGED = {"copies": 0, "sync": "none", "known": "configured"}
"""The class of a channel whose publishers ask for no acknowledgement, whatever its topics and queues could do."""


def stated_durability(provisioned: Provisioned, plan: Plan) -> dict[str, Any]:
    """Channel → the class that its messages really have (METHOD rule 6)."""
    return {
        channel: stated if any(one.guaranteed for one in plan.feeders_of(channel)) else UNACKNOWLEDGED
        for channel, stated in provisioned.durability.items()
        if plan.feeders_of(channel)  # else it is the place of what a service gives up
    }


def site_part(site: Site, plan: Plan) -> SitePart:
    """What ``run.json`` says of one broker."""
    return SitePart(
        target=site.target.name,
        system=site.target.system,
        source=site.target.source,
        profile=site.target.profile,
        genuineness=site.facts.genuineness,
        facts=without_secrets(dataclasses.asdict(site.facts)),
        mapping=without_secrets(dataclasses.asdict(site.mapping)),
        durability=stated_durability(site.provisioned, plan),
        objects=without_secrets(site.provisioned.objects),
        deployment=describe(site.deployment),
    )


def describe(deployment: Deployment) -> dict[str, Any]:
    """The deployment's own words, for the provenance."""
    return dict(without_secrets(deployment.describe()))


def client_part(role: Any, client: Any) -> ClientPart:
    """What ``run.json`` says of one client; ``client`` is what the engines report of it."""
    return ClientPart(
        name=client.name,
        role=role,
        channel=client.channel,
        reader=client.reader,
        publisher=client.publisher,
        member=client.member,
        settings=dict(without_secrets(client.settings)),
    )


def worker_part(worker: WorkerFacts) -> WorkerPart:
    """What ``run.json`` says of one machine that ran engines."""
    return WorkerPart(
        name=worker.name,
        host=Host(**worker.host),
        clients=worker.clients,
        clock_ahead_ms=worker.clock_ahead_ns / 1e6,
        clock_error_ms=worker.clock_error_ns / 1e6,
        round_trip_ms=worker.round_trip_ns / 1e6,
    )
