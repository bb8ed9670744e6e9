"""What a target cannot do: said with the reason, before any load, and no failure unless ``--strict``."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.end_to_end.outside import SMALL, Crep

pytestmark = [pytest.mark.end_to_end, pytest.mark.emulator]

THREE_COPIES = SMALL.replace("scenario: small", "scenario: three-copies").replace("copies: 1", "copies: 3")
KILL = SMALL.replace("measure:", "timeline:\n  - {at: 1 s, do: kill-broker, restart_after: 1 s}\nmeasure:")


@pytest.fixture
def theirs(crep: Crep) -> Iterator[str]:
    """A target whose processes crep has no hand on."""
    command = [sys.executable, "-m", "crep.solace_emulator", "--data-dir", str(crep.folder / "emulator")]
    ports = [word for name in ("smf", "semp", "health") for word in (f"--{name}-port", "0")]
    process = subprocess.Popen([*command, *ports], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        admin = {"username": "admin", "password_env": "CREP_TEST_PASSWORD"}
        solace = {"smf": ready["smf"], "semp": ready["semp"], "vpn": "default", "admin": admin}
        targets = {"targets": {"theirs": {"system": "solace", "source": "address", "solace": solace}}}
        (crep.folder / "crep-targets.yaml").write_text(json.dumps(targets))  # JSON is YAML
        yield "theirs"
    finally:
        process.terminate()
        process.wait(timeout=10)


def documents(crep: Crep) -> list[dict[str, Any]]:
    found = [path for path in (crep.folder / "results").rglob("run.json") if "latest" not in path.parts]
    return [json.loads(path.read_text()) for path in sorted(found)]


def test_a_class_that_a_target_cannot_reach_is_not_supported_and_other_scenarios_go_on(crep: Crep) -> None:
    three, small = crep.scenario(THREE_COPIES, "three.yaml"), crep.scenario()
    done = crep("run", three, small, "--on", "solace-emulator", "--repeat", "2", "--name", "both")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "not supported; channel 'orders' asks for 3 copies" in done.stdout
    assert {(d["scenario"]["name"], d["repetition"], d["status"]) for d in documents(crep)} == {
        ("three-copies", 1, "not-supported"),
        ("small", 1, "complete"),
        ("small", 2, "complete"),
    }
    page = (crep.folder / "results" / "both" / "report.html").read_text()
    assert "1 run not counted: 1 not supported" in page
    assert "asks for 3 copies" in page
    crep.assert_nothing_runs()


def test_strict_makes_it_a_failed_check(crep: Crep) -> None:
    done = crep("run", crep.scenario(THREE_COPIES), "--on", "solace-emulator", "--strict", "--no-report")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "not supported" in done.stdout + done.stderr


def test_a_fault_on_a_broker_that_is_only_an_address_is_found_before_any_load(crep: Crep, theirs: str) -> None:
    done = crep("run", crep.scenario(KILL), "--on", theirs, "--repeat", "2", env={"CREP_TEST_PASSWORD": "admin"})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "has no hand on its processes" in done.stdout
    [document] = documents(crep)
    assert (document["status"], document["t0_ns"], document["clients"]) == ("not-supported", None, [])
    assert document["sites"]["bus"]["genuineness"] == "emulated"
    report = json.loads((crep.folder / "results" / "small" / "report.json").read_text())
    assert report["scenarios"][0]["subjects"][0]["functional"] == "not-supported"
