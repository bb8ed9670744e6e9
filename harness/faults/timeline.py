"""The timeline: each event at its declared time, every step stamped as it was observed.

One thread per event, so that a slow recovery of one fault never delays the next::

    wait until at ──► aim ──► inject ──► probe until confirmed ──► wait heal_after ──► heal ──► probe until healed
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from crep.harness.config.errors import CrepError
from crep.harness.faults.contract import HEAL_WITHIN_S, Fault
from crep.harness.faults.undo import Undo
from crep.harness.scenario.actions.base import Json
from crep.harness.scenario.plan import TimelineEvent

PROBE_EVERY_S = 0.05

Announce = Callable[["Injection"], None]


class Guard(Protocol):
    """Who heals what is in effect when this process is gone (``watchdog.Watchdog``)."""

    def hold(self, number: int, action: str, subject: str, undo: Sequence[Undo]) -> None:
        """Before a fault is injected: this is how it is undone. Raises EnvironmentFailure where nobody could."""
        ...

    def release(self, number: int) -> None:
        """It is healed, or was never injected."""
        ...


@dataclass(frozen=True)
class Injection:
    """One event of the timeline as it went; times are CLOCK_MONOTONIC nanoseconds, None while not reached."""

    index: int
    action: str
    site: str
    subject: str
    declared_s: float
    node: str | None = None
    parameters: Mapping[str, Json] = field(default_factory=dict)
    step: str = "declared"  # injected, confirmed, healing, healed, failed
    injected_ns: int | None = None
    confirmed_ns: int | None = None
    heal_started_ns: int | None = None
    healed_ns: int | None = None
    error: str | None = None


@dataclass
class Scheduled:
    """A fault ready to be injected, with what the record calls it."""

    injection: Injection
    fault: Fault
    done: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def of(cls, event: TimelineEvent, fault: Fault) -> Scheduled:
        """An event of the plan with the fault that was made for it."""
        return cls(
            Injection(
                event.index, event.action, event.site, fault.subject, event.at_s, event.node, dict(event.parameters)
            ),
            fault,
        )


class Timeline:
    """Runs scheduled faults in the background. ``announce`` is called after each step, from the event's own thread.

    ``guard`` is told before each injection how it is undone; None where nothing outlives this process.
    """

    def __init__(self, events: Sequence[Scheduled], announce: Announce, guard: Guard | None = None) -> None:
        self._events = tuple(events)
        self._announce, self._guard = announce, guard
        self._cancelled = threading.Event()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    def start(self, t0_ns: int) -> None:
        """Begin; declared times count from ``t0_ns``, the first measured message's intended time."""
        for event in self._events:
            name = f"fault-{event.injection.index}"
            # A daemon: a second Ctrl-C ends crep whatever it waits for, and the watchdog heals then.
            thread = threading.Thread(target=self._run, args=(event, t0_ns), name=name, daemon=True)
            thread.start()
            self._threads.append(thread)

    @property
    def finished(self) -> bool:
        """Every event is healed, failed or was cancelled."""
        return all(event.done.is_set() for event in self._events)

    def injections(self) -> tuple[Injection, ...]:
        """The record so far, in declared order."""
        with self._lock:
            return tuple(event.injection for event in self._events)

    @property
    def heal_within_s(self) -> float:
        """The longest that healing of one event may take."""
        return max((event.fault.heal_within_s for event in self._events), default=HEAL_WITHIN_S)

    def cancel(self, timeout_s: float | None = None) -> None:
        """Inject nothing more; what is injected is healed at once, so that a kept broker is left running."""
        self._cancelled.set()
        for event in self._events:
            event.fault.cut_short()
        deadline = time.monotonic() + (self.heal_within_s if timeout_s is None else timeout_s)
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self, event: Scheduled, t0_ns: int) -> None:
        try:
            self._steps(event, t0_ns)
        except CrepError as error:
            self._note(event, step="failed", error=str(error))
        finally:
            event.done.set()

    def _steps(self, event: Scheduled, t0_ns: int) -> None:
        fault = event.fault
        self._sleep_until(t0_ns + round(event.injection.declared_s * 1e9))
        if self._cancelled.is_set():
            return
        fault.aim()
        self._hold(event)
        try:
            injected = fault.inject()
        except BaseException:
            self._release(event)
            raise
        lasts_s = fault.heal_after_s
        try:
            self._hold(event)
            self._note(event, step="injected", injected_ns=injected, subject=fault.subject)
            within_s = min(fault.confirm_within_s, max(0.5, lasts_s)) if lasts_s else fault.confirm_within_s
            if self._probe(fault.confirmed, within_s):
                self._note(event, step="confirmed", confirmed_ns=time.monotonic_ns())
            if lasts_s is None:
                event.done.set()  # nothing more comes of it until the run ends
                self._cancelled.wait()
            else:
                self._sleep_until(injected + round(lasts_s * 1e9))
        except BaseException:  # a full disk, say: whatever cannot be noted, a standing broker is not left dead
            fault.heal()
            raise
        heal_started = time.monotonic_ns()
        fault.heal()
        self._note(event, step="healing", heal_started_ns=heal_started)
        if self._probe(fault.healed, fault.heal_within_s):
            self._release(event)
            self._note(event, step="healed", healed_ns=time.monotonic_ns(), subject=fault.subject)
        else:
            self._note(event, step="failed", error=f"not healed within {fault.heal_within_s:.0f} s")

    def _hold(self, event: Scheduled) -> None:
        if self._guard is not None:
            injection, fault = event.injection, event.fault
            self._guard.hold(injection.index, injection.action, fault.subject, fault.undo())

    def _release(self, event: Scheduled) -> None:
        if self._guard is not None:
            self._guard.release(event.injection.index)

    def _sleep_until(self, at_ns: int) -> None:
        self._cancelled.wait(max(0.0, (at_ns - time.monotonic_ns()) / 1e9))

    @staticmethod
    def _probe(holds: Callable[[], bool], within_s: float) -> bool:
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            if holds():
                return True
            time.sleep(PROBE_EVERY_S)
        return False

    def _note(self, event: Scheduled, **changes: object) -> None:
        with self._lock:
            event.injection = replace(event.injection, **changes)  # type: ignore[arg-type]  # names are Injection's
        self._announce(event.injection)
