"""Faults by the word that a timeline uses. Adding one is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from crep.harness.deployment.contract import Deployment
from crep.harness.faults.contract import Fault
from crep.harness.faults.kill_broker import KillBroker
from crep.harness.scenario.plan import TimelineEvent


@dataclass(frozen=True)
class FaultKind:
    """What ``crep list faults`` prints, and how to make one."""

    action: str
    summary: str
    parameters: str
    targets: str
    make: Callable[[Deployment, str, TimelineEvent], Fault]


def _kill_broker(deployment: Deployment, node: str, event: TimelineEvent) -> Fault:
    return KillBroker(deployment, node, restart_after_s=event.restart_after_s or 0.0)


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
    )
}
