"""Life of a local broker's processes, with a program that starts in a fraction of a second."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from crep.harness.config.errors import EnvironmentFailure, UsageError
from crep.harness.config.targets import Setting, Target
from crep.harness.deployment import DeploymentError, UnknownNode, deploy, ports, standing
from crep.harness.deployment.folders import filesystem_of, new_work_folder
from crep.harness.deployment.local import LocalDeployment
from crep.harness.deployment.ports import LOOPBACK, free_port, is_free
from crep.harness.deployment.reach import endpoint_of
from crep.harness.deployment.solace import EmulatorProduct
from crep.harness.processes import ProcessIdentity

STAND_IN = (sys.executable, str(Path(__file__).with_name("emulator_stand_in.py")))
WRITER = (*STAND_IN, "--write", "written")
NODE = "solace-1"


def target(**settings: Setting) -> Target:
    return Target(name="solace-emulator", system="solace", source="embedded", settings=settings)


def silent(_line: str) -> None:
    """A progress that nobody reads."""


def is_up_within(deployment: LocalDeployment, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if deployment.probe_node(NODE):
            return True
        time.sleep(0.05)
    return False


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[LocalDeployment]:
    broker = LocalDeployment(target(), EmulatorProduct(STAND_IN), tmp_path)
    yield broker
    broker.stop()


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty state folder, and the stand-in behind every embedded target; what stands at the end is ended."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(standing, "EmulatorProduct", lambda **how: EmulatorProduct(STAND_IN, **how))
    yield tmp_path / "crep"
    for broker in standing.status():
        standing.stop_standing(broker.target)


def test_a_started_broker_answers_and_a_stopped_one_leaves_neither_process_nor_data(
    deployment: LocalDeployment, tmp_path: Path
) -> None:
    deployment.start(silent)
    pid = deployment.node_pid(NODE)
    assert pid is not None
    assert deployment.probe_node(NODE)
    deployment.stop()
    assert ProcessIdentity.of(pid) is None
    assert [path.name for path in tmp_path.iterdir()] == [f"{NODE}.log"]
    deployment.stop()


def test_a_temporary_folder_is_removed_wholly() -> None:
    deployment = LocalDeployment(target(), EmulatorProduct(STAND_IN))
    deployment.start(silent)
    folder = deployment.folder
    assert folder is not None
    assert folder.is_dir()
    deployment.stop()
    assert not folder.exists()


def test_starting_a_started_broker_does_nothing(deployment: LocalDeployment) -> None:
    deployment.start(silent)
    pid = deployment.node_pid(NODE)
    deployment.start(silent)
    assert deployment.node_pid(NODE) == pid


def test_a_killed_node_comes_back_on_the_same_ports_and_data(deployment: LocalDeployment, tmp_path: Path) -> None:
    deployment.start(silent)
    before, pid = deployment.endpoint(), deployment.node_pid(NODE)
    asked = time.monotonic_ns()
    sent = deployment.kill_node(NODE)
    assert asked <= sent <= time.monotonic_ns()
    assert deployment.node_pid(NODE) is None
    assert not deployment.probe_node(NODE)
    deployment.start_node(NODE)
    assert is_up_within(deployment, 20)
    assert deployment.endpoint() == before
    assert deployment.node_pid(NODE) not in {None, pid}
    assert (tmp_path / "data" / NODE / "starts").read_text().count("start") == 2


def test_a_frozen_node_does_not_answer_and_the_probe_says_so_in_time(deployment: LocalDeployment) -> None:
    deployment.start(silent)
    pid = deployment.node_pid(NODE)
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    before = time.monotonic()
    assert not deployment.probe_node(NODE)
    assert time.monotonic() - before < 2
    os.kill(pid, signal.SIGCONT)
    assert is_up_within(deployment, 10)


def test_a_paused_node_stands_still_until_it_is_resumed_and_can_be_ended_while_it_does(
    deployment: LocalDeployment,
) -> None:
    deployment.start(silent)
    pid = deployment.node_pid(NODE)
    asked = time.monotonic_ns()
    assert asked <= deployment.pause_node(NODE) <= time.monotonic_ns()
    assert not deployment.probe_node(NODE)
    deployment.resume_node(NODE)
    assert is_up_within(deployment, 10)
    assert deployment.node_pid(NODE) == pid
    deployment.pause_node(NODE)
    before = time.monotonic()
    deployment.stop()
    assert time.monotonic() - before < 5, "it was let go on, so that it heard that it was to end"


def test_a_stopped_node_hears_of_it_and_comes_back_on_the_same_ports(deployment: LocalDeployment) -> None:
    deployment.start(silent)
    asked = time.monotonic_ns()
    assert asked <= deployment.stop_node(NODE, 10) <= time.monotonic_ns()
    assert deployment.node_pid(NODE) is None
    deployment.start_node(NODE)
    assert is_up_within(deployment, 20)


def test_a_write_beyond_the_limit_of_files_fails_and_one_after_it_was_lifted_does_not(tmp_path: Path) -> None:
    deployment = LocalDeployment(target(), EmulatorProduct(WRITER), tmp_path)
    with pytest.raises(DeploymentError, match="is not running"):
        deployment.limit_files(NODE, 0)
    deployment.start(silent)
    try:
        written = tmp_path / "written"

        def grows() -> bool:
            size = written.stat().st_size
            time.sleep(0.3)
            return written.stat().st_size > size

        assert grows()
        deployment.limit_files(NODE, 0)
        time.sleep(0.1)
        assert not grows()
        deployment.limit_files(NODE, None)
        assert grows()
    finally:
        deployment.stop()


def test_a_node_is_known_by_the_brokers_name_for_it_and_has_its_role(deployment: LocalDeployment) -> None:
    deployment.start(silent)
    assert deployment.roles(NODE) == {"broker"}
    assert deployment.node_of(deployment.endpoint().semp or "") == NODE
    with pytest.raises(UnknownNode, match="no node is called '7'"):
        deployment.node_of("7")
    assert deployment.allow_faults
    assert not deployment.outlives_us


def test_the_last_words_of_a_program_that_ends_at_start_reach_the_person(
    deployment: LocalDeployment, tmp_path: Path
) -> None:
    folder = tmp_path / "data" / NODE
    folder.mkdir(parents=True)
    (folder / "reason").write_text("the data folder is in use by pid 1")
    with pytest.raises(DeploymentError, match=r"(?s)exit code 3.*in use by pid 1") as raised:
        deployment.start(silent)
    assert raised.value.exit_code == 3


def test_a_taken_port_is_named_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind((LOOPBACK, 0))
        other.listen()
        port = other.getsockname()[1]
        taken = target().model_copy(update={"port": port})
        deployment = LocalDeployment(taken, EmulatorProduct(STAND_IN), tmp_path)
        with pytest.raises(DeploymentError, match=rf"solace-emulator.*port {port}.*taken"):
            deployment.start(silent)
        assert not list(tmp_path.glob("*.log"))


def test_a_port_that_was_taken_while_the_node_was_down_is_named(deployment: LocalDeployment) -> None:
    deployment.start(silent)
    assert deployment.prepared is not None
    port = deployment.prepared.nodes[0].ports["smf"]
    deployment.kill_node(NODE)
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind((LOOPBACK, port))
        other.listen()
        with pytest.raises(DeploymentError, match=f"port {port}"):
            deployment.start_node(NODE)


def test_what_cannot_be_done_with_a_node_is_an_error_that_says_why(deployment: LocalDeployment) -> None:
    with pytest.raises(DeploymentError, match="has not been started"):
        deployment.endpoint()
    deployment.start(silent)
    with pytest.raises(DeploymentError, match="already running"):
        deployment.start_node(NODE)
    with pytest.raises(UnknownNode, match="its nodes: solace-1"):
        deployment.kill_node("solace-2")
    deployment.kill_node(NODE)
    with pytest.raises(DeploymentError, match="not running"):
        deployment.kill_node(NODE)


def test_a_program_that_is_missing_is_an_environment_failure(tmp_path: Path) -> None:
    deployment = LocalDeployment(target(), EmulatorProduct(("no-such-program",)), tmp_path)
    with pytest.raises(DeploymentError, match="no-such-program"):
        deployment.start(silent)


def test_a_folder_that_cannot_be_made_is_an_environment_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    deployment = LocalDeployment(target(), EmulatorProduct(STAND_IN), tmp_path / "file")
    with pytest.raises(EnvironmentFailure, match="file"):
        deployment.start(silent)


@pytest.mark.parametrize(
    ("settings", "said"), [({"synch": "always"}, "did you mean 'sync'"), ({"sync": "often"}, "always, batch, never")]
)
def test_a_setting_that_the_emulator_does_not_have_is_refused(settings: dict[str, Setting], said: str) -> None:
    deployment = LocalDeployment(target(**settings), EmulatorProduct(STAND_IN))
    with pytest.raises(UsageError, match=said):
        deployment.start(silent)


def test_the_description_is_plain_data_and_names_what_decides_an_outcome(deployment: LocalDeployment) -> None:
    deployment.start(silent)
    words = deployment.describe()
    assert words["profile"] == "default"
    assert words["settings"] == {"profile default": {}, "target": {}, "crep": {"sync": "always"}}
    assert words["started_by"] == "this run"
    assert "shared" in str(words["host"])


def test_a_run_attaches_to_a_standing_broker_and_leaves_it_running(state: Path) -> None:
    broker = standing.start_standing(target(), silent)
    assert broker.state == "running"
    deployment = deploy(target())
    deployment.start(silent)
    assert deployment.node_pid(NODE) == broker.pid
    assert deployment.describe()["started_by"] == "crep broker start"
    deployment.stop()
    assert standing.status() == [broker]


def test_the_record_stays_true_when_a_run_kills_and_restarts_a_standing_broker(state: Path) -> None:
    first = standing.start_standing(target(), silent)
    deployment = deploy(target())
    assert isinstance(deployment, LocalDeployment)
    deployment.kill_node(NODE)
    (down,) = standing.status()
    assert (down.state, down.pid) == ("down", None)
    deployment.start_node(NODE)
    assert is_up_within(deployment, 20)
    (again,) = standing.status()
    assert (again.state, again.address) == ("running", first.address)
    assert again.pid not in {None, first.pid}


def test_a_standing_broker_that_a_run_left_dead_is_not_attached_to_but_started_afresh(state: Path) -> None:
    standing.start_standing(target(), silent)
    killed = deploy(target())
    killed.kill_node(NODE)
    assert standing.attach(target()) is None
    assert standing.start_standing(target(), silent).state == "running"


def test_starting_a_standing_broker_twice_keeps_the_first(state: Path) -> None:
    assert standing.start_standing(target(), silent) == standing.start_standing(target(), silent)


def test_a_standing_broker_of_another_profile_is_neither_attached_to_nor_replaced(state: Path) -> None:
    standing.start_standing(target(), silent)
    quick = target().with_profile("quick")
    assert standing.attach(quick) is None
    with pytest.raises(DeploymentError, match=r"profile default.*\n.*crep broker stop solace-emulator"):
        standing.start_standing(quick, silent)


def test_bridge_and_replay_find_a_standing_broker_whatever_its_profile(state: Path) -> None:
    quick = target().with_profile("quick")
    started = standing.start_standing(quick, silent)
    assert endpoint_of(target()).smf == endpoint_of(quick).smf == started.address.split()[0]
    with pytest.raises(EnvironmentFailure, match="does not run"):
        endpoint_of(target().model_copy(update={"port": 1}))


def test_a_stopped_standing_broker_leaves_neither_process_nor_files(state: Path) -> None:
    pid = standing.start_standing(target(), silent).pid
    assert pid is not None
    assert standing.stop_standing("solace-emulator")
    assert ProcessIdentity.of(pid) is None
    assert not (state / "brokers" / "solace-emulator").exists()
    assert not standing.stop_standing("solace-emulator")
    assert standing.status() == []


def test_a_standing_broker_that_does_not_start_leaves_no_record(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dies = EmulatorProduct((sys.executable, "-c", "raise SystemExit('no luck today')"))
    monkeypatch.setattr(standing, "EmulatorProduct", lambda **_: dies)
    with pytest.raises(DeploymentError, match="no luck today"):
        standing.start_standing(target(), silent)
    assert standing.status() == []


def test_logs_of_a_standing_broker_are_its_last_lines(state: Path) -> None:
    standing.start_standing(target(), silent)
    (state / "brokers" / "solace-emulator" / f"{NODE}.log").write_text("one\ntwo\nthree\n")
    assert standing.logs("solace-emulator", 2) == ["two", "three"]
    with pytest.raises(UsageError, match="did you mean 'solace-emulator'"):
        standing.logs("solace-emulatr")


def test_a_chosen_port_is_one_that_no_client_is_given_as_its_own() -> None:
    ports = {free_port() for _ in range(20)}
    assert max(ports) < 32_768
    assert all(is_free(port) for port in ports)


def test_a_chosen_port_is_nobody_elses_until_a_broker_had_the_time_to_listen_on_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chosen = free_port()
    monkeypatch.setattr(ports, "_FIRST", chosen)
    monkeypatch.setattr(ports, "_LAST", chosen)
    with pytest.raises(DeploymentError, match="no 1 free TCP ports"):
        free_port()
    other = f"from crep.harness.deployment import ports\nports._FIRST = ports._LAST = {chosen}\nports.free_port()"
    told = subprocess.run([sys.executable, "-c", other], capture_output=True, text=True, timeout=60, check=False)
    assert "no 1 free TCP ports" in told.stderr
    monkeypatch.setattr(ports, "KEPT_S", 0.0)
    ports._keep(1)  # the next choice lets go what was kept long enough
    assert free_port() == chosen


def test_folders_of_processes_that_were_killed_are_removed_by_the_next_one() -> None:
    mine, abandoned = new_work_folder("test"), new_work_folder("test")
    owner = (abandoned / "owner").read_text()
    (abandoned / "owner").write_text(owner.replace('"start_ticks": ', '"start_ticks": 1'))
    third = new_work_folder("test")
    assert mine.exists()
    assert not abandoned.exists()
    for folder in (mine, third):
        (folder / "owner").unlink()
        folder.rmdir()


def test_the_file_system_of_a_folder_is_told_by_its_nearest_mount() -> None:
    assert filesystem_of(Path("/proc/self")) == "proc"
