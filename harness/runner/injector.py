"""The faults of one run: made before any load, injected on time, healed at the end, by somebody else if need be."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from crep.harness.deployment.service import Service
from crep.harness.faults.contract import Clients, Stage
from crep.harness.faults.registry import make_fault
from crep.harness.faults.timeline import Announce, Injection, Scheduled, Timeline
from crep.harness.faults.watchdog import Watchdog
from crep.harness.runner.prepare import Site
from crep.harness.scenario.plan import TimelineEvent


def schedule(
    events: Sequence[TimelineEvent],
    sites: Iterable[Site],
    clients: Clients,
    seed: int,
    services: Mapping[str, Service] | None = None,
) -> list[Scheduled]:
    """What the events will do on these sites.

    Raises:
        NotSupported: a target cannot, or may not be failed.
    """
    of = {site.name: site for site in sites}
    scheduled = []
    for event in events:
        site = of[event.site]
        stage = Stage(event, site.target, site.deployment, site.admin, site.provisioned, clients, seed, services or {})
        scheduled.append(Scheduled.of(event, make_fault(stage)))
    return scheduled


class Injector:
    """A timeline, with a watchdog beside it where the death of crep would leave something in effect."""

    def __init__(
        self, scheduled: Sequence[Scheduled], announce: Announce, record: Callable[[Sequence[Injection]], None]
    ) -> None:
        self._record = record
        outlasting = any(event.fault.undo() for event in scheduled)
        self._watchdog = Watchdog() if outlasting else None
        self._timeline = Timeline(scheduled, announce, self._watchdog)

    def start(self, t0_ns: int) -> None:
        """Declared times count from ``t0_ns``."""
        self._timeline.start(t0_ns)

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen before the end of the run."""
        return self._timeline.finished

    @property
    def heal_within_s(self) -> float:
        """The longest that healing of one fault may take."""
        return self._timeline.heal_within_s

    def note(self) -> None:
        """Write down what has happened so far."""
        self._record(self._timeline.injections())

    def stop(self) -> None:
        """Inject nothing more, heal all that is in effect, bounded; what then still is, the watchdog heals."""
        self._timeline.cancel()
        self.note()
        if self._watchdog is not None:
            self._watchdog.close()
