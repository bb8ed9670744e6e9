"""What the runner asks of engines, wherever they run: on this machine (``engines``) or on several (``workers``)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from crep.harness.load.protocol import (
    Client,
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


@dataclass(frozen=True)
class ClientState:
    """How one client is.

    By the kernel's word: ``pid`` (None: no process is there) and ``frozen`` (stopped by a signal). By its own:
    ``ready`` (connected, in this life), ``standing`` (receives nothing), and ``processing_ns``, the time that it takes
    for each message (None: it has not said). ``life``: how often it was started; 0: never.
    """

    life: int = 0
    pid: int | None = None
    ready: bool = False
    standing: bool = False
    frozen: bool = False
    processing_ns: int | None = None


NEVER_STARTED = ClientState()


class EngineGroup(Protocol):
    """All engines of one run. What each method does, and in which order they come, is said at ``engines.Engines``.

    Those that act on clients by name, and ``states``, may be called from any thread, while another one uses the rest.
    """

    @property
    def clients(self) -> tuple[ClientSettings, ...]:
        """The clients that are ready, with their effective settings."""

    @property
    def roster(self) -> tuple[Client, ...]:
        """Every client of the run, those that are to join later included."""

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

    def states(self) -> dict[str, ClientState]:
        """Of every client of the roster."""

    def pause(self, channel: str, readers: Collection[str]) -> None:
        """All members of these readers are to stop receiving."""

    def resume(self, channel: str, readers: Collection[str]) -> None:
        """They are to receive again."""

    def standing(self, channel: str, readers: Collection[str]) -> list[bool]:
        """For each running member of these readers whether it said last that it stands still."""

    def slow(self, clients: Collection[str], per_message_ns: int | None) -> None:
        """These subscribers are to take so long for each message; None: as long as their task says."""

    def freeze(self, clients: Collection[str]) -> None:
        """Stop these processes where they are."""

    def thaw(self, clients: Collection[str]) -> None:
        """Let them go on."""

    def crash(self, clients: Collection[str]) -> None:
        """End these processes without a warning; they are no failures, and may be started again."""

    def begin(self, clients: Collection[str]) -> None:
        """Start these clients, which are not there: they go on where they left off, or join."""

    def leave(self, clients: Collection[str]) -> None:
        """These subscribers are to close and end."""

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
        write_ahead: bool = False,
    ) -> EngineGroup:
        """See ``engines.Engines``."""
