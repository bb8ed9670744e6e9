"""The parent's side of the engines: one child process for each client, started, told, heard and ended together."""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

from crep.harness import processes
from crep.harness.brokers.contract import BrokerError
from crep.harness.config.errors import EnvironmentFailure
from crep.harness.load.contract import Said, WorkerFacts
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
    to_line,
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

_LAST_LINES = 8
_CHECK_EVERY_S = 0.2
_EXIT_WAIT_S = 5.0  # from the end of its output to the end of the process


Inbox: TypeAlias = "queue.SimpleQueue[tuple[_Child, dict[str, Any] | None]]"
"""Who said what; None: its output has ended."""


class _Child:
    """One engine process. ``ended`` once its output has ended; ``expected`` when it had told that its work is done."""

    def __init__(self, task: ChildTask, log: Path, inbox: Inbox) -> None:
        self.client = Client.of(task.task)
        self.settings: dict[str, str] | None = None
        self.expected = self.failed = self.ended = self.standing = False
        self._log, self._inbox = log, inbox
        with log.open("ab") as stderr:
            self._process = processes.spawn(
                [sys.executable, "-m", "crep.harness.load.child"],
                stdin=processes.PIPE,
                stdout=processes.PIPE,
                stderr=stderr,
            )
        self._reader = threading.Thread(target=self._read, name=f"engine {self.client.name}", daemon=True)
        self._reader.start()
        self._write(task.to_line())

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def tell(self, **order: int) -> None:
        """Give an order; a child that has ended gets none, and is reported as ended by its output's end."""
        self._write(to_line(order))

    def failure(self, reason: str) -> EngineFailed:
        """``reason``, and the last lines that it wrote to standard error."""
        return EngineFailed(self.client.name, f"{reason}{self._last_lines()}")

    def exit_text(self) -> str:
        """What became of the process, whose output has ended."""
        try:
            code = self._process.wait(_EXIT_WAIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return "it closed its output and went on; it was ended"
        return f"ended by signal {-code}" if code < 0 else f"ended with exit code {code}"

    def kill(self) -> None:
        """End the process, whatever it does, and release the pipes."""
        self._process.kill()
        self._reader.join(_EXIT_WAIT_S)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def _write(self, line: bytes) -> None:
        assert self._process.stdin is not None  # noqa: S101 - asked for above
        with contextlib.suppress(BrokenPipeError, ValueError):  # ValueError: closed by ``kill``
            self._process.stdin.write(line)
            self._process.stdin.flush()

    def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - asked for above
        for line in self._process.stdout:
            if line.endswith(b"\n"):  # else it was killed in the middle of a word
                self._inbox.put((self, json.loads(line)))
        self._inbox.put((self, None))

    def _last_lines(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-_LAST_LINES:]
        return "".join(f"\n    {line}" for line in lines)


class Engines:
    """All engine processes of one run.

    ::

        start ──► go(t0) ──► take, take … ──► (all PublisherDone) ──► take … (drain) ──► finish ──► take (the rest)
                                │ stop_publishers: an early end              kill: at any time, also after a failure

    Used by one thread. ``take`` never raises: a child that ended unexpectedly is among what it returns, as an
    ``EngineFailed``.

    Args:
        publishers: one child each.
        subscribers: one child each.
        run_number: u32, in every stamp.
        folder: the run folder; records go to its ``ledger``, what children write to standard error to its ``logs``.
        carrier: where the stamp travels.
        keep_records: the records of messages stay until the end of the run; else they are written in segments, for
            whoever takes them in to remove.
        clock_ahead_ns: what this machine's clock shows more than the one whose time the stamps carry (METHOD rule 3).
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
    ) -> None:
        ledger = folder / "ledger"
        tasks: list[PublisherTask | SubscriberTask] = [*subscribers, *publishers]
        self._tasks = [ChildTask(task, run_number, carrier, ledger, keep_records, clock_ahead_ns) for task in tasks]
        self._ledger, self._logs = ledger, folder / "logs"
        self._children: list[_Child] = []
        self._inbox: Inbox = queue.SimpleQueue()
        self._said: list[Said] = []

    @property
    def clients(self) -> tuple[ClientSettings, ...]:
        """The clients that are ready, with their effective settings."""
        ready = [child for child in self._children if child.settings is not None]
        return tuple(ClientSettings(**asdict(child.client), settings=dict(child.settings or {})) for child in ready)

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

    def start(self, timeout_s: float, check: Callable[[], None] = lambda: None) -> None:
        """Start all children and wait until all are ready: connected, and subscribers assigned.

        ``check`` is called a few times a second; what it raises ends the wait (the caller then kills the children).

        Raises:
            BrokerError: a client could not connect; the text is the child's own. All children have been ended.
            EnvironmentFailure: the run folder cannot be written, or a child did not get ready in time.
        """
        try:
            for folder in (self._ledger, self._logs):
                folder.mkdir(parents=True, exist_ok=True)
            for task in self._tasks:
                name = Client.of(task.task).name
                self._children.append(_Child(task, self._logs / f"{name}.log", self._inbox))
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

    def go(self, t0_ns: int) -> None:
        """Publishers follow their schedules; ``t0_ns`` is the time of the first measured message (CLOCK_MONOTONIC)."""
        self._tell(self._children, go=t0_ns)

    def take(self, timeout_s: float) -> list[Said]:
        """What the children said since the last call, in order; waits for the first word at most ``timeout_s``."""
        if not self._said:
            self._hear(timeout_s)
        said, self._said = self._said, []
        return said

    def stop_publishers(self) -> None:
        """An early end: no further sends, what is under way is settled for a few seconds, then ``PublisherDone``."""
        self._tell((child for child in self._children if child.client.role == "publisher"), stop=1)

    def pause(self, channel: str, readers: Collection[str]) -> None:
        """All members of these readers are to stop receiving; ``standing`` says when they do. From any thread."""
        self._tell(self._members(channel, readers), pause=1)

    def resume(self, channel: str, readers: Collection[str]) -> None:
        """They are to receive again. From any thread."""
        self._tell(self._members(channel, readers), resume=1)

    def standing(self, channel: str, readers: Collection[str]) -> list[bool]:
        """For each member of these readers whether it said last that it stands still. From any thread."""
        return [child.standing for child in self._members(channel, readers)]

    def _members(self, channel: str, readers: Collection[str]) -> list[_Child]:
        return [one for one in self._children if one.client.channel == channel and one.client.reader in readers]

    def finish(self, timeout_s: float) -> None:
        """Close the subscribers (and publishers that still run) and wait until every child has ended. Idempotent.

        A child that does not end in time is killed and reported as ``EngineFailed`` by the next ``take``.
        """
        self.stop_publishers()
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

    def _tell(self, children: Iterable[_Child], **order: int) -> None:
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

    def _understand(self, child: _Child, message: dict[str, Any] | None) -> None:
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
        elif "done" in message:
            child.expected = True
            self._said.append(PublisherDone(client.name, client.publisher or 0, client.channel, **message["done"]))
        elif "closed" in message:
            child.expected = True
        elif "failed" in message:
            child.failed = True
            self._said.append(EngineFailed(client.name, message["failed"]))

    def _fail(self, child: _Child, reason: str) -> None:
        child.failed = True
        self._said.append(child.failure(reason))
