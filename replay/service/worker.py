"""One process of one job, and the thread that listens to it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import orjson

from crep.harness import processes
from crep.replay.service.jobs import Document, Job

_END_WITHIN_S = 10.0
_LOG_LINES = 1  # of a traceback, the one that says what is wrong


@dataclass(frozen=True)
class Places:
    """Where the service keeps what it works on."""

    archives: Path  # the folder whose folders are archives
    state: Path  # the folder of job store and logs
    targets: Path | None  # a targets file beside the built-in one


class Worker:
    """One process and the thread that listens to it."""

    def __init__(
        self,
        job: Job,
        places: Places,
        told: Callable[[str, Document], None],
        ended: Callable[[str, Document], None],
    ) -> None:
        self._job, self._told, self._ended = job, told, ended
        self._pipes = threading.Lock()
        self._log = places.state / "logs" / f"{job.id}.log"
        self._log.parent.mkdir(exist_ok=True)
        with self._log.open("ab") as log:
            self._child = processes.spawn(
                [sys.executable, "-m", "crep.replay.service.work"],
                stdin=processes.PIPE,
                stdout=processes.PIPE,
                stderr=log,
            )
        self._thread = threading.Thread(target=self._listen, name=f"job-{job.id}", daemon=True)
        self.order(
            {
                "id": job.id,
                "kind": job.kind,
                "spec": job.spec,
                "progress": job.progress,
                "archives": str(places.archives),
                "state": str(places.state),
                "targets": None if places.targets is None else str(places.targets),
            }
        )

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._child.pid

    def start(self) -> None:
        """Listen."""
        self._thread.start()

    def order(self, order: Document) -> None:
        """Tell the process; one that is gone has told, or will tell, how it ended."""
        pipe = self._child.stdin
        with self._pipes, contextlib.suppress(BrokenPipeError):
            if pipe is not None and not pipe.closed:
                pipe.write(orjson.dumps(order) + b"\n")
                pipe.flush()

    def _listen(self) -> None:
        last: Document | None = None
        for line in self._child.stdout or ():
            if not line.endswith(b"\n"):
                break  # it was killed within a line
            said: Document = orjson.loads(line)
            self._told(self._job.id, said)
            last = said if said["event"] == "end" else last
        try:
            code = self._child.wait(_END_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            code = self._child.wait(_END_WITHIN_S)
        with self._pipes:
            self._child.release()
        end = last or self._crash(code)
        if not self._log.stat().st_size:
            self._log.unlink()
        self._ended(self._job.id, end)

    def _crash(self, code: int) -> Document:
        tail = self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES:]
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        what = " · ".join([f"its process {how}", *tail])
        return {"event": "end", "how": "crashed", "what": what, "hint": f"resume it; its log is {self._log}"}

    def join(self, timeout_s: float) -> None:
        """Wait until the process is gone and its end is written down."""
        self._thread.join(timeout_s)

    def kill(self) -> None:
        """For a process that did not stop in time."""
        self._child.kill()
        self._thread.join(_END_WITHIN_S)
