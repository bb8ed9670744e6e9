"""The engines of one run on several machines: the same methods as ``load.engines.Engines``, each a word to workers."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crep.harness.brokers.contract import BrokerError
from crep.harness.config.errors import CrepError, EnvironmentFailure
from crep.harness.load.contract import NEVER_STARTED, ClientState, Said, WorkerFacts, WorkerLost
from crep.harness.load.protocol import ChildTask, Client, ClientSettings, EngineFailed, PublisherTask, SubscriberTask
from crep.harness.load.stamp import Carrier
from crep.harness.workers.clock import ClockReading, error_of_use
from crep.harness.workers.share import Task, crossing, shares
from crep.harness.workers.shipping import ClientFiles, Intake
from crep.harness.workers.words import Message, from_message

if TYPE_CHECKING:
    from crep.harness.workers.fleet import Fleet, Member

_CHECK_EVERY_S = 0.2
_ANSWER_WITHIN_S = 10.0  # beyond the time that a worker itself takes
_KILLED_WITHIN_S = 15.0
_FETCH_AT_MOST_S = 900.0


class WorkerEngines:
    """All engines of one run, spread over a fleet's workers (``load.contract.EngineGroup``). Used by one thread.

    Records go to the run folder in the link's thread as they come; a worker that is lost is among what ``take``
    returns, as ``WorkerLost``.

    Args:
        fleet: the workers.
        members: those that take part; a fleet one of which is lost makes no further run.
        publishers: one engine each.
        subscribers: one engine each.
        run_number: u32, in every stamp.
        folder: the run folder.
        carrier: where the stamp travels.
        keep_records: the records stay.
        write_ahead: clients will be ended (``engines.Engines``).
    """

    def __init__(
        self,
        fleet: Fleet,
        members: Sequence[Member],
        *,
        publishers: Sequence[PublisherTask],
        subscribers: Sequence[SubscriberTask],
        run_number: int,
        folder: Path,
        carrier: Carrier,
        keep_records: bool,
        write_ahead: bool = False,
    ) -> None:
        self._write_ahead = write_ahead
        self._fleet, self._members = fleet, list(members)
        self._run_number, self._carrier, self._keep = run_number, carrier, keep_records
        self._ledger = folder / "ledger"
        tasks: list[Task] = [*subscribers, *publishers]
        self._clients = [Client.of(task) for task in tasks]
        self._files = [ClientFiles.of(task) for task in tasks]
        self._shares = shares(publishers, subscribers, len(self._members))
        self._worker_of = {
            Client.of(task).name: member.name
            for member, share in zip(self._members, self._shares, strict=True)
            for task in share
        }
        self._inbox: queue.SimpleQueue[tuple[Member, Message]] = queue.SimpleQueue()
        self._said: list[Said] = []
        self._lock = threading.Lock()  # of the next
        self._intake: Intake | None = None
        self._settings: dict[str, dict[str, str]] = {}
        self._ready: set[str] = set()
        self._at_work: set[str] = set()  # have been given engines, and have not said that these have ended
        self._states = {client.name: NEVER_STARTED for client in self._clients}
        self._used: dict[str, ClockReading] = {}
        self._seen: dict[str, list[ClockReading]] = {member.name: [] for member in self._members}
        self._refusal: CrepError | None = None
        self._arrived_s = 0.0

    def hear(self, member: Member, message: Message, body: bytes) -> None:
        """In the link's thread: a worker's word. Records are written here, so that nobody's pace delays them."""
        if "records" not in message:
            self._inbox.put((member, message))
            return
        try:
            with self._lock:
                if self._intake is not None:
                    self._intake.append(message["records"], message["first"], body)
        except CrepError as error:
            self._inbox.put((member, {"broken": str(error)}))
            return
        self._arrived_s = time.monotonic()
        self._fleet.tell(member, {"arrived": True})

    def lose(self, member: Member, reason: str) -> None:
        """In the link's thread: a worker is out of reach."""
        self._inbox.put((member, {"lost": reason}))

    @property
    def clients(self) -> tuple[ClientSettings, ...]:
        """The clients that are ready, with their effective settings."""
        ready = [client for client in self._clients if client.name in self._settings]
        return tuple(ClientSettings(**asdict(client), settings=self._settings[client.name]) for client in ready)

    @property
    def roster(self) -> tuple[Client, ...]:
        """Every client of the run."""
        return tuple(self._clients)

    @property
    def workers(self) -> tuple[WorkerFacts, ...]:
        """The machines, their clients, and their clocks."""
        return tuple(
            WorkerFacts(
                name=member.name,
                host=member.host,
                clients=tuple(name for name, worker in self._worker_of.items() if worker == member.name),
                clock_ahead_ns=self._used[member.name].ahead_ns,
                clock_error_ns=error_of_use(self._used[member.name], self._seen[member.name]),
                round_trip_ns=2 * self._used[member.name].error_ns,
            )
            for member in self._members
            if member.name in self._used
        )

    @property
    def clock_note(self) -> str | None:
        """Which readers' latencies are measured between machines, and how well their clocks are known."""
        readers = crossing(self._clients, self._worker_of)
        facts = {one.name: one for one in self.workers}
        involved = sorted({worker for workers in readers.values() for worker in workers} & set(facts))
        if not involved:
            return None
        clocks = [
            f"{name} is ahead by {facts[name].clock_ahead_ns / 1e6:+.3f} ± {facts[name].clock_error_ns / 1e6:.3f} ms"
            for name in involved
        ]
        two_worst = sum(sorted(facts[name].clock_error_ns for name in involved)[-2:])
        return (
            f"latency of {', '.join(readers)} is measured between workers' clocks, right to ±{two_worst / 1e6:.3f} ms "
            f"({'; '.join(clocks)}; shortest round trips)"
        )

    def start(self, timeout_s: float, check: Callable[[], None] = lambda: None) -> None:
        """Read the clocks, give each worker its tasks, wait until all are ready. Raises like ``Engines.start``."""
        for member in self._members:
            if member.lost is not None:
                raise EnvironmentFailure(f"worker {member.name} was lost: {member.lost}")
        self._intake = Intake(self._ledger, self._files, keep=self._keep)
        readings = self._fleet.read_clocks(self._members, check)
        self._fleet.show(True)
        for member, share, clock in zip(self._members, self._shares, readings, strict=True):
            self._used[member.name] = clock
            tasks = [ChildTask(task, self._run_number, self._carrier, self._ledger) for task in share]
            order = {
                "tasks": [task.to_line().decode() for task in tasks],
                "run_number": self._run_number,
                "carrier": self._carrier,
                "keep_records": self._keep,
                "write_ahead": self._write_ahead,
                "ahead_ns": clock.ahead_ns,
                "ready_within_s": timeout_s,
            }
            self._at_work.add(member.name)
            self._fleet.tell(member, {"prepare": order})
        self._await_ready(time.monotonic() + timeout_s + _ANSWER_WITHIN_S, check)

    def _await_ready(self, deadline: float, check: Callable[[], None]) -> None:
        while waiting := [member.name for member in self._members if member.name not in self._ready]:
            check()
            self._hear(_CHECK_EVERY_S)
            if self._refusal is not None:
                self.kill()
                raise self._refusal
            for said in self._said:
                if isinstance(said, EngineFailed):
                    self.kill()
                    raise BrokerError(f"client {said.client} did not get ready: {said.reason}")
                if isinstance(said, WorkerLost):
                    self.kill()
                    raise EnvironmentFailure(f"worker {said.worker} was lost: {said.reason}")
            if time.monotonic() > deadline:
                self.kill()
                raise EnvironmentFailure(f"not ready in time: worker {', '.join(waiting)}")

    def go(self, t0_ns: int) -> None:
        """Publishers follow their schedules; ``t0_ns`` by this machine's clock."""
        self._tell(go=t0_ns)

    def take(self, timeout_s: float) -> list[Said]:
        """What the engines said since the last call; waits for the first word at most ``timeout_s``."""
        if not self._said:
            self._hear(timeout_s)
        said, self._said = self._said, []
        return said

    def stop_publishers(self) -> None:
        """An early end: no further sends."""
        self._tell(stop=True)

    def pause(self, channel: str, readers: Collection[str]) -> None:
        """All members of these readers are to stop receiving. From any thread."""
        self._tell(pause=[channel, list(readers)])

    def resume(self, channel: str, readers: Collection[str]) -> None:
        """They are to receive again. From any thread."""
        self._tell(resume=[channel, list(readers)])

    def standing(self, channel: str, readers: Collection[str]) -> list[bool]:
        """For each member of these readers whether it said last that it stands still. From any thread."""
        members = [one.name for one in self._clients if one.channel == channel and one.reader in readers]
        states = self.states()
        return [states[name].standing for name in members if states[name].pid is not None]

    def states(self) -> dict[str, ClientState]:
        """Of every client of the roster, as its worker said last; ``pid`` is that machine's. From any thread."""
        return dict(self._states)

    def slow(self, clients: Collection[str], per_message_ns: int | None) -> None:
        """These subscribers are to take so long for each message. From any thread."""
        self._tell(slow=[list(clients), per_message_ns])

    def freeze(self, clients: Collection[str]) -> None:
        """Stop these processes where they are. From any thread."""
        self._tell(freeze=list(clients))

    def thaw(self, clients: Collection[str]) -> None:
        """Let them go on. From any thread."""
        self._tell(thaw=list(clients))

    def crash(self, clients: Collection[str]) -> None:
        """End these processes without a warning; ``states`` says when they are gone. From any thread."""
        self._tell(crash=list(clients))

    def begin(self, clients: Collection[str]) -> None:
        """Start these clients, as far as they are not there. From any thread."""
        self._tell(begin=list(clients))

    def leave(self, clients: Collection[str]) -> None:
        """These subscribers are to close and end. From any thread."""
        self._tell(leave=list(clients))

    def finish(self, timeout_s: float) -> None:
        """Close what still runs, and fetch all records. Idempotent.

        A worker that does not say within ``timeout_s`` that all has ended is lost; time in which records come does not
        count, up to a quarter of an hour.
        """
        self._tell(finish=timeout_s)
        self._arrived_s = began_s = time.monotonic()
        while self._at_work:
            now_s = time.monotonic()
            if now_s - self._arrived_s > timeout_s + _ANSWER_WITHIN_S or now_s - began_s > _FETCH_AT_MOST_S:
                break
            self._hear(_CHECK_EVERY_S)
        for name in sorted(self._at_work):
            self._said.append(WorkerLost(name, f"its engines and records did not end within {timeout_s:.0f} s"))
        self._read_clocks_again()
        self.kill()

    def kill(self) -> None:
        """End every engine at once, wherever it is. Idempotent; what was said before can still be taken."""
        if self._at_work:
            self._tell(kill=True)
            deadline = time.monotonic() + _KILLED_WITHIN_S
            while self._at_work and time.monotonic() < deadline:
                self._hear(_CHECK_EVERY_S)
            for member in self._members:
                if member.name in self._at_work and member.lost is None:
                    member.lost = "it did not say that its engines have ended"
            self._at_work.clear()
        with self._lock:
            if self._intake is not None:
                self._intake.close()
                self._intake = None
                self._fleet.show(False)

    def _read_clocks_again(self) -> None:
        for member in self._members:
            if member.trips and member.lost is None:
                self._seen[member.name].append(member.clock())

    def _tell(self, **message: Any) -> None:
        for member in self._members:
            self._fleet.tell(member, message)

    def _hear(self, timeout_s: float) -> None:
        with contextlib.suppress(queue.Empty):
            self._understand(*self._inbox.get(timeout=max(0.0, timeout_s)))
            while True:
                self._understand(*self._inbox.get_nowait())

    def _understand(self, member: Member, message: Message) -> None:
        if "ready" in message:
            self._settings |= message["ready"]
            self._ready.add(member.name)
        elif "unable" in message:
            self._at_work.discard(member.name)
            kind = BrokerError if message["broker"] else EnvironmentFailure
            self._refusal = kind(f"worker {member.name}: {message['unable']}")
        elif "states" in message:
            self._states |= {name: ClientState(**state) for name, state in message["states"].items()}
        elif "ended" in message:
            self._at_work.discard(member.name)
        elif "lost" in message or "broken" in message:
            if "lost" in message:
                self._at_work.discard(member.name)
            self._said.append(WorkerLost(member.name, message.get("lost") or message["broken"]))
        elif (said := from_message(message)) is not None:
            self._said.append(said)
