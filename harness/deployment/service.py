"""A standing service of a run: a program between two channels, started here, killed by faults, ended with the run.

It says on standard output that it is ready, by a line of JSON with ``"ready": true``, and goes on until SIGTERM, which
it follows in order: what it has taken is settled. What it prints stays in its log.
"""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from crep.harness.config.errors import EnvironmentFailure
from crep.harness.processes import STDOUT, Child, spawn, stands_still

_LAST_LINES = 5
_LOOK_S = 0.05


class Service:
    """One program. Methods may be called from any thread.

    Args:
        name: for people.
        command: program and arguments.
        environment: the whole of it; it may hold passwords, so it goes nowhere else.
        folder: its working directory.
        log: a file for all that it prints, in all its lives.
    """

    def __init__(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], folder: Path, log: Path
    ) -> None:
        self.name, self.command, self._folder, self._log = name, tuple(command), folder, log
        self._environment = dict(environment)
        self._lock = threading.Lock()
        self._child: Child | None = None
        self._printed = 0  # bytes of the log before this life
        self._wanted = False  # whether it should run now
        self.lives = 0

    def start(self) -> None:
        """Start it, without waiting until it is ready.

        Raises:
            EnvironmentFailure: there is no such program, or it runs already.
        """
        with self._lock:
            if self._child is not None and self._child.poll() is None:
                raise EnvironmentFailure(f"{self.name} runs already")
            self._log.parent.mkdir(parents=True, exist_ok=True)
            self._printed = self._log.stat().st_size if self._log.exists() else 0
            try:
                with self._log.open("ab") as log:
                    self._child = spawn(
                        self.command, env=self._environment, cwd=self._folder, stdout=log, stderr=STDOUT
                    )
            except OSError as error:
                raise EnvironmentFailure(f"{self.name} cannot be started: {error}") from error
            self._wanted, self.lives = True, self.lives + 1

    @property
    def pid(self) -> int | None:
        """Its process; None while there is none."""
        child = self._child
        return child.pid if child is not None and child.poll() is None else None

    @property
    def ready(self) -> bool:
        """Whether it runs and has said, in this life, that it is ready."""
        return self.pid is not None and any(said.get("ready") is True for said in self._said())

    @property
    def stands_still(self) -> bool:
        """Whether its process is stopped by a signal."""
        pid = self.pid
        return pid is not None and stands_still(pid)

    def check(self) -> None:
        """See that it runs while it should.

        Raises:
            EnvironmentFailure: it has ended by itself, with its last words.
        """
        child = self._child
        if self._wanted and child is not None and (code := child.poll()) is not None:
            raise EnvironmentFailure(
                f"{self.name} ended with {code}: {self._last_words()}", hint=f"all that it said is in {self._log}"
            )

    def await_ready(self, within_s: float, check: Any = lambda: None) -> None:
        """Wait until it is ready; ``check`` may raise to give up.

        Raises:
            EnvironmentFailure: it ended, or said nothing in time.
        """
        deadline = time.monotonic() + within_s
        while not self.ready:
            check()
            self.check()
            if time.monotonic() > deadline:
                raise EnvironmentFailure(
                    f'{self.name} did not print {{"ready": true}} within {within_s:.0f} s: {self._last_words()}',
                    hint=f"all that it said is in {self._log}",
                )
            time.sleep(_LOOK_S)

    def kill(self) -> int:
        """SIGKILL it and wait until it is gone; CLOCK_MONOTONIC nanoseconds of the signal.

        Raises:
            EnvironmentFailure: it does not run.
        """
        child = self._running()
        self._wanted = False
        at_ns = time.monotonic_ns()
        child.kill()
        return at_ns

    def stop(self, grace_s: float) -> int:
        """SIGTERM it and wait until it is gone, SIGKILL it after ``grace_s``; CLOCK_MONOTONIC nanoseconds of the first.

        Raises:
            EnvironmentFailure: it does not run.
        """
        child = self._running()
        self._wanted = False
        at_ns = time.monotonic_ns()
        child.terminate(grace_s)
        return at_ns

    def pause(self) -> int:
        """SIGSTOP it; CLOCK_MONOTONIC nanoseconds of the signal. Raises as ``kill``."""
        at_ns = time.monotonic_ns()
        self._running().send(signal.SIGSTOP)
        return at_ns

    def resume(self) -> None:
        """SIGCONT it. Raises as ``kill``."""
        self._running().send(signal.SIGCONT)

    def end(self, grace_s: float) -> bool:
        """End it in order, by force after ``grace_s``; False where force was needed. Nothing happens without it."""
        child, self._wanted = self._child, False
        if child is None or child.poll() is not None:
            return True
        child.send(signal.SIGCONT)  # a stopped process follows no SIGTERM
        try:
            return child.terminate(grace_s) == 0
        except subprocess.TimeoutExpired:
            return False

    def last_of(self, word: str) -> dict[str, Any] | None:
        """The mapping that it said last under that word, in a line of JSON, in this life; None where it did not."""
        found = [said[word] for said in self._said() if isinstance(said.get(word), dict)]
        return found[-1] if found else None

    def _running(self) -> Child:
        child = self._child
        if child is None or child.poll() is not None:
            raise EnvironmentFailure(f"{self.name} does not run")
        return child

    def _said(self) -> list[dict[str, Any]]:
        """Lines of JSON objects in this life."""
        said = []
        for line in self._lines():
            if line.startswith("{"):
                try:
                    said.append(json.loads(line))
                except ValueError:
                    continue  # half a line, or not ours
        return said

    def _lines(self) -> list[str]:
        try:
            with self._log.open("rb") as log:
                log.seek(self._printed)
                return log.read().decode(errors="replace").splitlines()
        except FileNotFoundError:
            return []

    def _last_words(self) -> str:
        return " / ".join(self._lines()[-_LAST_LINES:]) or "it said nothing"
