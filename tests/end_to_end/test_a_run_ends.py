"""However a run ends: its exit code, what is kept, and that nothing of it goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.outside import SMALL, Crep

pytestmark = [pytest.mark.end_to_end, pytest.mark.emulator]

LONG = SMALL.replace("for: 3 s", "for: 60 s")


def only_run(crep: Crep) -> tuple[Path, dict[str, Any]]:
    [path] = [p for p in (crep.folder / "results").rglob("run.json") if "latest" not in p.parts]
    document: dict[str, Any] = json.loads(path.read_text())
    return path.parent, document


def wait_for_receipts(crep: Crep, process: subprocess.Popen[str], within_s: float = 60.0) -> None:
    """Until a subscriber has written receipts: the run is in its middle."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        files = [p for p in (crep.folder / "results").rglob("ledger/reader-*-0") if "latest" not in p.parts]
        if any(p.stat().st_size > 0 for p in files):
            return
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.1)
    raise AssertionError("no receipt was recorded")


def test_a_good_run_exits_0_with_an_exact_ledger_and_a_report(crep: Crep) -> None:
    done = crep("run", crep.scenario(), "--on", "solace-emulator")
    assert done.returncode == 0, done.stdout + done.stderr
    folder, document = only_run(crep)
    assert document["status"] == "complete"
    [channel] = document["results"]["channels"]
    assert channel["handed_over"] == channel["acknowledged"] == 800  # 200/s for 1 s of warm-up and 3 s
    billing = next(r for r in document["results"]["readers"] if r["reader"] == "billing")
    assert (billing["expected"], billing["received"], billing["lost"]) == (800, 800, 0)
    assert document["sites"]["bus"]["genuineness"] == "emulated"
    for name in ("report.pdf", "report.html", "report.json"):
        assert (crep.folder / "results" / "small" / name).stat().st_size > 1000
    crep.assert_nothing_runs()
    verified = crep("verify", str(folder))
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert "confirmed" in verified.stdout


def test_a_failed_expectation_exits_1_and_says_which(crep: Crep) -> None:
    done = crep(
        "run", crep.scenario(SMALL.replace("billing.lost == 0", "billing.duplicates > 0")), "--on", "solace-emulator"
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "billing.duplicates > 0" in done.stdout + done.stderr
    crep.assert_nothing_runs()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_exits_130_and_keeps_what_was_measured(crep: Crep, number: signal.Signals) -> None:
    process = crep.start("run", crep.scenario(LONG), "--on", "solace-emulator")
    wait_for_receipts(crep, process)
    os.kill(process.pid, number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "Traceback" not in output
    crep.assert_nothing_runs()
    _, document = only_run(crep)
    assert document["status"] == "interrupted"
    billing = next(r for r in document["results"]["readers"] if r["reader"] == "billing")
    assert billing["received"] > 0
    assert billing["lost"] == 0
    assert "interrupted" in (crep.folder / "results" / "small" / "report.html").read_text().lower()


def test_a_killed_run_leaves_no_process_and_a_readable_incomplete_folder(crep: Crep) -> None:
    process = crep.start("run", crep.scenario(LONG), "--on", "solace-emulator")
    wait_for_receipts(crep, process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(timeout=10)
    crep.assert_nothing_runs()
    _, document = only_run(crep)
    assert document["status"] == "running"
    done = crep("report", "results/small", "--out", "report")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "incomplete" in done.stdout.lower()
    assert "incomplete" in (crep.folder / "report" / "report.html").read_text().lower()


def test_a_standing_broker_is_used_and_left_running(crep: Crep) -> None:
    env = {"XDG_STATE_HOME": str(crep.folder / "state")}
    try:
        started = crep("broker", "start", "solace-emulator", env=env)
        assert started.returncode == 0, started.stdout + started.stderr
        pids = set(crep.processes())
        assert pids
        done = crep("run", crep.scenario(), "--on", "solace-emulator", env=env)
        assert done.returncode == 0, done.stdout + done.stderr
        assert set(crep.processes()) == pids, "the standing broker is there as before, and nothing else"
        status = crep("broker", "status", env=env)
        assert "solace-emulator" in status.stdout
    finally:
        stopped = crep("broker", "stop", "solace-emulator", env=env)
    assert stopped.returncode == 0, stopped.stdout + stopped.stderr
    crep.assert_nothing_runs()


@pytest.mark.kafka
def test_ctrl_c_while_a_broker_starts_ends_at_once_and_leaves_nothing(crep: Crep) -> None:
    process = crep.start("run", crep.scenario(LONG), "--on", "kafka-local", "--profile", "quick")
    deadline = time.monotonic() + 60
    while not any("-Xmx" in command for command in crep.processes().values()):  # a Java virtual machine
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 130, output
    assert "before anything was measured" in output
    assert "Traceback" not in output
    crep.assert_nothing_runs()
