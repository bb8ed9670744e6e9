"""One engine process as its parent holds it: started with a task, told, heard, signalled, ended."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, TypeAlias

from crep.harness import processes
from crep.harness.brokers.contract import SubscriberSpec
from crep.harness.load.contract import ClientState
from crep.harness.load.protocol import ChildTask, Client, EngineFailed, to_line
from crep.harness.proxy.links import PARTY_VARIABLE

_LAST_LINES = 8
_EXIT_WAIT_S = 5.0  # from the end of its output to the end of the process

Inbox: TypeAlias = "queue.SimpleQueue[tuple[EngineProcess, dict[str, Any] | None]]"
"""Who said what; None: its output has ended."""


class EngineProcess:
    """One life of one client. ``ended`` once its output has ended; ``expected`` when that is no failure: it had told
    that its work is done, or it was ended on purpose.

    Args:
        task: what it is to do.
        log: where its standard error goes, behind what is there.
        inbox: where what it says is put.
        life: how often this client was started, this time included.
    """

    def __init__(self, task: ChildTask, log: Path, inbox: Inbox, life: int = 1) -> None:
        self.client = Client.of(task.task)
        self.settings: dict[str, str] | None = None
        self.expected = self.failed = self.ended = self.standing = self.done = self.crashed = False
        spec = task.task.spec
        self.processing_ns = round(spec.reader.processing_s * 1e9) if isinstance(spec, SubscriberSpec) else None
        self.life = life
        self._log, self._inbox = log, inbox
        with log.open("ab") as stderr:
            self._process = processes.spawn(
                [sys.executable, "-m", "crep.harness.load.child"],
                env=os.environ | {PARTY_VARIABLE: f"{self.client.role}s"},
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

    @property
    def state(self) -> ClientState:
        """As it is now: what the kernel says of the process, and what it said of itself."""
        running = self._process.poll() is None
        return ClientState(
            life=self.life,
            pid=self.pid if running else None,
            ready=running and self.settings is not None,
            standing=self.standing,
            frozen=running and processes.stands_still(self.pid),
            processing_ns=self.processing_ns,
        )

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

    def freeze(self) -> None:
        """Stop the process where it is (SIGSTOP): its connections stay, nobody answers on them."""
        self._process.send(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on (SIGCONT)."""
        self._process.send(signal.SIGCONT)

    def crash(self) -> None:
        """End the process without a warning, on purpose; returns when it is gone."""
        if self._process.poll() is None:
            self.expected = self.crashed = True
            self._process.kill()

    def end_unless_ready(self) -> None:
        """End it, on purpose, where it has not said that it is connected."""
        if self.settings is None:
            self.crash()

    def kill(self) -> None:
        """End the process, whatever it does, and release the pipes."""
        self._process.kill()
        self._reader.join(_EXIT_WAIT_S)
        self._process.release()

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
