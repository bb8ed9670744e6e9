"""The parent's side of the engines: one child process for each client, started, told, heard and ended together."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from crep.harness.brokers.contract import BrokerError
from crep.harness.config.errors import EnvironmentFailure
from crep.harness.load.contract import NEVER_STARTED, ClientState, Said, WorkerFacts
from crep.harness.load.earlier import done_by_its_records
from crep.harness.load.process import EngineProcess, Inbox
from crep.harness.load.protocol import (
    ChildTask,
    Client,
    ClientNote,
    ClientSettings,
    EngineFailed,
    PublisherDone,
    PublisherTask,
    SubscriberTask,
    Window,
    window_from_json,
)
from crep.harness.load.stamp import Carrier

__all__ = [
    "ClientNote",
    "ClientSettings",
    "EngineFailed",
    "Engines",
    "PublisherDone",
    "PublisherTask",
    "Said",
    "SubscriberTask",
    "Window",
]

_CHECK_EVERY_S = 0.2


class Engines:
    """All engine processes of one run.

    ::

        start ──► go(t0) ──► take, take … ──► (all PublisherDone) ──► take … (drain) ──► finish ──► take (the rest)
                                │ stop_publishers: an early end              kill: at any time, also after a failure

    ``take`` never raises: a child that ended unexpectedly is among what it returns, as an ``EngineFailed``. Used by one
    thread; those of a timeline may act on single clients at the same time (``crash`` … ``leave``, ``states``)::

        reserve ──begin──► running ──leave──► ended          running ──freeze──► frozen ──thaw──► running
                              └──crash──► ended ──begin──► running, with its own records and the same schedule

    Args:
        publishers: one child each.
        subscribers: one child each.
        run_number: u32, in every stamp.
        folder: the run folder; records go to its ``ledger``, what children write to standard error to its ``logs``.
        carrier: where the stamp travels.
        keep_records: the records of messages stay until the end of the run; else they are written in segments, for
            whoever takes them in to remove.
        clock_ahead_ns: what this machine's clock shows more than the one whose time the stamps carry (METHOD rule 3).
        write_ahead: clients will be ended: they write their records before these come true.
    """

    def __init__(
        self,
        *,
        publishers: Sequence[PublisherTask],
        subscribers: Sequence[SubscriberTask],
        run_number: int,
        folder: Path,
        carrier: Carrier,
        keep_records: bool = True,
        clock_ahead_ns: int = 0,
        write_ahead: bool = False,
    ) -> None:
        self._ledger, self._logs = folder / "ledger", folder / "logs"
        tasks: list[PublisherTask | SubscriberTask] = [*subscribers, *publishers]
        self._tasks = {
            Client.of(task).name: ChildTask(
                task,
                run_number,
                carrier,
                self._ledger,
                keep_records=keep_records,
                clock_ahead_ns=clock_ahead_ns,
                write_ahead=write_ahead,
            )
            for task in tasks
        }
        self._roster = tuple(Client.of(task) for task in tasks)
        self._reserve = {task.spec.name for task in subscribers if task.joins_later}
        self._lock = threading.Lock()  # of what changes these two
        self._alive: dict[str, EngineProcess] = {}  # the latest life of each client; replaced, never changed in place
        self._stopping = False
        self._pace: dict[str, int] = {}  # of subscribers that were slowed, for those that come back meanwhile
        self._inbox: Inbox = queue.SimpleQueue()
        self._said: list[Said] = []
        self._t0_ns: int | None = None

    @property
    def _children(self) -> list[EngineProcess]:
        return list(self._alive.values())

    @property
    def clients(self) -> tuple[ClientSettings, ...]:
        """The clients that are ready, with their effective settings."""
        ready = [child for child in self._children if child.settings is not None]
        return tuple(ClientSettings(**asdict(child.client), settings=dict(child.settings or {})) for child in ready)

    @property
    def roster(self) -> tuple[Client, ...]:
        """Every client of the run."""
        return self._roster

    @property
    def workers(self) -> tuple[WorkerFacts, ...]:
        """No machine but this one."""
        return ()

    @property
    def clock_note(self) -> str | None:
        """All share one clock."""
        return None

    @property
    def pids(self) -> dict[str, int]:
        """Process id of each client's engine, by client name."""
        return {child.client.name: child.pid for child in self._children}

    def states(self) -> dict[str, ClientState]:
        """Of every client of the roster. From any thread."""
        alive = self._alive
        return {one.name: alive[one.name].state if one.name in alive else NEVER_STARTED for one in self._roster}

    def start(self, timeout_s: float, check: Callable[[], None] = lambda: None) -> None:
        """Start all children but those that join later; wait until all are ready: connected, and subscribers assigned.

        ``check`` is called a few times a second; what it raises ends the wait (the caller then kills the children).

        Raises:
            BrokerError: a client could not connect; the text is the child's own. All children have been ended.
            EnvironmentFailure: the run folder cannot be written, or a child did not get ready in time.
        """
        try:
            for folder in (self._ledger, self._logs):
                folder.mkdir(parents=True, exist_ok=True)
            for name in self._tasks:
                if name not in self._reserve:
                    self._spawn(name)
        except OSError as error:
            self.kill()
            raise EnvironmentFailure(f"the engines cannot be started: {error}") from error
        deadline = time.monotonic() + timeout_s
        while waiting := [child.client.name for child in self._children if child.settings is None]:
            check()
            self._hear(min(_CHECK_EVERY_S, deadline - time.monotonic()))
            failed = [said for said in self._said if isinstance(said, EngineFailed)]
            if failed:
                self.kill()
                raise BrokerError(f"client {failed[0].client} did not get ready: {failed[0].reason}")
            if time.monotonic() > deadline:
                self.kill()
                raise EnvironmentFailure(f"not ready within {timeout_s:.0f} s: {', '.join(waiting)}")

    def _spawn(self, name: str) -> EngineProcess:
        before = self._alive.get(name)
        life = 1 if before is None else before.life + 1
        task = replace(self._tasks[name], patient=self._t0_ns is not None)
        child = EngineProcess(task, self._logs / f"{name}.log", self._inbox, life)
        self._alive = self._alive | {name: child}
        return child

    def go(self, t0_ns: int) -> None:
        """Publishers follow their schedules; ``t0_ns`` is the time of the first measured message (CLOCK_MONOTONIC)."""
        with self._lock:
            self._t0_ns = t0_ns
            self._tell(self._children, go=t0_ns)

    def take(self, timeout_s: float) -> list[Said]:
        """What the children said since the last call, in order; waits for the first word at most ``timeout_s``."""
        if not self._said:
            self._hear(timeout_s)
        said, self._said = self._said, []
        return said

    def stop_publishers(self) -> None:
        """An early end: no further sends, what is under way is settled for a few seconds, then ``PublisherDone``.

        One that was ended and is not there now does not come back: what is known of it is said on its behalf.
        """
        with self._lock:
            self._stopping = True
            publishers = [child for child in self._children if child.client.role == "publisher"]
            self._tell(publishers, stop=1)
            gone = [child for child in publishers if child.crashed and not child.done]
        for child in gone:
            child.done = True
            task = self._tasks[child.client.name].task
            assert isinstance(task, PublisherTask)  # noqa: S101 - by its role
            self._said.append(done_by_its_records(self._ledger, task))

    def pause(self, channel: str, readers: Collection[str]) -> None:
        """All members of these readers are to stop receiving; ``standing`` says when they do. From any thread."""
        self._tell(self._members(channel, readers), pause=1)

    def resume(self, channel: str, readers: Collection[str]) -> None:
        """They are to receive again. From any thread."""
        self._tell(self._members(channel, readers), resume=1)

    def standing(self, channel: str, readers: Collection[str]) -> list[bool]:
        """For each running member of these readers whether it said last that it stands still. From any thread."""
        return [child.standing for child in self._members(channel, readers) if child.state.pid is not None]

    def _members(self, channel: str, readers: Collection[str]) -> list[EngineProcess]:
        return [one for one in self._children if one.client.channel == channel and one.client.reader in readers]

    def slow(self, clients: Collection[str], per_message_ns: int | None) -> None:
        """These subscribers are to take so long for each message; None: as long as their task says. From any thread."""
        pace = -1 if per_message_ns is None else per_message_ns
        with self._lock:
            self._pace |= dict.fromkeys(clients, pace)
            self._tell(self._named(clients), slow=pace)

    def freeze(self, clients: Collection[str]) -> None:
        """Stop these processes where they are: connected, and dead. From any thread."""
        for child in self._named(clients):
            child.freeze()

    def thaw(self, clients: Collection[str]) -> None:
        """Let them go on. From any thread."""
        for child in self._named(clients):
            child.thaw()

    def crash(self, clients: Collection[str]) -> None:
        """End these processes without a warning (SIGKILL); returns when they are gone. From any thread."""
        for child in self._named(clients):
            child.crash()

    def begin(self, clients: Collection[str]) -> None:
        """Start these clients, as far as they are not there; ``states`` says when they are ready. From any thread.

        One that was crashed goes on with its own records. In a run that is being ended no publisher is started again.

        Raises:
            EnvironmentFailure: a process cannot be started.
        """
        with self._lock:
            for name in clients:
                before = self._alive.get(name)
                publisher = isinstance(self._tasks[name].task, PublisherTask)
                if (before is not None and before.state.pid is not None) or (self._stopping and publisher):
                    continue
                try:
                    child = self._spawn(name)
                except OSError as error:
                    raise EnvironmentFailure(f"client {name} cannot be started: {error}") from error
                if name in self._pace:
                    child.tell(slow=self._pace[name])
                if self._t0_ns is not None:
                    child.tell(go=self._t0_ns)

    def leave(self, clients: Collection[str]) -> None:
        """These subscribers are to close and end; ``states`` says when they have. From any thread."""
        self._tell(self._named(clients), finish=1)

    def _named(self, clients: Collection[str]) -> list[EngineProcess]:
        return [child for child in self._children if child.client.name in clients]

    def finish(self, timeout_s: float) -> None:
        """Close the subscribers (and publishers that still run) and wait until every child has ended. Idempotent.

        A child that does not end in time is killed and reported as ``EngineFailed`` by the next ``take``. One that was
        started in the middle of the run and is not connected yet has nothing to close.
        """
        self.stop_publishers()
        for child in self._children:
            if child.life > 1 or child.client.name in self._reserve:
                child.end_unless_ready()
        self._tell((child for child in self._children if child.client.role == "subscriber"), finish=1)
        self._hear_until(lambda: all(child.ended for child in self._children), timeout_s)
        for child in self._children:
            if not child.ended:
                child.ended = True
                self._fail(child, f"did not end within {timeout_s:.0f} s and was killed")
        self.kill()

    def kill(self) -> None:
        """End every child at once. Idempotent; what they said before can still be taken."""
        self._hear(0.0)
        for child in self._children:
            child.expected = True
            child.kill()
        self._hear(0.0)

    def _tell(self, children: Iterable[EngineProcess], **order: int) -> None:
        for child in children:
            child.tell(**order)

    def _hear_until(self, done: Callable[[], bool], timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not done() and (left := deadline - time.monotonic()) > 0:
            self._hear(left)

    def _hear(self, timeout_s: float) -> None:
        """Take all that lies in the inbox, waiting for the first at most ``timeout_s``."""
        with contextlib.suppress(queue.Empty):
            self._understand(*self._inbox.get(timeout=max(0.0, timeout_s)))
            while True:
                self._understand(*self._inbox.get_nowait())

    def _understand(self, child: EngineProcess, message: dict[str, Any] | None) -> None:
        client = child.client
        if message is None:
            child.ended = True
            if not child.expected and not child.failed:
                self._fail(child, child.exit_text())
        elif "window" in message:
            self._said.append(window_from_json(message["window"], client))
        elif "note" in message:
            self._said.append(ClientNote(client.name, **message["note"]))
        elif "ready" in message:
            child.settings = message["ready"]
        elif "paused" in message:
            child.standing = message["paused"]
        elif "processing" in message:
            child.processing_ns = message["processing"]
        elif "done" in message:
            child.expected = child.done = True
            self._said.append(PublisherDone(client.name, client.publisher or 0, client.channel, **message["done"]))
        elif "closed" in message:
            child.expected = True
        elif "failed" in message:
            child.failed = True
            self._said.append(EngineFailed(client.name, message["failed"]))

    def _fail(self, child: EngineProcess, reason: str) -> None:
        child.failed = True
        self._said.append(child.failure(reason))
