"""Faults by the word that a timeline uses. Adding one is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from crep.harness.faults.contract import Fault, Stage
from crep.harness.faults.kill_broker import KillBroker
from crep.harness.faults.pause_reader import PauseReader


@dataclass(frozen=True)
class FaultKind:
    """What ``crep list faults`` prints, and how to make one.

    ``make`` raises `NotSupported` where the target cannot, before any load is sent; it may ask the broker, and changes
    nothing.
    """

    action: str
    summary: str
    parameters: str
    targets: str
    make: Callable[[Stage], Fault]


FAULTS: dict[str, FaultKind] = {
    kind.action: kind
    for kind in (
        FaultKind(
            "kill-broker",
            "SIGKILL a broker's process, start it again on the same data",
            "node, restart_after",
            "source local or embedded",
            KillBroker,
        ),
        FaultKind(
            "pause-reader",
            "let a reader stand still while publishers go on, then drain its backlog",
            "reader, resume_after",
            "all",
            PauseReader,
        ),
    )
}
