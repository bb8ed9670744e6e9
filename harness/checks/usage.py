"""What the broker's own processes used while the run measured: samples of a second each → one line a node. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

BUSY = 0.9
"""Share of the cores, or of a disk's time, from which there is nothing more to be had."""


@dataclass(frozen=True)
class Sample:
    """One look at one node's process. Rates are per second since the look before; None: not known on this system.

    Attributes:
        at_s: seconds relative to t0.
        cores: how many the process may use.
        cpu: cores that it used.
        memory: resident bytes.
        read, written: bytes per second that it had the storage layer fetch and store.
        collections, collecting_s: garbage collections, and seconds for which they stopped a Java virtual machine.
        loopback: bytes per second over the host's loopback interface, whoever sent them: no process's own share is
            known to the kernel.
        disk_busy: share of the time in which the disk under its data had work to do.
        disk_free: bytes left on that file system.
    """

    at_s: float
    site: str
    node: str
    cores: int
    cpu: float
    memory: int
    read: float | None = None
    written: float | None = None
    collections: int | None = None
    collecting_s: float | None = None
    loopback: float | None = None
    disk_busy: float | None = None
    disk_free: int | None = None


class NodeUse(BaseModel):
    """One node over the measured phase. None: not known, never zero."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    site: str
    node: str
    samples: int  # one a second; fewer where the process was away
    cores: int  # that it may use
    cpu_mean: float  # cores
    cpu_max: float
    cpu_busy: float  # share of the samples at 90 % of its cores or above
    memory_max_bytes: int
    read_per_s: float | None  # bytes, mean
    written_per_s: float | None  # bytes, mean
    written_max_per_s: float | None
    collections: int | None  # garbage collections
    collecting_s: float | None  # the process stood still for so long in all
    loopback_per_s: float | None  # bytes, mean, of the whole host
    disk_busy: float | None  # share of the samples in which the disk had work 90 % of the time or more
    disk_free_min_bytes: int | None


def used(samples: Iterable[Sample], measured_s: float) -> tuple[NodeUse, ...]:
    """Each node's use, from the samples whose second lies in the measured phase (warm-up and drain are left out)."""
    by_node: dict[tuple[str, str], list[Sample]] = {}
    for sample in samples:
        if 0 < sample.at_s <= measured_s + 0.5:  # it tells of the second before it
            by_node.setdefault((sample.site, sample.node), []).append(sample)
    return tuple(_node_use(site, node, found) for (site, node), found in sorted(by_node.items()))


def _node_use(site: str, node: str, found: Sequence[Sample]) -> NodeUse:
    written = [one.written for one in found if one.written is not None]
    collections = [one.collections for one in found if one.collections is not None]
    collecting = [one.collecting_s for one in found if one.collecting_s is not None]
    return NodeUse(
        site=site,
        node=node,
        samples=len(found),
        cores=max(one.cores for one in found),
        cpu_mean=statistics.fmean(one.cpu for one in found),
        cpu_max=max(one.cpu for one in found),
        cpu_busy=statistics.fmean(one.cpu >= BUSY * one.cores for one in found),
        memory_max_bytes=max(one.memory for one in found),
        read_per_s=_mean([one.read for one in found if one.read is not None]),
        written_per_s=_mean(written),
        written_max_per_s=max(written, default=None),
        collections=sum(collections) if collections else None,
        collecting_s=sum(collecting) if collecting else None,
        loopback_per_s=_mean([one.loopback for one in found if one.loopback is not None]),
        disk_busy=_mean([float(one.disk_busy >= BUSY) for one in found if one.disk_busy is not None]),
        disk_free_min_bytes=min((one.disk_free for one in found if one.disk_free is not None), default=None),
    )


def _mean(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None
