"""Targets in containers: with a stand-in for Docker's program, since no daemon can run here, and emulators in them."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from crep.harness.config.errors import UsageError
from crep.harness.config.targets import Credentials, Docker, SolaceAddress, Target, find_target, load_targets
from crep.harness.deployment import DeploymentError, deploy, standing
from crep.harness.deployment.docker import DockerDeployment
from crep.harness.deployment.ports import free_ports

pytestmark = pytest.mark.emulator

STAND_IN = Path(__file__).with_name("docker_stand_in.py")


def silent(_line: str) -> None:
    """A progress that nobody reads."""


@pytest.fixture
def boxed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Target]:
    """A target with one container, whose program ``docker`` is the stand-in."""
    folder, programs = tmp_path / "docker", tmp_path / "bin"
    folder.mkdir()
    programs.mkdir()
    program = programs / "docker"
    call = f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {shlex.quote(str(STAND_IN))} "$@"\n'
    program.write_text(call)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("CREP_TEST_DOCKER", str(folder))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    smf, semp, health = free_ports(3)
    options = ["--data-dir", str(folder / "data"), "--smf-port", smf, "--semp-port", semp, "--health-port", health]
    (folder / "solace.json").write_text(json.dumps([str(one) for one in options]))
    target = Target(
        name="boxed",
        system="solace",
        source="docker",
        docker=Docker(
            profile="solace", nodes=["solace"], health=[f"http://127.0.0.1:{health}"], vpns=["internal", "external"]
        ),
        solace=SolaceAddress(
            smf=f"tcp://127.0.0.1:{smf}",
            semp=f"http://127.0.0.1:{semp}",
            vpn="internal",
            admin=Credentials(username="admin", password_env="CREP_TEST_ADMIN"),
        ),
    )
    monkeypatch.setenv("CREP_TEST_ADMIN", "admin")
    yield target
    program.write_text(call)
    DockerDeployment(target).remove()


def commands(tmp_path: Path) -> list[str]:
    return (tmp_path / "docker" / "commands").read_text().splitlines()


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_a_container_serves_with_its_message_vpns_is_failed_and_goes_away(boxed: Target, tmp_path: Path) -> None:
    deployment = deploy(boxed)
    deployment.start(silent)
    try:
        for vpn in ("internal", "external"):
            found = httpx.get(
                f"{boxed.solace and boxed.solace.semp}/SEMP/v2/config/msgVpns/{vpn}", auth=("admin", "admin")
            )
            assert found.json()["data"]["enabled"] is True
        assert deployment.endpoint().vpn == "internal"
        assert deployment.allow_faults
        assert deployment.probe_node("solace")
        before = time.monotonic_ns()
        assert before <= deployment.kill_node("solace") <= time.monotonic_ns()
        assert not deployment.probe_node("solace")
        assert deployment.node_pid("solace") is None
        with pytest.raises(DeploymentError, match="not running"):
            deployment.pause_node("solace")
        deployment.start_node("solace")
        assert within(20, lambda: deployment.probe_node("solace"))
        deployment.pause_node("solace")
        assert within(5, lambda: not deployment.probe_node("solace"))
        deployment.resume_node("solace")
        assert within(5, lambda: deployment.probe_node("solace"))
        assert deployment.describe()["nodes"] == {
            "solace": {"image": "emulator-of-solace sha256:0", "roles": ["broker"]}
        }
    finally:
        deployment.stop()
    assert not (tmp_path / "docker" / "solace.pid").exists()
    assert "down --volumes" in commands(tmp_path)[-1]


def test_containers_that_ran_before_are_left_running_and_are_not_failed(boxed: Target, tmp_path: Path) -> None:
    line = standing.start_standing(boxed, silent)
    assert (line.state, line.pid) == ("running", None)
    assert [one.target for one in standing.status()] == ["boxed"]
    deployment = deploy(boxed)
    deployment.start(silent)
    assert not deployment.allow_faults
    deployment.stop()
    assert (tmp_path / "docker" / "solace.pid").exists()
    assert standing.logs("boxed", 5)
    assert standing.stop_standing("boxed")
    assert standing.status() == []
    assert not (tmp_path / "docker" / "solace.pid").exists()


def test_what_cannot_start_is_removed_and_told_with_the_log(boxed: Target, tmp_path: Path) -> None:
    (tmp_path / "docker" / "solace.json").write_text('["--no-such-option"]')
    with pytest.raises(DeploymentError, match="ended while it was starting") as failed:
        deploy(boxed).start(silent)
    assert "--data-dir" in (failed.value.hint or "")
    assert not (tmp_path / "docker" / "solace.pid").exists()


def test_a_missing_daemon_is_told_as_that(boxed: Target, tmp_path: Path) -> None:
    (tmp_path / "bin" / "docker").write_text("#!/bin/sh\necho Cannot connect to the daemon >&2\nexit 1\n")
    with pytest.raises(DeploymentError, match="daemon does not answer: Cannot connect"):
        deploy(boxed).start(silent)


def test_variables_that_the_file_needs_are_asked_for_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREP_SOLACE_ADMIN_PASSWORD", "x")
    monkeypatch.delenv("SOLACE_GROUP_KEY", raising=False)
    with pytest.raises(UsageError, match="SOLACE_GROUP_KEY is not set"):
        deploy(find_target("solace-docker-ha", load_targets())).start(silent)
