"""The doctor finds by crep's own records what is left of a run, and puts it right."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from crep.harness.cli import main
from crep.harness.config.targets import Target
from crep.harness.deployment import folders, standing
from crep.harness.faults.journal import Journal, OpenFault, own_journal
from crep.harness.faults.undo import Undo, resume_process, run_command
from crep.harness.processes import Adopted, ProcessIdentity, stands_still

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are told apart by /proc")


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No other state than the test's, and no other data folders."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(folders, "_work_parent", lambda: tmp_path)
    return tmp_path / "state" / "crep" / "faults"


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def doctor(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = main(["doctor", *words])
    captured = capsys.readouterr()
    return code, captured.out + captured.err


def left(*undo: Undo, dead: bool = True) -> None:
    """A journal with one fault, of a crep that is gone, or of this one."""
    own = own_journal()
    owner = replace(own.owner, start_ticks=1) if dead else own.owner
    Journal(own.path, owner, {0: OpenFault("pause-broker", "kafka-1", "2030-01-01T00:00:00Z", undo)}).write()


def until_still(pid: int) -> None:
    deadline = time.monotonic() + 5
    while not stands_still(pid) and time.monotonic() < deadline:
        time.sleep(0.01)


def test_a_healthy_machine_has_nothing_left(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor(capsys) == (0, "nothing is left of earlier runs\n")


def test_a_fault_that_was_never_healed_is_told_and_healed_only_when_asked(
    capsys: pytest.CaptureFixture[str], sleeper: subprocess.Popen[bytes], state: Path
) -> None:
    left(*resume_process(sleeper.pid))
    os.kill(sleeper.pid, signal.SIGSTOP)
    until_still(sleeper.pid)
    code, said = doctor(capsys)
    assert code == 1
    assert "never healed: pause-broker of kafka-1, injected at 2030-01-01T00:00:00Z" in said
    assert stands_still(sleeper.pid)
    code, said = doctor(capsys, "--heal")
    assert (code, f"process {sleeper.pid} goes on" in said) == (0, True)
    assert list(state.iterdir()) == []
    assert doctor(capsys)[0] == 0


def test_what_a_running_crep_is_busy_with_is_left_to_it(
    capsys: pytest.CaptureFixture[str], sleeper: subprocess.Popen[bytes]
) -> None:
    left(*resume_process(sleeper.pid), dead=False)
    assert doctor(capsys, "--heal")[0] == 0


def test_what_cannot_be_healed_stays_and_is_told_again(capsys: pytest.CaptureFixture[str]) -> None:
    left(run_command(["false"]))
    for _ in range(2):
        code, said = doctor(capsys, "--heal")
        assert (code, "NOT HEALED" in said) == (3, True)


def test_a_record_that_cannot_be_read_is_told_with_its_place(capsys: pytest.CaptureFixture[str], state: Path) -> None:
    state.mkdir(parents=True)
    (state / "1-1.json").write_text("{")
    code, said = doctor(capsys, "--heal")
    assert (code, str(state / "1-1.json") in said) == (3, True)


def test_data_of_a_broker_whose_crep_was_killed_are_removed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = folders.new_work_folder("kafka-local")
    assert doctor(capsys)[0] == 0
    identity = ProcessIdentity.of(os.getpid())
    assert identity is not None
    owner = folder / "owner"
    owner.write_text(owner.read_text().replace(str(identity.start_ticks), "1"))
    code, said = doctor(capsys)
    assert (code, str(folder) in said) == (1, True)
    assert doctor(capsys, "--heal")[0] == 0
    assert not folder.exists()


@pytest.mark.emulator
def test_a_standing_broker_that_died_or_stands_still_is_put_right(capsys: pytest.CaptureFixture[str]) -> None:
    standing.start_standing(Target(name="of-a-test", system="solace", source="embedded"), lambda _: None)
    try:
        [deployment] = standing.attached()
        [node] = deployment.nodes
        pid = deployment.node_pid(node)
        assert pid is not None
        deployment.pause_node(node)
        until_still(pid)
        assert doctor(capsys)[0] == 1
        code, said = doctor(capsys, "--heal")
        assert (code, f"process {pid} goes on" in said) == (0, True)
        identity = ProcessIdentity.of(pid)
        assert identity is not None
        Adopted(identity).kill()
        assert "is down" in doctor(capsys)[1]
        assert doctor(capsys, "--heal")[0] == 0
        assert [line.state for line in standing.status()] == ["running"]
    finally:
        standing.stop_standing("of-a-test")
