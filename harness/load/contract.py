"""What the runner asks of engines, wherever they run: on this machine (``engines``) or on several (``workers``)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from crep.harness.load.protocol import (
    ClientNote,
    ClientSettings,
    EngineFailed,
    PublisherDone,
    PublisherTask,
    SubscriberTask,
    Window,
)
from crep.harness.load.stamp import Carrier


@dataclass(frozen=True)
class WorkerLost:
    """A worker with all its engines is out of reach, or cannot go on; ``reason`` is for people."""

    worker: str
    reason: str


Said: TypeAlias = Window | ClientNote | PublisherDone | EngineFailed | WorkerLost


@dataclass(frozen=True)
class WorkerFacts:
    """One worker of a run, for the provenance.

    ``clock_ahead_ns``: what its CLOCK_MONOTONIC shows more than the master's, as used for the run; ``clock_error_ns``
    bounds the error of that during the whole run, drift included; ``round_trip_ns``: the shortest that it rests on.
    """

    name: str
    host: dict[str, Any]  # runs.document.Host
    clients: tuple[str, ...]
    clock_ahead_ns: int
    clock_error_ns: int
    round_trip_ns: int


class EngineGroup(Protocol):
    """All engines of one run. What each method does, and in which order they come, is said at ``engines.Engines``."""

    @property
    def clients(self) -> tuple[ClientSettings, ...]:
        """The clients that are ready, with their effective settings."""

    @property
    def workers(self) -> tuple[WorkerFacts, ...]:
        """The machines that the engines run on; none where that is this one."""

    @property
    def clock_note(self) -> str | None:
        """What readers of the latencies must know of the clocks behind them; None where all share one."""

    def start(self, timeout_s: float, check: Callable[[], None] = ...) -> None:
        """Start all and wait until all are ready."""

    def go(self, t0_ns: int) -> None:
        """Publishers follow their schedules."""

    def take(self, timeout_s: float) -> list[Said]:
        """What was said since the last call."""

    def stop_publishers(self) -> None:
        """An early end."""

    def pause(self, channel: str, readers: Collection[str]) -> None:
        """All members of these readers are to stop receiving."""

    def resume(self, channel: str, readers: Collection[str]) -> None:
        """They are to receive again."""

    def standing(self, channel: str, readers: Collection[str]) -> list[bool]:
        """For each member of these readers whether it said last that it stands still."""

    def finish(self, timeout_s: float) -> None:
        """Close what still runs and wait until all has ended."""

    def kill(self) -> None:
        """End everything at once."""


class MakeEngines(Protocol):
    """Makes the engines of a run, not started: ``engines.Engines``, or ``workers.fleet.Fleet.engines``."""

    def __call__(
        self,
        *,
        publishers: Sequence[PublisherTask],
        subscribers: Sequence[SubscriberTask],
        run_number: int,
        folder: Path,
        carrier: Carrier,
        keep_records: bool,
    ) -> EngineGroup:
        """See ``engines.Engines``."""
