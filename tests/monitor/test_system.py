"""The watch sees what a process uses, goes on when it dies, and costs next to nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from crep.harness.config.errors import EnvironmentFailure
from crep.harness.deployment import Deployment
from crep.harness.monitor.hotspot import collections_of
from crep.harness.monitor.system import SystemWatch

_WORK = """
import os, sys, time
ends = time.monotonic() + 60
with open(sys.argv[1], "wb") as file:
    while time.monotonic() < ends:
        file.write(bytes(1 << 20)); file.flush(); os.fsync(file.fileno()); file.seek(0)
"""


class OneProcess:
    """A deployment of one node."""

    nodes: tuple[str, ...] = ("node-1",)

    def __init__(self, folder: Path) -> None:
        self.pid: int | None = None
        self._folder = folder

    def node_pid(self, node: str) -> int | None:
        return self.pid

    def describe(self) -> Mapping[str, Any]:
        return {"data_folder": str(self._folder)}


class Heard:
    """Collects what is told, and waits for it."""

    def __init__(self) -> None:
        self.said: list[dict[str, Any]] = []
        self._more = threading.Condition()

    def __call__(self, at_ns: int, words: dict[str, Any]) -> None:
        with self._more:
            self.said.append(words)
            self._more.notify_all()

    def wait(self, count: int, within_s: float = 20.0) -> None:
        with self._more:
            assert self._more.wait_for(lambda: len(self.said) >= count, within_s), f"only {len(self.said)} looks"


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Writes and syncs a megabyte again and again, for a minute at most."""
    child = subprocess.Popen([sys.executable, "-S", "-c", _WORK, str(tmp_path / "data")])
    yield child
    child.kill()
    child.wait(10)


def test_a_process_is_seen_at_work_and_its_end_is_survived(worker: subprocess.Popen[bytes], tmp_path: Path) -> None:
    deployment, heard = OneProcess(tmp_path), Heard()
    deployment.pid = worker.pid
    watch = SystemWatch({"bus": deployment}, heard)
    watch.start()
    try:
        heard.wait(2)
        worker.kill()
        worker.wait(10)
        time.sleep(1.2)
        seen = len(heard.said)
        deployment.pid = os.getpid()  # the node was started again
        heard.wait(seen + 1)
    finally:
        watch.stop()
    first = heard.said[0]
    assert (first["site"], first["node"]) == ("bus", "node-1")
    assert first["cpu"] > 0
    assert first["memory"] > 1 << 20
    assert 1 <= first["cores"] <= (os.cpu_count() or 1)
    assert first["written"] > 1e5
    assert first["disk_free"] > 0
    assert all(one["cpu"] <= (os.cpu_count() or 1) * 1.5 for one in heard.said), "no restart is taken for a burst"
    told = len(heard.said)
    time.sleep(1.2)
    assert len(heard.said) == told, "it has ended"


def test_the_watch_costs_less_than_a_hundredth_of_a_core(tmp_path: Path) -> None:
    deployment, heard = OneProcess(tmp_path), Heard()
    deployment.pid = os.getpid()
    watch = SystemWatch({"bus": deployment}, heard)
    started = time.monotonic()
    watch.start()
    heard.wait(4)
    watch.stop()
    assert watch.cost_s < 0.01 * (time.monotonic() - started)


def test_an_address_is_not_watched(tmp_path: Path) -> None:
    deployment = OneProcess(tmp_path)
    deployment.nodes = ()
    threads = threading.active_count()
    watch = SystemWatch({"bus": deployment}, Heard())
    watch.start()
    assert threading.active_count() == threads
    watch.stop()


def test_a_run_folder_that_cannot_be_written_ends_the_watch_without_a_word(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    calls = []

    def full(at_ns: int, words: dict[str, Any]) -> None:
        calls.append(at_ns)
        raise EnvironmentFailure("the disk is full")

    deployment = OneProcess(tmp_path)
    deployment.pid = os.getpid()
    watch = SystemWatch({"bus": deployment}, full)
    watch.start()
    time.sleep(2.5)
    watch.stop()
    assert len(calls) == 1
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.kafka
def test_the_collections_of_a_running_kafka_are_read_without_asking_it(kafka_deployment: Deployment) -> None:
    pid = kafka_deployment.node_pid("kafka-1")
    assert pid is not None
    found = collections_of(pid)
    assert found is not None
    assert found.count > 0
    assert 0 < found.stopped_s < 600
