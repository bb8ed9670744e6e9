"""The life of ``crep run`` on a running broker, from the command to its exit: the time of each part, and the memory.

::

    start ─set-up─► first message ─warm-up─► measured part ─► drain, 3 s of quiet of it ─tear-down─► exit
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.brokers import Broker
from bench.figure import Figure
from bench.summary import Spread
from crep.harness import processes
from crep.harness.config.errors import EnvironmentFailure
from crep.harness.config.targets import OWN_FILE
from crep.harness.runner.drain import QUIET_S
from crep.harness.runs.document import RunDocument

RATE = 10_000  # messages per second
SHORT_S, LONG_S = 3.0, 60.0
MOST_BEFORE_THE_FIRST_S = 2.0
MOST_AROUND_S = 5.0
MOST_AFTER_S = 10.0
"""A test of so many seconds has its result within so many more, its warm-up and drain included."""
MOST_MEMORY_MB = 300.0
_TARGET = "standing"
_LOOK_EVERY_S = 0.5
_ENDS_WITHIN_S = 120.0  # beyond the measured part
_DONE = (0, 1)  # exit codes of a run that has its result: expectations met, or not


@dataclass(frozen=True)
class Life:
    """One run, seconds from the command on. ``peak_mb``: proportional set size of all its processes together."""

    first_message_s: float
    warm_up_s: float
    measured_s: float
    drain_s: float
    end_s: float
    peak_mb: float

    @property
    def around_s(self) -> float:
        """Set-up and tear-down: all but warm-up, measured part, and the quiet that METHOD rule 5 asks for."""
        return self.end_s - self.warm_up_s - self.measured_s - QUIET_S


def measure(broker: Broker, folder: Path, hold_s: float) -> Life:
    """One run of the scenario *sustained* with a publisher and a reader, results in a fresh part of ``folder``.

    Raises:
        EnvironmentFailure: it did not end with a result.
    """
    address = {"bootstrap": broker.endpoint.bootstrap}
    target = {"system": broker.endpoint.system, "source": "address", broker.endpoint.system: address}
    (folder / OWN_FILE).write_text(json.dumps({"targets": {_TARGET: target}}), encoding="utf-8")
    results = folder / f"results-{time.monotonic_ns()}"
    command = [sys.executable, "-m", "crep", "run", "sustained", "--on", _TARGET, "--repeat", "1", "--no-report"]
    for name, value in {"rate": f"{RATE}/s", "hold": f"{hold_s:g} s", "publishers": 1, "readers": 1}.items():
        command += ["-p", f"{name}={value}"]
    log = folder / "output"
    start_ns = time.monotonic_ns()
    with log.open("wb") as output:
        child = processes.spawn([*command, "--out", str(results)], stdout=output, stderr=output, cwd=folder)
    code, peak_mb = _watch(child, start_ns / 1e9 + hold_s + _ENDS_WITHIN_S)
    end_s = (time.monotonic_ns() - start_ns) / 1e9
    documents = [path for path in results.rglob("run.json") if "latest" not in path.parts]
    if code not in _DONE or not documents:
        last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
        raise EnvironmentFailure(f"crep run ended with exit code {code}: {' '.join(last)}")
    run = RunDocument.model_validate_json(documents[0].read_text(encoding="utf-8"))
    if run.t0_ns is None or run.drain is None:
        raise EnvironmentFailure(f"crep run measured nothing: {run.failure}")
    first_s = (run.t0_ns - start_ns) / 1e9 - run.warm_up_s
    return Life(first_s, run.warm_up_s, run.measured_s, run.drain.duration_s, end_s, peak_mb)


def _watch(child: processes.Child, until_s: float) -> tuple[int, float]:
    """Exit code and highest memory of a process and all that it started."""
    peak_mb = 0.0
    while True:
        peak_mb = max(peak_mb, _memory_mb(child.pid))
        try:
            return child.wait(_LOOK_EVERY_S), peak_mb
        except subprocess.TimeoutExpired:
            if time.monotonic() > until_s:
                child.kill()
                raise EnvironmentFailure(f"crep run did not end within its time and {_ENDS_WITHIN_S:.0f} s") from None


def _memory_mb(pid: int) -> float:
    """Pages that several processes share are counted once."""
    total = 0
    try:
        root = psutil.Process(pid)
        family = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    for process in family:
        try:
            total += process.memory_full_info().pss
        except psutil.Error:  # it has just ended
            continue
    return total / 1e6


def figures(name: str, short: list[Life], long: Life) -> list[Figure]:
    """Of short runs the median, of the long one its end and its memory."""
    first = Spread.of(one.first_message_s for one in short)
    around = Spread.of(one.around_s for one in short)
    quiet = f"without the {QUIET_S:.0f} s of quiet (METHOD rule 5)"
    return [
        _median(f"{name}: from the command to the first message", first, MOST_BEFORE_THE_FIRST_S, ""),
        _median(f"{name}: set-up and tear-down of a run", around, MOST_AROUND_S, quiet),
        Figure(
            f"{name}: result of a test of {long.measured_s:.0f} s after the command",
            long.end_s,
            "s",
            long.measured_s + MOST_AFTER_S,
            at_most=True,
            detail=f"with {long.warm_up_s:.0f} s of warm-up and {long.drain_s:.1f} s of drain",
        ),
        Figure(
            f"{name}: memory of all crep's processes at {RATE:,} messages/s",
            long.peak_mb,
            "MB",
            MOST_MEMORY_MB,
            at_most=True,
            detail="proportional set size, 1 publisher and 1 reader of 1 KiB, highest of two looks a second",
        ),
    ]


def _median(name: str, spread: Spread | None, floor: float, detail: str) -> Figure:
    if spread is None:
        return Figure(name, None, "s", floor, at_most=True, detail="not measured")
    span = f"{spread.lowest:.2f}–{spread.highest:.2f} over {spread.rounds} runs"
    return Figure(name, spread.median, "s", floor, at_most=True, detail="; ".join(filter(None, (span, detail))))
