"""METHOD rule 17: where there are cores enough, the broker and the clients each keep to their own.

The first half of the cores is the brokers', the other half the clients'. Every thread of a process is pinned
(``sched_setaffinity(2)`` knows threads only); threads that it starts later inherit it. A Java virtual machine that ran
before has sized its thread pools for all cores.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from crep.harness.deployment.contract import Deployment

LEAST_CORES = 4
"""With fewer, two halves of one core each would be another experiment."""
_PASSES = 3  # a thread that is just started may be missed once
Pin = Literal["auto", "off"]


@dataclass(frozen=True)
class Pinning:
    """Who keeps to which cores; both empty where nobody is pinned. ``text`` is for people and ``run.json``."""

    brokers: tuple[int, ...]
    clients: tuple[int, ...]
    text: str


def plan_pinning(cores: Sequence[int], pin: Pin, *, local_broker: bool) -> Pinning:
    """Share the cores that this process may use.

    Args:
        cores: their numbers.
        pin: what the scenario asks for (``measure: {pin: …}``).
        local_broker: whether a broker of the run has a process here.
    """
    if pin == "off":
        return _nobody("the scenario says so")
    if not local_broker:
        return _nobody("no process of a broker is on this host")
    if len(cores) < LEAST_CORES:
        return _nobody(f"{len(cores)} core{'s' if len(cores) != 1 else ''}")
    ordered = tuple(sorted(cores))
    half = len(ordered) // 2
    brokers, clients = ordered[:half], ordered[half:]
    return Pinning(brokers, clients, f"brokers on cores {_spelled(brokers)}, clients on cores {_spelled(clients)}")


def _nobody(why: str) -> Pinning:
    return Pinning((), (), f"not pinned: {why}")


def _spelled(cores: Sequence[int]) -> str:
    return ", ".join(map(str, cores))


def available_cores() -> tuple[int, ...]:
    """The cores that this process may use; none where the system does not say (only Linux does)."""
    return tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else ()


def broker_pids(deployments: Mapping[str, Deployment]) -> list[int]:
    """Processes of the brokers' nodes on this host, as far as they run."""
    found = (of.node_pid(node) for of in deployments.values() for node in of.nodes)
    return [pid for pid in found if pid is not None]


def pin(pids: Iterable[int], cores: Sequence[int]) -> None:
    """Bind every thread of these processes to the cores. One that has ended, or is not ours, stays as it is."""
    for pid in pids:
        seen: set[int] = set()
        for _ in range(_PASSES):
            threads = _threads(pid) - seen
            for thread in threads:
                try:
                    os.sched_setaffinity(thread, cores)
                except (ProcessLookupError, PermissionError):
                    continue
            if not threads:
                break
            seen |= threads


def _threads(pid: int) -> set[int]:
    try:
        return {int(entry.name) for entry in Path(f"/proc/{pid}/task").iterdir()}
    except OSError:
        return set()


class Cores:
    """Keeps one run's brokers and clients to their cores. ``text`` says what is done."""

    def __init__(self, cores: Sequence[int], asked: Pin, deployments: Mapping[str, Deployment]) -> None:
        self._all, self._deployments = tuple(cores), deployments
        self._plan = plan_pinning(cores, asked, local_broker=any(of.nodes for of in deployments.values()))
        self.text = self._plan.text

    def hold(self, clients: Iterable[int] = ()) -> None:
        """Pin the brokers' processes as they are now (a node that was started again is another one), and clients'."""
        if self._plan.brokers:
            pin(broker_pids(self._deployments), self._plan.brokers)
            pin(clients, self._plan.clients)

    def release(self) -> None:
        """A broker that outlives the run may use every core again."""
        if self._plan.brokers:
            pin(broker_pids(self._deployments), self._all)
