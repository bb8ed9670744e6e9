"""The one place that starts a child process. A child never outlives this process, even when that is SIGKILLed.

How that holds on Linux::

    any thread ── spawn() ──► the spawner thread ── fork ──► this file as a script ── execve ──► the program
                              (lives as long              prctl(PR_SET_PDEATHSIG, SIGKILL)
                               as the process)            parent still there?  else exit

* The kernel sends the parent-death signal when the *thread* that forked ends (prctl(2)), so every fork is done by one
  thread that never ends. A child forked from a short-lived worker thread would be shot when the worker is done.
* The signal is set by a tiny script between fork and exec instead of ``preexec_fn``, which runs Python after a fork of
  a process with many threads and can deadlock. ``execve`` keeps the setting; it is lost in set-user-ID programs only.
* Every child leads a session of its own: Ctrl-C at the terminal reaches crep alone, which then ends its children in
  order, and a kill reaches the child's whole process group.

On systems without ``prctl`` children are ended when the interpreter exits, which a SIGKILL of crep does not reach.

This module imports nothing of crep, because it is run as a script in front of every program.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import queue
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import IO

PIPE = subprocess.PIPE
DEVNULL = subprocess.DEVNULL
STDOUT = subprocess.STDOUT

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
_FORK_WAIT_S = 60.0  # a fork takes milliseconds; on a machine that swaps, seconds
_KILL_WAIT_S = 10.0  # a SIGKILLed process is gone within milliseconds unless it hangs in the kernel


class Child:
    """A running program. ``stdin``, ``stdout`` and ``stderr`` are binary pipes where ``PIPE`` was asked for."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self._popen = popen
        self.stdin: IO[bytes] | None = popen.stdin
        self.stdout: IO[bytes] | None = popen.stdout
        self.stderr: IO[bytes] | None = popen.stderr

    @property
    def pid(self) -> int:
        """Process id, which is also the id of its process group."""
        return self._popen.pid

    def poll(self) -> int | None:
        """The exit code (negative: the signal that ended it), None while it runs."""
        return self._popen.poll()

    def wait(self, timeout: float) -> int:
        """Wait for the exit code.

        Raises:
            subprocess.TimeoutExpired: it still runs after ``timeout`` seconds.
        """
        return self._popen.wait(timeout)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process group. Nothing happens when the child is gone already."""
        if self.poll() is None:
            _signal_group(self.pid, number)

    def kill(self) -> None:
        """SIGKILL the process group and wait until the child is gone. Nothing happens when it is gone already.

        Raises:
            subprocess.TimeoutExpired: it hangs in the kernel.
        """
        if self.poll() is None:
            _signal_group(self.pid, signal.SIGKILL)
            self.wait(_KILL_WAIT_S)

    def terminate(self, grace_s: float) -> int:
        """SIGTERM the child, SIGKILL its group after ``grace_s`` seconds.

        Returns:
            The exit code.
        """
        if self.poll() is None:
            self._popen.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.wait(grace_s)
        self.kill()
        return self.wait(_KILL_WAIT_S)

    def release(self) -> None:
        """Close our ends of its pipes; what is left in them is lost. Idempotent."""
        for pipe in (self.stdin, self.stdout, self.stderr):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


class _Spawner:
    """The thread that forks. A forked copy of this process has no such thread and gets its own on first use."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner: int | None = None
        self._jobs: queue.SimpleQueue[tuple[Callable[[], subprocess.Popen[bytes]], Future[subprocess.Popen[bytes]]]]

    def fork(self, job: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
        """Run ``job`` in the spawner thread and return (or raise) what it did."""
        with self._lock:
            if self._owner != os.getpid():
                self._jobs = queue.SimpleQueue()
                threading.Thread(target=self._serve, args=(self._jobs,), name="crep-spawner", daemon=True).start()
                self._owner = os.getpid()
        result: Future[subprocess.Popen[bytes]] = Future()
        self._jobs.put((job, result))
        return result.result(_FORK_WAIT_S)

    @staticmethod
    def _serve(
        jobs: queue.SimpleQueue[tuple[Callable[[], subprocess.Popen[bytes]], Future[subprocess.Popen[bytes]]]],
    ) -> None:
        while True:
            job, result = jobs.get()
            try:
                result.set_result(job())
            except OSError as error:
                result.set_exception(error)


_spawner = _Spawner()
_children: list[Child] = []
_children_lock = threading.Lock()


def spawn(
    args: Sequence[str | os.PathLike[str]],
    *,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    stdin: int | IO[bytes] = DEVNULL,
    stdout: int | IO[bytes] = DEVNULL,
    stderr: int | IO[bytes] = DEVNULL,
    daemon: bool = False,
) -> Child:
    """Start ``args`` (never through a shell).

    Args:
        args: program and arguments; the program is looked up on PATH.
        env: the whole environment of the child; None hands on ours.
        cwd: its working directory.
        stdin: a file, ``PIPE`` or ``DEVNULL``; the same for stdout and stderr (there also ``STDOUT``).
        stdout: see ``stdin``.
        stderr: see ``stdin``.
        daemon: True lets the child outlive this process: only for ``crep broker start``.

    Raises:
        FileNotFoundError: no such program.
        OSError: it cannot be started.
    """
    command = [os.fspath(part) for part in args]
    program = shutil.which(command[0])
    if program is None:
        raise FileNotFoundError(f"no program {command[0]!r} on PATH")
    command[0] = program
    if not daemon and sys.platform == "linux":
        command = [sys.executable, "-I", "-S", __file__, str(os.getpid()), *command]

    def fork() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            env=None if env is None else dict(env),
            cwd=cwd,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )

    child = Child(_spawner.fork(fork))
    if not daemon:
        with _children_lock:
            _children[:] = [other for other in _children if other.poll() is None]
            _children.append(child)
    return child


