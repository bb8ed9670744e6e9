"""What is in effect when crep dies is healed all the same: by the watchdog at once, by the doctor later."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crep.harness.config.errors import EnvironmentFailure
from crep.harness.faults.journal import Journal, OpenFault, journal_files, own_journal, read_journal
from crep.harness.faults.undo import Undo, resume_process, run_command
from crep.harness.faults.watchdog import Watchdog
from crep.harness.processes import ProcessIdentity, stands_still

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are told apart by /proc")


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "crep" / "faults"


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process to be paused."""
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def eventually(holds: Callable[[], bool], within_s: float = 15.0) -> bool:
    deadline = time.monotonic() + within_s
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.05)
    return holds()


def paused(process: subprocess.Popen[bytes]) -> None:
    os.kill(process.pid, signal.SIGSTOP)
    assert eventually(lambda: stands_still(process.pid))


KILLED = """
import os, signal, sys
from crep.harness.faults.undo import resume_process
from crep.harness.faults.watchdog import Watchdog
watchdog = Watchdog()
watchdog.hold(0, "pause-broker", "kafka-1", resume_process(int(sys.argv[1])))
os.kill(int(sys.argv[1]), signal.SIGSTOP)
print("paused", flush=True)
signal.pause()
"""


def test_a_process_that_is_paused_when_crep_is_killed_goes_on_within_seconds(
    state: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    with subprocess.Popen([sys.executable, "-c", KILLED, str(sleeper.pid)], stdout=subprocess.PIPE) as crep:
        assert crep.stdout is not None
        assert crep.stdout.readline() == b"paused\n"
        assert eventually(lambda: stands_still(sleeper.pid))
        assert len(list(state.glob("*.json"))) == 1
        crep.kill()
    assert eventually(lambda: not stands_still(sleeper.pid))
    assert eventually(lambda: list(state.glob("*")) == [])


def test_a_watchdog_ends_with_an_orderly_crep_and_touches_nothing(
    state: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    watchdog = Watchdog()
    watchdog.hold(3, "pause-broker", "kafka-1", resume_process(sleeper.pid))
    [journal] = [read_journal(path) for path in journal_files()]
    assert journal is not None
    assert not journal.abandoned
    assert str(journal.faults[3]).startswith("pause-broker of kafka-1, injected at 20")
    watchdog.release(3)
    assert list(state.glob("*")) == []
    paused(sleeper)
    watchdog.close()
    assert ProcessIdentity.of(watchdog.pid) is None
    assert stands_still(sleeper.pid)


def test_a_fault_that_nobody_could_heal_is_not_injected(sleeper: subprocess.Popen[bytes]) -> None:
    watchdog = Watchdog()
    os.kill(watchdog.pid, signal.SIGKILL)
    assert eventually(lambda: ProcessIdentity.of(watchdog.pid) is None)
    with pytest.raises(EnvironmentFailure, match="not injected"):
        watchdog.hold(0, "pause-broker", "kafka-1", resume_process(sleeper.pid))


def test_a_fault_without_anything_to_undo_leaves_no_file(state: Path) -> None:
    watchdog = Watchdog()
    watchdog.hold(0, "pause-reader", "orders.billing", ())
    assert not state.exists()
    watchdog.close()


def journal_of(path: Path, *undo: Undo) -> Journal:
    own = own_journal()
    made = Journal(path, own.owner, {n: OpenFault("exec", f"hook {n}", "now", (one,)) for n, one in enumerate(undo)})
    made.write()
    return made


def test_one_fault_that_cannot_be_healed_does_not_keep_the_others(tmp_path: Path) -> None:
    path = tmp_path / "journal.json"
    done = list(journal_of(path, run_command(["false"]), run_command(["true"])).heal())
    assert [words for _, words in done] == ["not healed: the healing command 'false' ended with 1: ", "'true' was run"]
    left = read_journal(path)
    assert left is not None
    assert list(left.faults) == [0]


def test_a_process_that_has_the_number_of_a_dead_one_is_left_alone(sleeper: subprocess.Popen[bytes]) -> None:
    [undo] = resume_process(sleeper.pid)
    other = Undo(undo.kind, {**undo.what, "start_ticks": 1})
    paused(sleeper)
    [(_, words)] = journal_of(Path(own_journal().path), other).heal()
    assert words == "was over already"
    assert stands_still(sleeper.pid)
