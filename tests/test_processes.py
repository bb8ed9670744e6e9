"""Children never outlive their parent, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from crep.harness.processes import PIPE, Adopted, Child, ProcessIdentity, run, spawn

SLEEP = ["sleep", "120"]


def identity_of(pid: int) -> ProcessIdentity:
    """Of a process that must be there."""
    identity = ProcessIdentity.of(pid)
    assert identity is not None
    return identity


def gone_within(identity: ProcessIdentity, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if ProcessIdentity.of(identity.pid) != identity:
            return True
        time.sleep(0.02)
    return False


def parent(body: str) -> tuple[subprocess.Popen[bytes], ProcessIdentity]:
    """A Python process that runs ``body``, which prints the pid of a child that it spawned."""
    script = f"import sys, time\nfrom crep.harness.processes import spawn, run\n{body}"
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert process.stdout is not None
    return process, identity_of(int(process.stdout.readline()))


def end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_child_is_gone_soon_after_its_parent_was_ended_by_a_signal(how: signal.Signals) -> None:
    process, child = parent(f"print(spawn({SLEEP}).pid, flush=True); time.sleep(60)")
    try:
        process.send_signal(how)
        assert gone_within(child, 2)
    finally:
        end(process)


def test_a_child_is_gone_after_its_parent_ended_by_itself() -> None:
    process, child = parent(f"print(spawn({SLEEP}).pid, flush=True); time.sleep(0.2)")
    try:
        assert process.wait(10) == 0
        assert gone_within(child, 2)
    finally:
        end(process)


def test_a_child_survives_the_thread_that_asked_for_it() -> None:
    children: list[Child] = []

    def start() -> None:
        child = spawn(["sh", "-c", "echo ready; sleep 120"], stdout=PIPE)
        children.append(child)
        assert child.stdout is not None
        child.stdout.readline()  # it is bound by now: a thread that ends before could not have killed it

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    (child,) = children
    time.sleep(0.5)
    assert child.poll() is None
    child.kill()
    assert child.poll() == -signal.SIGKILL


def test_a_forked_copy_of_the_process_can_start_children() -> None:
    body = (
        "import os\nrun(['true'], timeout_s=5)\npid = os.fork()\n"
        "if pid == 0: os._exit(run(['sh', '-c', 'exit 7'], timeout_s=5).code)\n"
        "print(os.getpid(), flush=True); sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))"
    )
    process, _ = parent(body)
    assert process.wait(10) == 7
    process.communicate()


def test_a_child_that_ignores_the_request_to_end_is_killed_with_its_group() -> None:
    child = spawn(["sh", "-c", 'trap "" TERM; sleep 120 & echo $!; wait; sleep 120'], stdout=PIPE)
    assert child.stdout is not None
    grandchild = identity_of(int(child.stdout.readline()))
    assert child.terminate(0.3) == -signal.SIGKILL
    assert gone_within(grandchild, 2)


def test_a_child_that_ends_on_request_keeps_its_own_exit_code() -> None:
    child = spawn(["sh", "-c", 'trap "exit 5" TERM; echo ready; while :; do sleep 0.05; done'], stdout=PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    assert child.terminate(5) == 5
    assert child.terminate(5) == 5


def test_a_child_gets_the_pipe_and_file_size_signals_as_a_shell_would_give_them() -> None:
    ignored = int(run(["grep", "SigIgn", "/proc/self/status"], timeout_s=5).output.split()[1], 16)
    assert not ignored & (1 << (signal.SIGPIPE - 1))
    assert not ignored & (1 << (signal.SIGXFSZ - 1))


def test_run_returns_code_and_everything_printed(tmp_path: Path) -> None:
    done = run(["sh", "-c", "pwd; echo $WORD; echo oops >&2; exit 3"], timeout_s=5, cwd=tmp_path, env={"WORD": "hello"})
    assert done.code == 3
    assert done.output.splitlines() == [str(tmp_path), "hello", "oops"]


def test_run_does_not_wait_longer_than_asked() -> None:
    before = time.monotonic()
    with pytest.raises(subprocess.TimeoutExpired):
        run(SLEEP, timeout_s=0.3)
    assert time.monotonic() - before < 10


def test_a_missing_program_is_named() -> None:
    with pytest.raises(FileNotFoundError, match="no-such-program"):
        spawn(["no-such-program"])


def test_a_file_that_cannot_be_executed_ends_with_one_line(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"\0 no program")
    program.chmod(0o755)
    done = run([program], timeout_s=5)
    assert (done.code, done.output) == (1, f"{program}: Exec format error\n")


def test_a_daemon_outlives_its_parent_and_can_be_ended_by_its_identity() -> None:
    process, child = parent(f"print(spawn({SLEEP}, daemon=True).pid, flush=True)")
    assert process.wait(10) == 0
    process.communicate()
    adopted = Adopted(child)
    assert adopted.poll() is None
    adopted.terminate(5)
    assert adopted.poll() == 0
    adopted.kill()


def test_a_process_that_took_over_a_pid_is_never_hit() -> None:
    bystander = spawn(SLEEP)
    earlier = replace(identity_of(bystander.pid), start_ticks=1)
    assert Adopted(earlier).poll() == 0
    Adopted(earlier).kill()
    Adopted(earlier).terminate(0.1)
    assert bystander.poll() is None
    bystander.kill()


def test_a_zombie_counts_as_gone() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    deadline = time.monotonic() + 5
    while ProcessIdentity.of(process.pid) is not None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert ProcessIdentity.of(process.pid) is None
    os.kill(process.pid, 0)
    process.wait(5)