@dataclass(frozen=True)
class Completed:
    """What a program that `run` waited for left: its exit code and everything it printed."""

    code: int
    output: str


def run(
    args: Sequence[str | os.PathLike[str]],
    *,
    timeout_s: float,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
) -> Completed:
    """Run a program to its end; standard error is part of the output.

    Raises:
        FileNotFoundError: no such program.
        subprocess.TimeoutExpired: it did not end in time and was killed.
    """
    child = spawn(args, env=env, cwd=cwd, stdout=PIPE, stderr=STDOUT)
    try:
        output, _ = child._popen.communicate(timeout=timeout_s)
    finally:
        child.kill()
    return Completed(child.wait(_KILL_WAIT_S), output.decode(errors="replace"))


@dataclass(frozen=True)
class ProcessIdentity:
    """Which process a number means: pids are used again, a pid with its start time is not (Linux).

    ``start_ticks`` is field 22 of ``/proc/<pid>/stat`` (proc(5)): clock ticks since the boot that ``boot`` names.
    """

    pid: int
    start_ticks: int
    boot: str

    @classmethod
    def of(cls, pid: int) -> ProcessIdentity | None:
        """The identity of the process that now has that pid; None when there is none (or only its zombie)."""
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return None
        fields = stat.rpartition(")")[2].split()  # the name before may hold blanks and brackets; field 3 comes first
        if fields[0] in {"Z", "X"}:
            return None
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return cls(pid, int(fields[19]), boot)


def stands_still(pid: int) -> bool:
    """Whether that process was stopped by a signal (SIGSTOP) and not let go on; False where there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] == "T"  # proc(5), field 3


class Adopted:
    """A process that an earlier crep started (``daemon=True``), held so that no other process can be hit."""

    def __init__(self, identity: ProcessIdentity) -> None:
        self.identity = identity

    @property
    def pid(self) -> int:
        """Process id."""
        return self.identity.pid

    def poll(self) -> int | None:
        """None while it runs, else 0: the exit code of a process that is not our child cannot be known."""
        return None if ProcessIdentity.of(self.pid) == self.identity else 0

    def send(self, number: signal.Signals) -> None:
        """Send it a signal. Nothing happens when it is gone already."""
        self._signal(number, 0.0)

    def kill(self) -> None:
        """SIGKILL it and wait until it is gone.

        Raises:
            subprocess.TimeoutExpired: it hangs in the kernel.
        """
        if not self._signal(signal.SIGKILL, _KILL_WAIT_S):
            raise subprocess.TimeoutExpired(f"SIGKILL of process {self.pid}", _KILL_WAIT_S)

    def terminate(self, grace_s: float) -> int:
        """SIGTERM it, SIGKILL it after ``grace_s`` seconds. Returns 0, see `poll`."""
        if not self._signal(signal.SIGTERM, grace_s):
            self.kill()
        return 0

    def _signal(self, number: signal.Signals, timeout_s: float) -> bool:
        """Signal it; True when it is gone in time.

        By a handle, so that the pid cannot change its owner between look and signal (pidfd_open(2)).
        """
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return True
        try:
            if self.poll() is not None:
                return True
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, number)
            gone = select.poll()
            gone.register(handle, select.POLLIN)
            return bool(gone.poll(timeout_s * 1000))
        finally:
            os.close(handle)


def _signal_group(pid: int, number: signal.Signals) -> None:
    # The wrapper is the group's leader from its first instruction (setsid before exec), so pid is the group's id.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)


@atexit.register
def _end_children() -> None:
    deadline = time.monotonic() + _KILL_WAIT_S
    for child in _children:
        if child.poll() is None and time.monotonic() < deadline:
            child.kill()


def _exec_bound(parent: int, command: list[str]) -> None:
    """Bind this process to its parent's life, then become ``command``. Runs in the child only."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        sys.exit(f"prctl(PR_SET_PDEATHSIG): {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent:  # it ended before prctl was called, so the signal will never come
        sys.exit("the parent process has ended")
    for ignored_by_python in (signal.SIGPIPE, signal.SIGXFSZ):  # "ignore" would be handed on through exec
        signal.signal(ignored_by_python, signal.SIG_DFL)
    try:
        os.execv(command[0], command)  # noqa: S606 - exec without a shell is the purpose
    except OSError as error:
        sys.exit(f"{command[0]}: {error.strerror}")


if __name__ == "__main__":
    _exec_bound(int(sys.argv[1]), sys.argv[2:])
