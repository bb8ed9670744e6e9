"""Ctrl-C in the middle of an outage: whatever was failed of a broker that outlives crep is put right before crep ends.

A standing broker (``crep broker start``) is failed in each way in turn, and looked at from outside afterwards: crep's
own record, ``crep doctor``, and a run without faults on it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from crep.harness.config.errors import CrepError
from crep.harness.runs.document import RunDocument
from soak.claim import Verdict
from soak.crep_outside import crep_in, runs_in
from tests.end_to_end.outside import SMALL, Crep

EMULATOR, PAIR, KAFKA = "solace-emulator", "solace-emulator-pair", "kafka-local"

OUTAGES: tuple[tuple[str, str], ...] = (
    (EMULATOR, "do: kill-broker, restart_after: 50 s"),
    (EMULATOR, "do: stop-broker, restart_after: 50 s"),
    (EMULATOR, "do: pause-broker, resume_after: 50 s"),
    (EMULATOR, "do: fill-disk, for: 50 s"),
    (EMULATOR, "do: revoke-permission, channel: orders, right: publish, for: 50 s"),
    (EMULATOR, "do: revoke-permission, channel: orders, right: receive, for: 50 s"),
    (EMULATOR, "do: limit-queue, reader: billing, quota: 1 MB, tell_publishers: never, for: 50 s"),
    (EMULATOR, "do: shut-queue, reader: billing, gate: in, tell_publishers: always, for: 50 s"),
    (EMULATOR, "do: shut-queue, reader: billing, gate: out, for: 50 s"),
    (EMULATOR, "do: pause-reader, reader: billing, resume_after: 50 s"),
    (EMULATOR, "do: slow-reader, reader: billing, processing: 1 s, for: 50 s"),
    (EMULATOR, "do: freeze-reader, reader: billing, resume_after: 50 s"),
    (EMULATOR, "do: crash-reader, reader: billing, restart_after: 50 s"),
    (EMULATOR, "do: crash-publisher, publishers: orders, restart_after: 50 s"),
    (PAIR, "do: kill-broker, node: leader-of orders, restart_after: 50 s"),
    (PAIR, "do: latency, add: 100 ms, for: 50 s"),
    (PAIR, "do: bandwidth, per_second: 1 KiB, for: 50 s"),
    (PAIR, "do: stall, of: publishers, for: 50 s"),
    (PAIR, "do: refuse, for: 50 s"),
    (PAIR, "do: half-open, of: subscribers, for: 50 s"),
    (PAIR, "do: partition, between: [clients, brokers], how: reset, for: 50 s"),
    (KAFKA, "do: kill-broker, restart_after: 50 s"),
    (KAFKA, "do: pause-broker, resume_after: 50 s"),
    (KAFKA, "do: fill-disk, for: 50 s"),
    (KAFKA, "do: revoke-permission, channel: orders, right: publish, for: 50 s"),
    (KAFKA, "do: throttle-publishers, publishers: orders, per_second: 100 KiB, for: 50 s"),
)
"""Target and fault. Each lasts to the end of the run, unless it is interrupted."""

_CONFIRMED_WITHIN_S = 120.0
_ENDS_WITHIN_S = 120.0
_AS_BEFORE = SMALL.replace("scenario: small", "scenario: as-before")


@dataclass(frozen=True)
class HealedAfterInterrupt:
    """``crep run`` on a standing broker, SIGINT as soon as its fault is confirmed; faults take turns."""

    name: str
    count: int = len(OUTAGES)
    allowed: int = 0

    @property
    def text(self) -> str:
        """The sentence."""
        kinds = sorted({fault.removeprefix("do: ").split(",")[0] for _, fault in OUTAGES})
        return (
            f"SIGINT of `crep run` while a fault is in effect on a broker that outlives it ({', '.join(kinds)}): it "
            "ends with exit code 130, has recorded the fault as healed, leaves no process and nothing that `crep "
            "doctor` finds, and a run on that broker without faults is valid and loses nothing."
        )

    def trial(self, seed: int, folder: Path) -> Verdict:
        """One fault, one signal."""
        target, fault = OUTAGES[seed % len(OUTAGES)]
        with crep_in(folder) as crep, standing(crep, target):
            before = set(crep.processes())
            name = crep.scenario(with_faults([fault]))
            process = crep.start("run", name, "--on", target, "--profile", "quick", "--no-report")
            why, ended_s = interrupted(crep, process, faults=1)
            why += left_of_it(crep, before) + not_as_before(crep, target)
        figures = {"ended after s": round(ended_s, 2)}
        return Verdict(tuple(f"{target}, {{{fault}}}: {words}" for words in why), figures)


def with_faults(faults: Sequence[str]) -> str:
    """A small scenario that would go on for a minute, with these faults from the beginning on, two a second."""
    entries = "".join(f"  - {{at: {number * 500} ms, {fault}}}\n" for number, fault in enumerate(faults, 1))
    return SMALL.replace("for: 3 s", "for: 60 s").replace("measure:", f"timeline:\n{entries}measure:")


@contextmanager
def standing(crep: Crep, target: str) -> Iterator[None]:
    """A broker that outlives the commands, whose records lie in the folder of ``crep``.

    Raises:
        CrepError: it does not start.
    """
    crep.env["XDG_STATE_HOME"] = str(crep.folder / "state")
    done = crep("broker", "start", target, "--profile", "quick")
    if done.returncode:
        raise CrepError(f"no standing broker: {done.stdout}{done.stderr}")
    try:
        yield
    finally:
        crep("broker", "stop", target)


def interrupted(crep: Crep, process: subprocess.Popen[str], *, faults: int) -> tuple[list[str], float]:
    """Send SIGINT when so many faults are confirmed; returns what is wrong with the end, and how long it took."""
    deadline = time.monotonic() + _CONFIRMED_WITHIN_S
    while confirmed(crep.folder) < faults:
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            return [f"{faults} faults were not confirmed: {process.communicate()[0][-500:]}"], 0.0
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGINT)
    since = time.monotonic()
    try:
        output, _ = process.communicate(timeout=_ENDS_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return [f"did not end within {_ENDS_WITHIN_S:.0f} s"], _ENDS_WITHIN_S
    ended_s = time.monotonic() - since
    (crep.folder / "output.txt").write_text(output, encoding="utf-8")
    why = [] if process.returncode == 130 else [f"exit code {process.returncode}: {output[-500:]}"]
    if "Traceback" in output:
        why.append(f"a traceback: {output[-500:]}")
    [document] = measured(crep.folder)
    why += [f"{one.action}: {one.error or 'not healed'}" for one in document.faults if one.error or not one.healed_s]
    return why, ended_s


def confirmed(folder: Path) -> int:
    """How many faults of measured runs are in effect, by the runs' own word."""
    events = (path for path in folder.glob("results/**/events.jsonl") if "latest" not in path.parts)
    return sum(path.read_text(encoding="utf-8").count('"confirmed"') for path in events)


