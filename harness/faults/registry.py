"""Faults by the word that a timeline uses. Adding one is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from crep.harness.deployment.contract import Deployment
from crep.harness.faults.contract import Fault
from crep.harness.faults.kill_broker import KillBroker
from crep.harness.faults.pause_reader import Members, PauseReader
from crep.harness.scenario.plan import TimelineEvent


@dataclass(frozen=True)
class FaultKind:
    """What ``crep list faults`` prints, and how to make one."""

    action: str
    summary: str
    parameters: str
    targets: str
    make: Callable[[Deployment, str, Members, TimelineEvent], Fault]


def _kill_broker(deployment: Deployment, node: str, _: Members, event: TimelineEvent) -> Fault:
    return KillBroker(deployment, node, restart_after_s=event.restart_after_s or 0.0)


def _pause_reader(_: Deployment, __: str, members: Members, event: TimelineEvent) -> Fault:
    return PauseReader(members, resume_after_s=event.restart_after_s or 0.0)


FAULTS: dict[str, FaultKind] = {
    kind.action: kind
    for kind in (
        FaultKind(
            "kill-broker",
            "SIGKILL a broker's process, start it again on the same data",
            "node (optional), restart_after",
            "source local or embedded",
            _kill_broker,
        ),
        FaultKind(
            "pause-reader",
            "let a reader stand still while publishers go on, then drain its backlog",
            "reader, resume_after",
            "all",
            _pause_reader,
        ),
    )
}
