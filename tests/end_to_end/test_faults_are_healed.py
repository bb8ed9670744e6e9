"""Whatever ends crep while a fault is in effect: a broker that outlives it is left as it was found."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crep.harness.config.targets import load_targets
from crep.harness.deployment import standing as standing_brokers
from crep.harness.processes import ProcessIdentity, stands_still
from tests.end_to_end.outside import SMALL, Crep

pytestmark = [pytest.mark.end_to_end, pytest.mark.emulator]

TARGET = "solace-emulator"
FAULT = SMALL.replace("for: 3 s", "for: 60 s").replace(
    "measure:", "timeline:\n  - {at: 0.5 s, do: DO, AFTER: 50 s}\nmeasure:"
)


ONE_RUN = """
import sys
from pathlib import Path
from crep.harness.campaign import Campaign, Part, Rounds, turns
from crep.harness.cli.judge import evaluate_folder
from crep.harness.config.targets import load_targets
from crep.harness.monitor.live import LiveView
from crep.harness.runner import Stop
from crep.harness.scenario.binding import Binding
from crep.harness.scenario.load import load_scenario

part = Part(load_scenario(Path("small.yaml")), (Binding({"bus": "TARGET"}),), 1)
campaign = Campaign("small", (part,), load_targets(), Path("results"))
with Stop() as stop, LiveView() as view, Rounds(campaign, view, stop, evaluate_folder) as rounds:
    [measured] = [turn for turn in turns(campaign) if turn.kind == "measured"]
    rounds.carry_out(measured, number=1, of=1)
sys.exit(rounds.outcome.exit_code)
""".replace("TARGET", TARGET)
"""`crep run` without the control run, which takes ten seconds."""


class Standing:
    """The broker that was left running, as its record has it."""

    @property
    def pid(self) -> int | None:
        [deployment] = standing_brokers.attached()
        return deployment.node_pid(deployment.nodes[0])

    @property
    def state(self) -> str:
        [line] = standing_brokers.status()
        return line.state


@pytest.fixture
def standing(crep: Crep, monkeypatch: pytest.MonkeyPatch) -> Iterator[Standing]:
    """A broker that outlives the commands, as `crep broker start` leaves one."""
    monkeypatch.setenv("XDG_STATE_HOME", str(crep.folder / "state"))
    standing_brokers.start_standing(load_targets()[TARGET], lambda _: None)
    yield Standing()
    standing_brokers.stop_standing(TARGET)


def eventually(holds: Callable[[], bool], within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.1)
    return holds()


def until_injected(crep: Crep, process: subprocess.Popen[str]) -> None:
    """Until the measured run says that its fault is in effect."""

    def injected() -> bool:
        assert process.poll() is None, process.communicate()[0]
        files = [path for path in (crep.folder / "results").rglob("events.jsonl") if "latest" not in path.parts]
        return any('"confirmed"' in path.read_text(encoding="utf-8") for path in files)

    assert eventually(injected, 60)


def open_faults(folder: Path) -> list[Path]:
    return list((folder / "state" / "crep" / "faults").glob("*.json"))


def begin(crep: Crep, do: str, after: str) -> subprocess.Popen[str]:
    crep.scenario(FAULT.replace("DO", do).replace("AFTER", after))
    process = crep.start_script(ONE_RUN)
    until_injected(crep, process)
    assert len(open_faults(crep.folder)) == 1
    return process


def test_a_broker_that_is_paused_when_crep_is_killed_goes_on_within_seconds(crep: Crep, standing: Standing) -> None:
    pid = standing.pid
    assert pid is not None
    process = begin(crep, "pause-broker", "resume_after")
    assert stands_still(pid)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    assert eventually(lambda: not stands_still(pid), 15)
    assert eventually(lambda: not open_faults(crep.folder), 15)
    assert eventually(lambda: standing.state == "running", 15)


def test_a_broker_that_is_down_when_crep_is_interrupted_is_started_again(crep: Crep, standing: Standing) -> None:
    before = standing.pid
    process = begin(crep, "kill-broker", "restart_after")
    os.kill(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 130, output
    after = standing.pid
    assert after not in (None, before)
    assert open_faults(crep.folder) == []
    assert eventually(lambda: standing.state == "running", 15)


def test_a_broker_that_is_down_when_crep_is_killed_is_started_again(crep: Crep, standing: Standing) -> None:
    before = standing.pid
    process = begin(crep, "kill-broker", "restart_after")
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    assert eventually(lambda: not open_faults(crep.folder), 60)
    after = standing.pid
    assert after not in (None, before)
    assert ProcessIdentity.of(after) is not None
