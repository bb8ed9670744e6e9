"""One run, phase by phase. Whatever happens, what was measured is kept and what was started is ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Literal

from crep.harness.brokers.contract import BrokerError, NotSupported, Observation, PublisherSpec
from crep.harness.checks.results import Drain, RunResults
from crep.harness.config.errors import CrepError, EnvironmentFailure, Interrupted
from crep.harness.config.targets import Target
from crep.harness.deployment.contract import Deployment
from crep.harness.faults.timeline import Injection, Scheduled
from crep.harness.load.contract import EngineGroup, MakeEngines, WorkerLost
from crep.harness.load.engines import ClientNote, EngineFailed, Engines, PublisherDone, Window
from crep.harness.metrics.histogram import Histogram
from crep.harness.monitor.lateness import RecentLateness
from crep.harness.monitor.live import LiveView, Status
from crep.harness.monitor.system import SystemWatch
from crep.harness.runner.afterwards import keep_dead_letters, keep_replays, keep_whereabouts
from crep.harness.runner.ceiling import judge_ceiling
from crep.harness.runner.drain import DrainWatch
from crep.harness.runner.injector import Injector, schedule
from crep.harness.runner.keeper import LedgerKeeper, keeps_records
from crep.harness.runner.members import RunningClients
from crep.harness.runner.pinning import Cores, available_cores
from crep.harness.runner.prepare import Site, new_run_id, provision, tasks
from crep.harness.runner.processor import ProcessorWatch, WorkerLoad
from crep.harness.runner.record import (
    CLIENT_BOUND_CPU,
    CO_LOCATED_CPU,
    Record,
    client_part,
    first_document,
    site_part,
    utc_now,
    worker_part,
)
from crep.harness.runner.services import END_WITHIN_S, Services
from crep.harness.runner.stop import Stop
from crep.harness.runs.folder import RunFolder
from crep.harness.runs.ledger import LedgerFolder
from crep.harness.scenario.actions.clients import ENDS_CLIENTS
from crep.harness.scenario.model import Scenario
from crep.harness.scenario.plan import Plan, TimelineEvent

LEAD_S, LEAD_PER_CLIENT_S = 0.2, 0.002
"""From "all are ready" to the first warm-up message: time for the word to reach every child, and its first block."""
READY_WITHIN_S = 60.0
OBSERVE_EVERY_S = 1.0
FINISH_WITHIN_S = 30.0
INTERRUPTED_DRAIN_S = 10.0
IDLE_S = 0.5
"""After so much quiet in the drain, what the verdict needs is read in: half a second of a processor, now of no use."""
_SHOWN_TEXT = 80  # characters of a client library's words on the screen


@dataclass(frozen=True)
class RunRequest:
    """Everything that makes one run. ``repetition`` counts from 1; 0 is the no-fault control run."""

    scenario: Scenario
    plan: Plan
    binding: str
    targets: Mapping[str, Target]
    deployments: Mapping[str, Deployment]
    campaign: str
    campaign_started_utc: str
    repetition: int
    kind: Literal["measured", "control"]
    folder: RunFolder
    timeline: tuple[TimelineEvent, ...]  # of the measured runs; a control run only asks whether it can be done
    control: str | None = None  # run id of the control run
    record: bool = False  # keep each message's times, also where no verdict needs them
    engines: MakeEngines = Engines


Evaluate = Callable[[Path], RunResults]
"""Computes all verdicts from a run folder."""


def run_once(request: RunRequest, view: LiveView, stop: Stop, evaluate: Evaluate) -> Record:
    """Carry out one run and check it.

    Returns:
        The record: its ``document`` has the status (*complete*, *interrupted*, *failed* or *not-supported*) and the
        results.

    Raises:
        EnvironmentFailure: the run folder cannot be written. Broker failures do not raise: they are the run's status.
    """
    run_id = new_run_id()
    document = first_document(
        run_id=run_id,
        scenario=request.scenario,
        campaign=request.campaign,
        binding=request.binding,
        repetition=request.repetition,
        kind=request.kind,
        started_utc=utc_now(),
    ).model_copy(
        update={
            "warm_up_s": request.plan.warm_up_s,
            "measured_s": request.plan.measured_s,
            "reconnect_s": request.plan.reconnect_s,
            "control": request.control,
            "timeline": tuple(dict(event.written) for event in request.plan.timeline),
            "records_kept": keeps_records(request.plan, request.kind, request.record),
            "campaign_started_utc": request.campaign_started_utc,
        }
    )
    record = Record(request.folder, document)
    record.change()
    request.folder.keep_inputs(request.scenario.files)
    run = _Run(request, view, stop, record)
    status: Literal["complete", "interrupted", "failed", "not-supported"] = "complete"
    failure = None
    try:
        run.carry_out()
    except Interrupted:
        status, failure = "interrupted", "ended by the user before its time"
    except CrepError as error:
        refused = isinstance(error, NotSupported) and not run.measured_anything  # later it would hide what was measured
        status, failure = "not-supported" if refused else "failed", str(error)
    finally:
        run.clean_up()
    record.folder.merge_windows()
    run.close_ledger()
    if status == "complete":
        run.judge_ceiling()
    record.finish("running", drain=run.drained, failure=failure, results=None)
    results = evaluate(record.folder.path) if run.measured_anything else None
    if results is not None and results.steadiness is not None and results.steadiness.disturbed:
        record.label("not-steady", results.steadiness.text)
    if results is not None and results.caps:
        record.label("capped", "; ".join(map(str, results.caps)))
    if results is not None and results.asked is not None:
        record.label("asked-volume", str(results.asked))
    record.finish(status, drain=run.drained, failure=failure, results=results)
    return record


class _Run:
    """The state of one run while it goes on."""

    def __init__(self, request: RunRequest, view: LiveView, stop: Stop, record: Record) -> None:
        self._request, self._view, self._stop, self._record = request, view, stop, record
        self._plan = request.plan
        self._sites: list[Site] = []
        self._engines: EngineGroup | None = None
        self._injector: Injector | None = None
        self._keeper: LedgerKeeper | None = None
        self._watch: DrainWatch | None = None
        self._services: Services | None = None
        self._workers = WorkerLoad(request.plan.measured_s)
        self._lateness = RecentLateness()
        self._cores = Cores(available_cores(), request.plan.pin, request.deployments)
        self._system = SystemWatch(request.deployments, lambda at_ns, words: record.event("system", at_ns, **words))
        self._publishing = 0
        self._disconnected: set[str] = set()
        self._t0_ns = 0
        self.drained: Drain | None = None
        self.measured_anything = False

    def carry_out(self) -> None:
        """All phases in order."""
        self._stop.check()
        self._provision()
        self._start_services()
        scheduled = self._schedule()
        engines = self._start_engines()
        self._injector = Injector(scheduled, self._announce, self._record.faults)
        self._measure(engines)
        self._drain(engines, limit_s=self._plan.drain_s)
        engines.finish(FINISH_WITHIN_S)
        self._pump(engines, 0.0)
        self._end_services()
        keep_dead_letters(self._record, self._sites, self._plan, self._note)
        if self._services is not None and self._plan.replays:
            keep_replays(self._record, self._sites, self._plan, self._services.archivists, self._t0_ns)
        self._look_for_missing()
        self._record.end_phases(time.monotonic_ns())

    def clean_up(self) -> None:
        """Heal, end the engines, remove the native objects; each bounded, none hidden."""
        self._system.stop()
        self._cores.release()
        if self._injector is not None:
            self._injector.stop()
        if self._engines is not None:
            if self._stop.requested.is_set() and not self._stop.at_once.is_set() and self.measured_anything:
                self._wind_down(self._engines)
            self._engines.kill()
            self._tell_clocks(self._engines)
            if self._engines.clock_note is not None:
                self._record.label("several-clocks", self._engines.clock_note)
        self._end_services()
        for site in self._sites:
            try:
                site.admin.remove(site.provisioned)
            except BrokerError as error:
                self._note(f"objects of this run are left on {site.target.name}: {error.message}", "yellow")
            site.admin.close()

    def close_ledger(self) -> None:
        """Every engine has ended: the ledger is made whole, and what records stay are compressed."""
        if self._keeper is not None:
            self._keeper.finish()
        self._record.folder.compact_ledger()

    def judge_ceiling(self) -> None:
        """METHOD rule 8: the clients against a server that does nothing, where that may matter and they ran here."""
        if self._record.document.workers:
            return
        clients = tasks(self._record.document.run_id, self._plan, self._sites)
        judge_ceiling(self._record, self._sites, clients, self._plan.carrier, self._note)

    def _wind_down(self, engines: EngineGroup) -> None:
        """The user wants the end: stop the schedule, let what is under way arrive, keep the records."""
        self._note("ending: the schedule is stopped, what is under way may still arrive (Ctrl-C again ends at once)")
        try:
            engines.stop_publishers()
            limit = time.monotonic() + INTERRUPTED_DRAIN_S
            while self._publishing and time.monotonic() < limit and not self._stop.at_once.is_set():
                self._pump(engines, 0.1)
            self._drain(engines, limit_s=INTERRUPTED_DRAIN_S, interrupted=True)
            engines.finish(FINISH_WITHIN_S)
            self._pump(engines, 0.0)
            keep_dead_letters(self._record, self._sites, self._plan, self._note)
        except CrepError as error:
            self._note(f"the orderly end failed: {error.message}", "yellow")

    def _provision(self) -> None:
        self._phase("provision")
        request = self._request
        self._sites = provision(self._record.document.run_id, self._plan, request.targets, request.deployments)
        self._record.change(sites={site.name: site_part(site, self._plan) for site in self._sites})
        for site in self._sites:
            if site.target.profile == "quick":
                self._record.label(
                    "quick-profile",
                    "profile quick: short time-outs, for tests and demos; no verdict on outage or latency",
                )
            if site.facts.genuineness != "genuine":
                self._record.label(
                    "emulated", f"{site.target.name} is {site.facts.genuineness}: functional verdicts only"
                )
        self._view.status.labels = tuple(label.code for label in self._record.document.labels)

    def _start_services(self) -> None:
        """What stands between channels: there before the first message comes."""
        self._services = Services(self._plan, self._request.scenario, self._sites, self._record.folder.path)
        if self._services.by_channel:
            self._phase("services")
            self._services.start(self._stop.check)

    def _end_services(self) -> None:
        if self._services is not None:
            self._services.end(0.0 if self._stop.at_once.is_set() else END_WITHIN_S)
            self._record.change(services=self._services.parts)

    def _start_engines(self) -> EngineGroup:
        self._phase("ready")
        run_id = self._record.document.run_id
        publishers, subscribers = tasks(run_id, self._plan, self._sites)
        engines = self._request.engines(
            publishers=publishers,
            subscribers=subscribers,
            run_number=int(run_id, 16),
            folder=self._record.folder.path,
            carrier=self._plan.carrier,
            keep_records=self._record.document.records_kept,
            write_ahead=any(event.action in ENDS_CLIENTS for event in self._request.timeline),
        )
        self._engines = engines
        engines.start(READY_WITHIN_S, self._stop.check)
        self._cores.hold(engines.pids.values() if isinstance(engines, Engines) else ())
        clients = tuple(client_part(client.role, client) for client in engines.clients)
        self._record.change(clients=clients, pinning=self._cores.text)
        self._tell_clocks(engines)
        self._publishing = len(publishers)
        return engines

    def _tell_clocks(self, engines: EngineGroup) -> None:
        """METHOD rule 3: clients on several machines share no clock. Known before the run, and better after it."""
        workers = tuple(worker_part(worker) for worker in engines.workers)
        if workers:
            self._record.change(workers=workers)
        for worker in workers:
            self._record.event("worker-clock", time.monotonic_ns(), **worker.model_dump(exclude={"host", "clients"}))

    def _schedule(self) -> list[Scheduled]:
        """What the timeline will do; before any load, so that a target that cannot is found by its control run."""
        clients = RunningClients(self._running_engines, self._publisher_of, self._record.folder.path / "logs")
        services = {} if self._services is None else self._services.by_channel
        scheduled = schedule(self._request.timeline, self._sites, clients, self._plan.seed, services)
        return [] if self._request.kind == "control" else scheduled

    def _publisher_of(self, channel: str) -> PublisherSpec:
        """A client that publishes to a channel."""
        publishers, _ = tasks(self._record.document.run_id, self._plan, self._sites)
        return next(task.spec for task in publishers if task.spec.channel == channel)

    def _running_engines(self) -> EngineGroup:
        assert self._engines is not None  # noqa: S101 - the timeline starts after them
        return self._engines

    def _measure(self, engines: EngineGroup) -> None:
        plan, injector = self._plan, self._injector
        assert injector is not None  # noqa: S101  # set by carry_out
        lead_s = LEAD_S + LEAD_PER_CLIENT_S * len(engines.clients)
        self._t0_ns = time.monotonic_ns() + round((lead_s + plan.warm_up_s) * 1e9)
        self._record.start_clock(self._t0_ns)
        self._phase("warm-up", total_s=plan.warm_up_s)
        self.measured_anything = True
        keep_records = self._record.document.records_kept
        self._keeper = LedgerKeeper(
            LedgerFolder(self._record.folder.ledger, plan, self._t0_ns, keep_records=keep_records)
        )
        engines.go(self._t0_ns)
        self._system.start()
        injector.start(self._t0_ns)
        self._pump_until(engines, lambda: time.monotonic_ns() >= self._t0_ns)
        self._phase("measure", total_s=plan.measured_s)
        processors = ProcessorWatch()
        end_ns = self._t0_ns + round(plan.measured_s * 1e9)
        self._pump_until(engines, lambda: time.monotonic_ns() >= end_ns)
        self._judge_host(processors.busy())
        self._phase("publishers end", total_s=plan.reconnect_s)
        limit = time.monotonic() + plan.reconnect_s + FINISH_WITHIN_S
        self._pump_until(engines, lambda: self._publishing == 0 or time.monotonic() > limit)
        if self._publishing:
            raise EnvironmentFailure(f"{self._publishing} publishers did not end within {plan.reconnect_s:.0f} s")
        limit = time.monotonic() + injector.heal_within_s
        self._pump_until(engines, lambda: injector.finished or time.monotonic() > limit)
        injector.note()
        self._judge_workers()

    def _judge_workers(self) -> None:
        """METHOD rule 8: a client that is near its own limit measures itself."""
        client, share = self._workers.busiest()
        self._record.event("client-cpu", time.monotonic_ns(), client=client, share=round(share, 3))
        if share > CLIENT_BOUND_CPU:
            text = f"client {client} used {share:.0%} of a core while measuring: no verdict on the broker's timings"
            self._record.label("client-bound", text)

    def _judge_host(self, busy: float | None) -> None:
        """METHOD rule 17: one host is a small world."""
        self._record.event("host-cpu", time.monotonic_ns(), busy=busy, watch_s=round(self._system.cost_s, 3))
        if busy is not None and busy > CO_LOCATED_CPU:
            self._record.label(
                "co-located",
                f"broker and clients share a host whose processors were {busy:.0%} busy: no verdict on rates",
            )

    def _drain(self, engines: EngineGroup, *, limit_s: float, interrupted: bool = False) -> None:
        self._phase("drain", total_s=limit_s)
        states = engines.states()
        readers = frozenset(
            client.name for client in engines.roster if client.role == "subscriber" and states[client.name].ready
        )
        self._watch = watch = DrainWatch(started_s=time.monotonic(), limit_s=limit_s, clients=readers)
        next_look = 0.0
        reading_in = False
        ended = None
        while ended is None:
            if self._stop.at_once.is_set() or (self._stop.requested.is_set() and not interrupted):
                self.drained = watch.cut_short(time.monotonic(), "interrupted")
                self._stop.check()
                return
            self._pump(engines, 0.1)
            if time.monotonic() >= next_look:
                self._observe(watch)
                next_look = time.monotonic() + OBSERVE_EVERY_S
            if not reading_in and watch.quiet_s(time.monotonic()) >= IDLE_S:
                reading_in = True
                threading.Thread(target=import_module, args=("pandas",), daemon=True).start()
            ended = watch.verdict(time.monotonic())
        self.drained = ended
        self._note(f"drain ended: {ended.reason}", "" if ended.clean else "yellow")

    def _look_for_missing(self) -> None:
        """Asked only where loss is known."""
        if self._keeper is not None and self.drained is not None and self.drained.clean:
            self._keeper.finish()
            keep_whereabouts(self._record, self._sites, self._keeper.tallies, self._note)

    def _observe(self, watch: DrainWatch) -> None:
        for site in self._sites:
            now = time.monotonic()
            try:
                watch.observed(site.name, self._look(site), now)
            except BrokerError as error:
                watch.not_observed(site.name, error.message)
        self._view.status.backlog = {reader: count for reader, count in watch.backlog.items() if count is not None}

    def _look(self, site: Site) -> Observation:
        observation = site.admin.observe(site.provisioned)
        return observation if self._services is None else self._services.without_given_up(observation)

    def _pump_until(self, engines: EngineGroup, done: Callable[[], bool]) -> None:
        while not done():
            self._stop.check()
            self._pump(engines, 0.1)

    def _pump(self, engines: EngineGroup, timeout_s: float) -> None:
        """Take what the children said: keep it, show it."""
        if self._keeper is not None:
            self._keeper.check()
        if self._services is not None:
            self._services.check()
        said = engines.take(timeout_s)
        windows = [message for message in said if isinstance(message, Window)]
        if windows:
            self._record.folder.add_windows(windows)
            for window in windows:
                self._show(window)
        for message in said:
            if isinstance(message, ClientNote):
                self._record.event("client", message.at_ns, client=message.client, what=message.kind, text=message.text)
                self._say_connection(message)
            elif isinstance(message, PublisherDone):
                self._publishing -= 1
                self._record.event("publisher-done", time.monotonic_ns(), **asdict(message))
            elif isinstance(message, EngineFailed):
                raise EnvironmentFailure(f"the engine of {message.client} failed: {message.reason}")
            elif isinstance(message, WorkerLost):
                raise EnvironmentFailure(f"worker {message.worker} was lost: {message.reason}")
        self._show_clock()

    def _show(self, window: Window) -> None:
        status: Status = self._view.status
        status.sent += window.counters.get("sent", 0)
        status.acknowledged += window.counters.get("acknowledged", 0)
        status.rejected += window.counters.get("rejected", 0)
        received = window.counters.get("received", 0)
        if received:
            reader = f"{window.channel}.{window.reader}"
            status.received[reader] = status.received.get(reader, 0) + received
        self._workers.used(window.client, window.second, window.counters.get("cpu_ns", 0))
        if self._watch is not None and window.role == "subscriber":
            self._tell_watch(self._watch, window)
        if "lateness" in window.histograms:
            self._lateness.add(window.second, Histogram.from_sparse(*window.histograms["lateness"]))
            status.lateness = self._lateness.text()

    def _tell_watch(self, watch: DrainWatch, window: Window) -> None:
        """By the client's clock (the same one), not by when its word came: it may have waited here. A receipt is taken
        to be as late as its second allows, and no later than the word of it."""
        t0_s = self._t0_ns / 1e9
        if any(window.counters.get(name) for name in ("received", "corrupt", "foreign", "failed")):
            watch.receipts(min(t0_s + window.second + 1.0, time.monotonic()))
        watch.said(window.client, t0_s + window.told_s)

    def _say_connection(self, note: ClientNote) -> None:
        """Show a client's connection only where it changes: an outage brings the same error many times a second."""
        lost = note.kind in ("down", "reconnecting")
        if note.kind in ("rejected", "fallback") or lost != (note.client in self._disconnected):
            text = note.text if len(note.text) <= _SHOWN_TEXT else note.text[:_SHOWN_TEXT] + "…"
            self._note(f"{note.client} {note.kind}: {text}")  # whole in events.jsonl
        if lost:
            self._disconnected.add(note.client)
        elif note.kind == "reconnected":
            self._disconnected.discard(note.client)

    def _show_clock(self) -> None:
        phases = self._record.document.phases
        if phases and phases[-1].end_s is None:
            now = self._record.seconds(time.monotonic_ns())
            self._view.status.elapsed_s = 0.0 if now is None else now - phases[-1].start_s
        self._view.refresh()

    def _phase(self, name: str, *, total_s: float | None = None) -> None:
        now = time.monotonic_ns()
        if self._t0_ns:
            self._record.begin_phase(name, now)
        self._record.event("phase", now, phase=name)
        self._view.status.phase, self._view.status.total_s, self._view.status.elapsed_s = name, total_s, 0.0
        self._view.refresh()

    def _announce(self, injection: Injection) -> None:
        self._cores.hold()
        self._record.event(
            "fault",
            time.monotonic_ns(),
            index=injection.index,
            step=injection.step,
            subject=injection.subject,
            error=injection.error,
        )
        text = f"{injection.action} {injection.subject}: {injection.error or injection.step}"
        self._note(text, "red" if injection.step in ("injected", "failed") else "")

    def _note(self, text: str, style: str = "") -> None:
        self._view.event(text, style=style)
