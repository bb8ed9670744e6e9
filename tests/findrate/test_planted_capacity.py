"""``crep find-rate`` from outside, against a broker whose capacity a throttle before it has planted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from crep.harness.config.resources import resource
from crep.solace_emulator.testing import EmulatorProcess
from tests.fakes.throttle import Throttle

pytestmark = [pytest.mark.emulator, pytest.mark.end_to_end, pytest.mark.alone, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatorProcess]:
    process = EmulatorProcess(tmp_path_factory.mktemp("emulator"))
    yield process
    process.stop()


def search(folder: Path, capacity: float, emulator: EmulatorProcess) -> tuple[subprocess.CompletedProcess[str], Path]:
    """Search for a planted capacity in a folder; return how it ended and the file that holds every probe."""
    folder.mkdir()
    host, port = urlsplit(emulator.smf).hostname, urlsplit(emulator.smf).port
    assert host
    assert port
    with Throttle((host, port), capacity) as throttle:
        solace = {
            "smf": throttle.address,
            "semp": emulator.semp_url,
            "admin": {"username": "admin", "password_env": "PLANTED_PASSWORD"},
        }
        targets = {"planted": {"system": "solace", "source": "address", "solace": solace}}
        (folder / "targets.yaml").write_text(json.dumps({"targets": targets}))
        command = [sys.executable, "-m", "crep", "find-rate", "--on", "planted", "--targets", "targets.yaml"]
        short = ["--from", "400/s", "--confirm", "1", "-p", "hold=4 s", "-p", "size=100 B", "-p", "publishers=1"]
        ended = subprocess.run(
            [*command, *short],
            cwd=folder,
            env=os.environ | {"PLANTED_PASSWORD": "admin"},
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
    [file] = (folder / "results" / "find-rate").glob("2*/find-rate.json")
    return ended, file


def test_planted_capacities_are_found_within_five_percent(emulator: EmulatorProcess, tmp_path: Path) -> None:
    capacities = (430.0, 610.0)
    with ThreadPoolExecutor() as pool:
        searches = [pool.submit(search, tmp_path / str(rate), rate, emulator) for rate in capacities]
    for capacity, searched in zip(capacities, searches, strict=True):
        ended, file = searched.result()
        assert ended.returncode == 0, ended.stderr
        found = json.loads(file.read_text())
        assert found["highest_held_per_s"] == pytest.approx(capacity, rel=0.05), ended.stderr
        assert found["highest_held_per_s"] < found["lowest_failed_per_s"]
        assert found["genuineness"] == "emulated"
        assert "says nothing about the speed of the product" in ended.stdout
        assert any("fell behind" in reason or "schedule" in reason for reason in found["gave_way"])
        assert all((file.parent / probe["run"] / "run.json").exists() for probe in found["probes"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["demo"], "has a timeline"),
        (["changing.yaml"], "changes its rate to orders"),
        (["fixed.yaml"], "does not set its rate"),
        (["--param", "size"], "a size needs a number and a unit"),
        (["--param", "speed"], "no parameter 'speed'"),
        (["--from", "5/s"], "least"),
        (["--from", "fast"], "a rate needs a number and a unit"),
        (["-p", "rate=5/s"], "is the one that is varied"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused_before_a_broker_is_started(
    arguments: list[str], said: str, tmp_path: Path
) -> None:
    sustained = resource("scenarios/sustained.yaml").read_text()
    changing = sustained.replace("{hold: $rate, for: $hold}", "{hold: $rate, for: $hold}, {ramp: 9000/s, over: 5 s}")
    (tmp_path / "changing.yaml").write_text(changing)
    fixed = sustained.replace("hold: $rate", "hold: 500/s").replace("title: A rate", "title: $rate")
    (tmp_path / "fixed.yaml").write_text(fixed)
    command = [sys.executable, "-m", "crep", "find-rate", "--on", "kafka-local", *arguments]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2, ended.stderr
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "results").exists()
