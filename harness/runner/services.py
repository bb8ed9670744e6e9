"""The services of a run, captures too: started when what they use stands, watched, ended before it is taken away."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from crep.harness.brokers.contract import Observation
from crep.harness.brokers.directions import DEAD_TOPIC, FROM, TO
from crep.harness.deployment.archivist import Archivist
from crep.harness.deployment.service import Service
from crep.harness.runner.prepare import (
    GIVEN_UP,
    REPLAYED,
    Site,
    capture_of,
    given_up_channel,
    reader_of,
    replayed_channel,
)
from crep.harness.runs.document import ServicePart
from crep.harness.scenario.model import Scenario
from crep.harness.scenario.plan import Plan, ReplayPlan, ServicePlan

READY_WITHIN_S = 60.0
END_WITHIN_S = 20.0
"""A bridge settles what is under way; then, or after so long, it is gone."""
_PYTHON = ("python", "python3")


class Services:
    """Every service of a plan, by the channel that it fills; a capture by the channel that it stands behind.

    Args:
        plan: says which there are.
        scenario: its folder holds their files.
        sites: provisioned.
        folder: of the run: for logs and archives.
    """

    def __init__(self, plan: Plan, scenario: Scenario, sites: Sequence[Site], folder: Path) -> None:
        self._plans, self._replays, logs = plan.services, plan.replays, folder / "logs"
        of = {site.name: site for site in sites}
        self._running: dict[str, Service] = {
            service.channel: Service(
                f"the service of channel {service.channel!r}",
                _command(service, scenario),
                _environment(service, of),
                scenario.folder,
                logs / f"service-{service.channel}.log",
            )
            for service in plan.services
        }
        self.archivists = {
            replay.channel: Archivist(
                f"the capture of channel {replay.channel!r}",
                _capture_environment(replay, of[replay.site]),
                folder / "archives" / replay.channel,
                logs / f"capture-{replay.channel}.log",
                replay.keep_s,
            )
            for replay in plan.replays
        }
        self._running |= self.archivists
        self._ended: dict[str, bool] = {}
        self._given_up: dict[str, int] = {}
        self._lock = threading.Lock()

    @property
    def by_channel(self) -> Mapping[str, Service]:
        """Each by the channel that it fills."""
        return self._running

    def start(self, check: Callable[[], None]) -> None:
        """Start all, and wait until each is ready; ``check`` may raise to give up.

        Raises:
            EnvironmentFailure: one ended, or did not get ready.
        """
        for service in self._running.values():
            service.start()
        for service in self._running.values():
            service.await_ready(READY_WITHIN_S, check)

    def check(self) -> None:
        """See that all run that should. Raises EnvironmentFailure."""
        for service in self._running.values():
            service.check()

    def end(self, within_s: float = END_WITHIN_S) -> None:
        """End all, side by side and bounded; once."""
        with self._lock:
            if not self._running or self._ended:
                return
            with ThreadPoolExecutor(len(self._running)) as pool:
                ended = pool.map(lambda service: service.end(within_s), self._running.values())
                self._ended = dict(zip(self._running, ended, strict=True))

    def without_given_up(self, observation: Observation) -> Observation:
        """What services gave up and what came again is nobody's backlog, nor what a capture has not read while it
        played; how much was given up is kept."""
        readers = dict(observation.readers)
        for replay in self._replays:
            readers.pop(f"{replayed_channel(replay.channel)}.{REPLAYED}", None)
            readers.pop(f"{replay.channel}.{capture_of(replay)}", None)
        for service in self._plans:
            state = readers.pop(f"{given_up_channel(service)}.{GIVEN_UP}", None)
            if state is not None:
                self._given_up[service.channel] = state.backlog
        return replace(observation, readers=readers)

    @property
    def parts(self) -> tuple[ServicePart, ...]:
        """What ``run.json`` says of them."""
        return tuple(
            ServicePart(
                channel=service.channel,
                source=service.source,
                transform=service.transform,
                bridge=service.bridge,
                route=service.route,
                command=service.command,
                lives=self._running[service.channel].lives,
                in_order=self._ended.get(service.channel),
                ledger=self._running[service.channel].last_of("ledger"),
                given_up=self._given_up.get(service.channel),
            )
            for service in self._plans
        )


def _command(service: ServicePlan, scenario: Scenario) -> list[str]:
    if service.bridge is None:
        first, *rest = service.command
        return [sys.executable if first in _PYTHON else first, *rest]
    bridge = [sys.executable, "-m", "crep", "bridge", "run", str(scenario.folder / service.bridge)]
    return [*bridge, "--placed", service.route or "", "--log", "json", "--instance", f"run-{service.channel}"]


def _environment(service: ServicePlan, sites: Mapping[str, Site]) -> dict[str, str]:
    source, sink = sites[service.source_site], sites[service.site]
    read = source.adapter.directions(source.endpoint, source.provisioned.objects[service.source], reader_of(service))
    write = sink.adapter.directions(sink.endpoint, sink.provisioned.objects[service.channel])
    dead = sink.adapter.directions(sink.endpoint, sink.provisioned.objects[given_up_channel(service)])
    places = {**read.variables(FROM), **write.variables(TO), DEAD_TOPIC: dead.native_topic(GIVEN_UP)}
    return {**_ours(), **places}


def _capture_environment(replay: ReplayPlan, site: Site) -> dict[str, str]:
    objects = site.provisioned.objects
    read = site.adapter.directions(site.endpoint, objects[replay.channel], capture_of(replay))
    write = site.adapter.directions(site.endpoint, objects[replayed_channel(replay.channel)])
    return {**_ours(), **read.variables(FROM), **write.variables(TO)}


def _ours() -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith((f"{FROM}_", f"{TO}_"))}
    return {**ours, "PYTHONUNBUFFERED": "1"}