def measured(folder: Path) -> list[RunDocument]:
    """The documents of measured runs."""
    return [run.document for run in runs_in(folder / "results") if run.document.kind == "measured"]


def left_of_it(crep: Crep, before: set[int]) -> list[str]:
    """Processes that were not there before, but for the broker's: a node that was started anew is one of these."""
    deadline = time.monotonic() + 5.0
    while (left := _not_a_broker(crep, before)) and time.monotonic() < deadline:
        time.sleep(0.1)
    found = [f"left behind: {command}" for command in left]
    doctor = crep("doctor")
    return found + ([f"crep doctor: {doctor.stdout}{doctor.stderr}"] if doctor.returncode else [])


def _not_a_broker(crep: Crep, before: set[int]) -> list[str]:
    brokers = ("solace_emulator", "kafka.Kafka")
    found = {pid: command for pid, command in crep.processes().items() if pid not in before}
    return [command for command in found.values() if not any(word in command for word in brokers)]


def not_as_before(crep: Crep, target: str) -> list[str]:
    """What is wrong with a run without faults on that broker."""
    name = crep.scenario(_AS_BEFORE, "as-before.yaml")
    done = crep("run", name, "--on", target, "--profile", "quick", "--no-report")
    why = (
        []
        if done.returncode == 0
        else [f"afterwards: exit code {done.returncode}: {(done.stdout + done.stderr)[-500:]}"]
    )
    after = [one for one in measured(crep.folder) if one.scenario.name == "as-before"]
    used = {one.sites["bus"].deployment.get("started_by") for one in after}
    return why if used == {"crep broker start"} else [*why, f"the run afterwards was not on that broker: {used}"]
