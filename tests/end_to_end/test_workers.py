"""``crep run --workers`` and ``crep worker`` from outside."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time

import pytest

from tests.end_to_end.outside import SMALL, Crep
from tests.end_to_end.test_a_run_ends import only_run, wait_for_receipts

pytestmark = [pytest.mark.end_to_end, pytest.mark.emulator]

LONG = SMALL.replace("for: 3 s", "for: 60 s").replace("publishers: 1", "publishers: 2")
Process = subprocess.Popen[str]


def started(crep: Crep) -> tuple[Process, dict[str, Process]]:
    """A run on two workers, in its middle."""
    run = crep.start("run", crep.scenario(LONG), "--on", "solace-emulator", "--workers", "2", "--listen", "127.0.0.1:0")
    assert run.stdout is not None
    port = None
    while port is None and (line := run.stdout.readline()):
        port = re.search(r"crep worker --master 127\.0\.0\.1:(\d+)", line)
    assert port is not None
    workers = {
        name: crep.start("worker", "--master", f"127.0.0.1:{port.group(1)}", "--name", name) for name in ("ams", "fra")
    }
    wait_for_receipts(crep, run)
    return run, workers


def ended(process: Process, within_s: float = 60.0) -> str:
    return process.communicate(timeout=within_s)[0]


def test_a_killed_worker_makes_the_run_invalid_and_is_named(crep: Crep) -> None:
    run, workers = started(crep)
    workers["fra"].kill()
    output = ended(run)
    assert run.returncode == 3, output
    assert "worker fra was lost" in output
    _, document = only_run(crep)
    assert document["status"] == "failed"
    broken = {rule["name"]: rule["text"] for rule in document["results"]["rules"] if not rule["holds"]}
    reasons = ("its heartbeats do not come any more", "it was ended where it runs")  # whichever is noticed first
    assert any(f"worker fra was lost: {reason}" in broken["completed"] for reason in reasons)
    assert "the master has ended" in ended(workers["ams"])
    assert (workers["ams"].returncode, workers["fra"].wait(5)) == (0, -signal.SIGKILL)
    crep.assert_nothing_runs()


def test_ctrl_c_ends_the_engines_of_every_worker_and_keeps_what_was_measured(crep: Crep) -> None:
    run, workers = started(crep)
    assert sum("harness.load.child" in command for command in crep.processes().values()) == 5
    os.kill(run.pid, signal.SIGINT)
    output = ended(run)
    assert run.returncode == 130, output
    for worker in workers.values():
        said = ended(worker)
        assert (worker.returncode, "Traceback" in said) == (0, False), said
    crep.assert_nothing_runs()
    _, document = only_run(crep)
    assert document["status"] == "interrupted"
    billing = next(reader for reader in document["results"]["readers"] if reader["reader"] == "billing")
    assert billing["received"] > 0
    assert billing["lost"] == 0
    assert {worker["name"] for worker in document["workers"]} == set(workers)
    assert {client["name"] for client in document["clients"]} == {
        client for worker in document["workers"] for client in worker["clients"]
    }
    assert "several-clocks" in {label["code"] for label in document["labels"]}


def test_a_worker_without_a_master_says_so_and_ends(crep: Crep) -> None:
    began_s = time.monotonic()
    alone = crep("worker", "--master", "127.0.0.1:1", "--wait", "1")
    assert alone.returncode == 3
    assert "no master let this worker in: 127.0.0.1:1" in alone.stderr
    assert time.monotonic() - began_s < 60
    crep.assert_nothing_runs()
