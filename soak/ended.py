"""A ``crep run`` is ended from outside at a random time: nothing of it goes on, and what it wrote can be read."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from crep.harness.config.errors import CrepError
from soak.claim import Verdict
from soak.crep_outside import crep_in, left_behind, runs_in
from tests.end_to_end.outside import SMALL, Crep

TARGETS = ("solace-emulator", "kafka-local")
LATEST_S = {"solace-emulator": 14.0, "kafka-local": 25.0}
"""From the start of the command: covers the start of Python, of the broker, warm-up and measuring."""
EARLIEST_S = 0.5
"""Before that Python itself is starting, and answers SIGINT with a traceback of its own."""
START_UP_S = 2.5
"""Every third signal comes so early that the command is still loading, checking its input or starting a broker."""
_ENDS_WITHIN_S = 60.0
_INTERRUPTED = (130, -signal.SIGINT)
"""A shell shows 130 for both. The second is Python's own: it ends so after an interrupt inside an ``exec`` of a text,
as dataclasses do while modules are loaded, even where the interrupt was caught and 130 asked for."""
_ENDED_STATES = {"SIGKILL": {"incomplete", "complete"}, "SIGINT": {"interrupted", "complete"}}


@dataclass(frozen=True)
class Ended:
    """SIGKILL or SIGINT of the ``crep`` process itself; targets take turns."""

    name: str
    signal_name: Literal["SIGKILL", "SIGINT"]
    count: int = 50
    allowed: int = 0

    @property
    def text(self) -> str:
        """The sentence."""
        after = "within five seconds no process of it is left (no broker, no engine)"
        if self.signal_name == "SIGKILL":
            return f"SIGKILL of `crep run` at a random time: {after}, and `crep report` shows an *incomplete* run."
        return (
            f"SIGINT of `crep run` at a random time: it ends with exit code 130 and no traceback, {after}, and what "
            "was measured can be read."
        )

    def trial(self, seed: int, folder: Path) -> Verdict:
        """One run, one signal."""
        chance = random.Random(f"{self.name} {seed}")  # noqa: S311 - a trial is to be repeatable
        target = TARGETS[seed % len(TARGETS)]
        at_s = round(chance.uniform(EARLIEST_S, START_UP_S if seed % 3 == 0 else LATEST_S[target]), 2)
        with crep_in(folder) as crep:
            name = crep.scenario(SMALL.replace("for: 3 s", "for: 30 s"))
            process = crep.start("run", name, "--on", target, "--profile", "quick")
            time.sleep(at_s)
            running = process.poll() is None
            os.kill(process.pid, getattr(signal, self.signal_name))
            since = time.monotonic()
            why = []
            try:
                output, _ = process.communicate(timeout=_ENDS_WITHIN_S)
            except subprocess.TimeoutExpired:
                return Verdict((f"{target}, {at_s} s: did not end within {_ENDS_WITHIN_S:.0f} s",))
            ended_s = time.monotonic() - since
            (folder / "output.txt").write_text(output, encoding="utf-8")
            if not running:
                why.append(f"ended by itself before, exit code {process.returncode}: {output[-300:]}")
            elif self.signal_name == "SIGINT" and process.returncode not in _INTERRUPTED:
                why.append(f"exit code {process.returncode}")
            if "Traceback" in output:
                why.append(f"a traceback: {output[-300:]}")
            if left := left_behind(crep):
                why.append(left)
            why += self._unreadable(crep, folder)
        figures = {"signal at s": at_s, "ended after s": round(ended_s, 2)}
        return Verdict(tuple(f"{target}, {at_s} s: {words}" for words in why), figures)

    def _unreadable(self, crep: Crep, folder: Path) -> list[str]:
        if not (folder / "results").exists():
            return []
        try:
            runs = runs_in(folder / "results")
        except CrepError as error:
            return [f"not readable: {error}"]
        if not runs:
            return []
        allowed = _ENDED_STATES[self.signal_name]
        why = [f"run {run.path.name} reads as {run.state}" for run in runs if run.state not in allowed]
        report = crep("report", "results", "--out", "report")
        if report.returncode != 0 or "Traceback" in report.stderr:
            why.append(f"crep report: exit code {report.returncode}: {(report.stdout + report.stderr)[-300:]}")
        elif any(run.state == "incomplete" for run in runs) and "incomplete" not in report.stdout.lower():
            why.append("crep report does not say that the run is incomplete")
        return why
