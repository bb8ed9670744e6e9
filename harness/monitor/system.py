"""Watches the broker's own processes while a run measures: once a second, in a thread of its own.

It reads what the kernel counts anyway (``/proc``, through psutil) and the counters that a Java virtual machine shares
(``hotspot``); nothing is sent to the broker. It knows what it costs itself: well under 1 % of a core.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import psutil

from crep.harness.config.errors import EnvironmentFailure
from crep.harness.monitor.hotspot import Collections, collections_of

EVERY_S = 1.0
_ENDS_WITHIN_S = 5.0
_LOOPBACK = ("lo", "lo0")  # Linux, macOS


class Watched(Protocol):
    """What is asked of a deployment (``deployment.contract.Deployment``)."""

    @property
    def nodes(self) -> tuple[str, ...]:
        """Names of its nodes; empty where crep has no hand on the broker's processes."""

    def node_pid(self, node: str) -> int | None:
        """Process id of the running node, from any thread."""

    def describe(self) -> Mapping[str, Any]:
        """Provenance; ``data_folder`` is where its data lie."""


@dataclass(frozen=True)
class _Counters:
    """A process's and its host's counters at one moment; None: not known here."""

    at_s: float
    cpu_s: float
    memory: int
    cores: int
    read: int | None
    written: int | None
    collections: Collections | None
    loopback: int | None
    disk_busy_s: float | None
    disk_free: int | None


class SystemWatch:
    """Tells once a second what every node of every site used since the second before.

    Args:
        deployments: by site.
        tell: gets CLOCK_MONOTONIC nanoseconds and the words of a ``checks.usage.Sample`` but for its time; called by
            the thread of this object. An ``EnvironmentFailure`` of it ends the watch, not the run.
    """

    def __init__(self, deployments: Mapping[str, Watched], tell: Callable[[int, dict[str, Any]], None]) -> None:
        self._nodes = [(site, of, node) for site, of in deployments.items() for node in of.nodes]
        self._folders = {site: _folder(of) for site, of in deployments.items() if of.nodes}
        self._tell = tell
        self._before: dict[tuple[str, str], tuple[psutil.Process, _Counters]] = {}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="system watch", daemon=True)
        self.cost_s = 0.0
        """Processor time of the watch itself."""

    def start(self) -> None:
        """Begin; where there is no local process nothing is watched."""
        if self._nodes:
            self._thread.start()

    def stop(self) -> None:
        """End; idempotent."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join(_ENDS_WITHIN_S)

    def _watch(self) -> None:
        due = time.monotonic()
        while not self._end.wait(max(0.0, due - time.monotonic())):
            try:
                for site, deployment, node in self._nodes:
                    self._look(site, deployment, node)
            except EnvironmentFailure:  # the run folder cannot be written: the run itself meets that and says so
                return
            self.cost_s = time.thread_time()
            due = max(due + EVERY_S, time.monotonic())  # after a stall: no volley of looks

    def _look(self, site: str, deployment: Watched, node: str) -> None:
        key = (site, node)
        pid = deployment.node_pid(node)
        known = self._before.pop(key, None)
        if pid is None:
            return
        try:
            process = known[0] if known is not None and known[0].pid == pid else psutil.Process(pid)
            now = _count(process, self._folders[site])
        except psutil.Error:  # it has ended meanwhile: the fault's matter, not ours
            return
        if known is not None and known[0] is process:
            self._tell(time.monotonic_ns(), {"site": site, "node": node, **_since(known[1], now)})
        self._before[key] = (process, now)


def _since(before: _Counters, now: _Counters) -> dict[str, Any]:
    """A sample's words, without what is not known."""
    lasted_s = now.at_s - before.at_s

    def rate(early: float | None, late: float | None) -> float | None:
        return None if early is None or late is None else round(max(0.0, late - early) / lasted_s, 4)

    found: dict[str, Any] = {
        "cores": now.cores,
        "cpu": rate(before.cpu_s, now.cpu_s),
        "memory": now.memory,
        "read": rate(before.read, now.read),
        "written": rate(before.written, now.written),
        "loopback": rate(before.loopback, now.loopback),
        "disk_busy": rate(before.disk_busy_s, now.disk_busy_s),
        "disk_free": now.disk_free,
    }
    if before.collections is not None and now.collections is not None:
        found["collections"] = now.collections.count - before.collections.count
        found["collecting_s"] = round(now.collections.stopped_s - before.collections.stopped_s, 6)
    return {name: value for name, value in found.items() if value is not None}


def _count(process: psutil.Process, folder: Path | None) -> _Counters:
    with process.oneshot():
        times = process.cpu_times()
        memory = process.memory_info().rss
    read, written = _storage(process)
    return _Counters(
        at_s=time.monotonic(),
        cpu_s=times.user + times.system,
        memory=memory,
        cores=_cores(process),
        read=read,
        written=written,
        collections=collections_of(process.pid),
        loopback=_loopback(),
        disk_busy_s=_disk_busy_s(folder),
        disk_free=_disk_free(folder),
    )


def _cores(process: psutil.Process) -> int:
    """Linux knows which cores a process may use; elsewhere it is all of them."""
    if hasattr(process, "cpu_affinity"):
        return len(process.cpu_affinity() or ())
    return psutil.cpu_count() or 1


def _storage(process: psutil.Process) -> tuple[int | None, int | None]:
    """Bytes that it had the storage layer fetch and store (``/proc/<pid>/io``), the page cache's hits left out."""
    try:
        counters = process.io_counters()
    except (AttributeError, psutil.AccessDenied, NotImplementedError):
        return None, None
    return counters.read_bytes, counters.write_bytes


def _loopback() -> int | None:
    """Bytes over the loopback interface since the host was started."""
    interfaces = psutil.net_io_counters(pernic=True)
    return next((interfaces[name].bytes_sent for name in _LOOPBACK if name in interfaces), None)


def _disk_busy_s(folder: Path | None) -> float | None:
    """Seconds in which the disk under a folder had work to do (Linux ``io_ticks``); memory file systems have none."""
    if folder is None:
        return None
    try:
        device = folder.stat().st_dev
    except OSError:
        return None
    known = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
    if not known.exists():
        return None
    counters = psutil.disk_io_counters(perdisk=True).get(known.resolve().name)
    busy_ms = getattr(counters, "busy_time", None)
    return None if busy_ms is None else busy_ms / 1000


def _disk_free(folder: Path | None) -> int | None:
    try:
        return None if folder is None else psutil.disk_usage(str(folder)).free
    except OSError:
        return None


def _folder(deployment: Watched) -> Path | None:
    named = deployment.describe().get("data_folder")
    return Path(str(named)) if named else None
