"""What heals a fault when the process that injected it is gone: plain data, carried out by anybody.

==========  ==========================================================  =========================================
kind        what                                                        done already where
==========  ==========================================================  =========================================
resume      ``pid``, ``start_ticks``, ``boot``: SIGCONT that process    it does not stand still, or is gone
lift        ``pid``, ``start_ticks``, ``boot``: let that process's      it has no limit, or is gone
            files grow again
revive      ``target``: start the dead nodes of a standing broker       it was stopped, or all of its nodes run
run         ``command``: run it (a target's healing command)            never known: it is run
administer  ``target``, what was provisioned, ``calls``: undo acts of   the standing broker is gone
            the broker's administration (``administration``)
==========  ==========================================================  =========================================

A further kind is one function in ``ACTS``. Whatever an act needs must be in its data: never a secret, for it lies on
disk until the fault is healed.
"""

from __future__ import annotations

import resource
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from crep.harness.brokers.contract import Provisioned
from crep.harness.config.errors import EnvironmentFailure
from crep.harness.config.targets import Target
from crep.harness.deployment import standing
from crep.harness.deployment.contract import Json
from crep.harness.faults import administration
from crep.harness.faults.administration import Call
from crep.harness.processes import Adopted, ProcessIdentity, run, stands_still

COMMAND_WITHIN_S = 60.0


@dataclass(frozen=True)
class Undo:
    """One act: ``kind`` says how it is carried out, ``what`` with which particulars."""

    kind: str
    what: Mapping[str, Json]


def resume_process(pid: int) -> tuple[Undo, ...]:
    """Let that process go on, and no other that may have its number later. Nothing where there is no such process."""
    identity = ProcessIdentity.of(pid)
    if identity is None:
        return ()
    return (Undo("resume", {"pid": identity.pid, "start_ticks": identity.start_ticks, "boot": identity.boot}),)


def lift_file_limit(pid: int) -> tuple[Undo, ...]:
    """Let the files of that process grow again. Nothing where there is no such process."""
    return tuple(replace(undo, kind="lift") for undo in resume_process(pid))


def revive_broker(target: str) -> Undo:
    """Start what is dead of the standing broker of that target; nothing happens where there is none."""
    return Undo("revive", {"target": target})


def run_command(command: Sequence[str]) -> Undo:
    """Run a command."""
    return Undo("run", {"command": list(command)})


def administer(target: Target, provisioned: Provisioned, channel: str, calls: Sequence[Call]) -> Undo:
    """Undo an act of the broker's administration."""
    return Undo("administer", administration.described(target, provisioned, channel, calls))


def carry_out(undo: Undo) -> str | None:
    """Do it; returns what was done, for people, or None where nothing was left to do. Doing it twice does no harm.

    Raises:
        EnvironmentFailure: it cannot be done, with the reason.
    """
    act = ACTS.get(undo.kind)
    if act is None:
        raise EnvironmentFailure(f"this version of crep knows no healing of kind {undo.kind!r}")
    return act(undo.what)


def _resume(what: Mapping[str, Any]) -> str | None:
    process = Adopted(ProcessIdentity(what["pid"], what["start_ticks"], what["boot"]))
    if process.poll() is not None or not stands_still(process.pid):
        return None
    process.send(signal.SIGCONT)
    return f"process {process.pid} goes on"


def _lift(what: Mapping[str, Any]) -> str | None:
    process = Adopted(ProcessIdentity(what["pid"], what["start_ticks"], what["boot"]))
    if process.poll() is not None:
        return None
    soft, hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
    if soft == hard:
        return None
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (hard, hard))
    return f"files of process {process.pid} may grow again"


def _revive(what: Mapping[str, Any]) -> str | None:
    started = standing.revive(what["target"])
    return f"{what['target']}: {', '.join(started)} started again" if started else None


def _run(what: Mapping[str, Any]) -> str:
    command = what["command"]
    try:
        done = run(command, timeout_s=COMMAND_WITHIN_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentFailure(f"the healing command {command[0]!r} failed: {error}") from error
    if done.code:
        raise EnvironmentFailure(f"the healing command {command[0]!r} ended with {done.code}: {done.output[-300:]}")
    return f"{command[0]!r} was run"


ACTS: dict[str, Callable[[Mapping[str, Any]], str | None]] = {
    "resume": _resume,
    "lift": _lift,
    "revive": _revive,
    "run": _run,
    "administer": administration.carry_out,
}
