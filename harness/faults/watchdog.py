"""The watchdog: a child that outlives crep by the moments that it takes to heal what crep left behind.

::

    crep ── pipe (nothing is ever written) ──► watchdog: waits for its end of file
      │                                            │
      └─ journal: written before each injection    └─ end of file: crep has ended, in whichever way
                                                        journal still there? heal what it says

The kernel closes the pipe when crep is gone, also after SIGKILL; crep's own children never hold its other end. The
watchdog leads a session of its own, so no Ctrl-C reaches it, and it imports what healing needs only when it heals.

``python -m crep.harness.faults.watchdog JOURNAL`` runs it; `Watchdog` starts it.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from crep.harness.config.errors import EnvironmentFailure
from crep.harness.processes import PIPE, Child, spawn

if TYPE_CHECKING:
    from crep.harness.faults.undo import Undo

_END_WITHIN_S = 10.0


class Watchdog:
    """Crep's side. From any thread."""

    def __init__(self) -> None:
        from crep.harness.faults.journal import own_journal  # noqa: PLC0415 - the child must not pay for it

        self._journal = own_journal()
        self._lock = threading.Lock()
        command = [sys.executable, "-m", "crep.harness.faults.watchdog", str(self._journal.path)]
        self._child: Child = spawn(command, stdin=PIPE, daemon=True)

    @property
    def pid(self) -> int:
        """Process id of the child."""
        return self._child.pid

    def hold(self, number: int, action: str, subject: str, undo: Sequence[Undo]) -> None:
        """Before a fault is injected: this is how it is undone. Nothing is held where nothing needs to be.

        Raises:
            EnvironmentFailure: nobody could heal it, so it must not be injected.
        """
        from crep.harness.faults.journal import OpenFault  # noqa: PLC0415

        if not undo:
            return
        if self._child.poll() is not None:
            raise EnvironmentFailure("the watchdog that would heal this fault has ended, so it is not injected")
        with self._lock:
            since = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
            self._journal.faults[number] = OpenFault(action, subject, since, tuple(undo))
            self._journal.write()

    def release(self, number: int) -> None:
        """The fault is healed, or was never injected."""
        with self._lock:
            if self._journal.faults.pop(number, None) is not None:
                self._journal.write()

    def close(self) -> None:
        """Let it end; it heals first what is still held."""
        if self._child.stdin is not None:
            self._child.stdin.close()
        try:
            self._child.wait(_END_WITHIN_S)
        except subprocess.TimeoutExpired:
            return  # it is healing, and ends by itself
        self._child.kill()


def main(path: Path) -> int:
    """Wait for the end of whoever holds our standard input, then heal; returns an exit code."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it ends with crep, and only then
    sys.stdin.buffer.read()
    if not path.exists():
        return 0
    from crep.harness.faults.journal import read_journal  # noqa: PLC0415 - a second of imports, rarely needed

    journal = read_journal(path)
    if journal is None:
        return 0
    for _ in journal.heal():
        pass
    return 0 if journal.healed else 3


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
