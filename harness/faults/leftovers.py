"""What earlier runs left behind, and how it is put right: faults that were never healed, brokers, data folders.

Everything is found by crep's own records, so nothing is touched that crep did not start or fail. What belongs to a
crep that still runs is left to it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from crep.harness.config.errors import EnvironmentFailure
from crep.harness.deployment import standing
from crep.harness.deployment.folders import abandoned_work_folders
from crep.harness.deployment.local import LocalDeployment
from crep.harness.faults.journal import Journal, journal_files, read_journal
from crep.harness.faults.undo import Undo, carry_out, resume_process, revive_broker
from crep.harness.processes import stands_still


@dataclass(frozen=True)
class Leftover:
    """One thing that was left. ``heal`` puts it right and says how; it raises EnvironmentFailure where it cannot."""

    what: str
    heal: Callable[[], str]


def leftovers() -> Iterator[Leftover]:
    """All that is found, what is most urgent first."""
    running: list[Journal] = []
    for path in journal_files():
        try:
            journal = read_journal(path)
        except EnvironmentFailure as error:
            yield Leftover(error.message, partial(_give_up, path))
            continue
        if journal is None:
            continue
        if journal.abandoned:
            for number, fault in list(journal.faults.items()):  # one that is healed is struck off
                yield Leftover(f"never healed: {fault}", partial(_heal_one, journal, number))
        else:
            running.append(journal)
    theirs = [undo for journal in running for fault in journal.faults.values() for undo in fault.undo]
    for deployment in standing.attached():
        yield from _broker(deployment, theirs)
    for folder in abandoned_work_folders():
        yield Leftover(f"data of a local broker that is gone: {folder}", partial(_remove, folder))


def _broker(deployment: LocalDeployment, theirs: list[Undo]) -> Iterator[Leftover]:
    """A standing broker that stands still or is down, and not because a running crep wants it so."""
    target = deployment.target
    if revive_broker(target) in theirs:
        return
    dead = [node for node in deployment.nodes if deployment.node_pid(node) is None]
    for node in deployment.nodes:
        pid = deployment.node_pid(node)
        for undo in resume_process(pid) if pid is not None and stands_still(pid) else ():
            if undo not in theirs:
                yield Leftover(f"{target}: {node} (process {pid}) stands still", partial(_undo, undo))
    if dead:
        text = f"{target}: {', '.join(dead)} of the broker that 'crep broker start' left running is down"
        yield Leftover(f"{text}; 'crep broker stop {target}' removes it", partial(_undo, revive_broker(target)))


def _undo(undo: Undo) -> str:
    return carry_out(undo) or "is over already"


def _heal_one(journal: Journal, number: int) -> str:
    done = journal.heal_one(number)
    return done or "was over already"


def _remove(folder: Path) -> str:
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise EnvironmentFailure(f"{folder} cannot be removed: {error}") from error
    return "removed"


def _give_up(path: Path) -> str:
    raise EnvironmentFailure(f"look into {path}: what stands there was a fault in effect; then remove the file")
