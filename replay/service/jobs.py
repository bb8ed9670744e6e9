"""Jobs on disk: one SQLite file, written by one service, read again when the service starts.

Every change gives the job the next *revision*, which readers of the event stream use to see what they have missed.
"""

from __future__ import annotations

import fcntl
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import orjson

from crep.harness.config.errors import EnvironmentFailure, UsageError
from crep.replay.service.states import ENDED, State

_SCHEMA = 1
_TABLE = """
CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    spec TEXT NOT NULL,
    progress TEXT NOT NULL,
    ledger TEXT,
    trouble TEXT,
    goes_on INTEGER NOT NULL,
    created REAL NOT NULL,
    started REAL,
    ended REAL,
    revision INTEGER NOT NULL
)
"""
_COLUMNS = "id, kind, state, spec, progress, ledger, trouble, goes_on, created, started, ended, revision"
_ROW = ", ".join("?" for _ in _COLUMNS.split(","))

Document = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """One job. Times are Unix seconds.

    ``spec`` is what was asked, as the REST models write it; ``progress`` and ``ledger`` are what the job's process told
    last. ``trouble`` says why the job failed or was interrupted (``what`` and ``hint``). ``goes_on``: the service ended
    while the job ran, so that the next start takes it up again.
    """

    id: str
    kind: str
    state: State
    spec: Document
    progress: Document
    created: float
    ledger: Document | None = None
    trouble: Document | None = None
    goes_on: bool = False
    started: float | None = None
    ended: float | None = None
    revision: int = 0


def new_job(job_id: str, kind: str, spec: Document) -> Job:
    """A job that is about to run."""
    now = time.time()
    return Job(job_id, kind, State.RUNNING, spec, {}, created=now, started=now)


class JobStore:
    """The jobs of one service. Safe to be used by several threads.

    Args:
        path: of the SQLite file; made where it is not there.
        keep: jobs that have ended are forgotten, oldest first, beyond so many.
        changed: called after every change, on the thread that made it.

    Raises:
        EnvironmentFailure: another service uses the file, or it cannot be written.
        UsageError: the file is no store of jobs, or of a later version.
    """

    def __init__(self, path: Path, *, keep: int = 1000, changed: Callable[[], None] = lambda: None) -> None:
        self._path, self._keep, self._changed = path, keep, changed
        self._mutex = threading.RLock()
        self._lock = _locked(path)
        try:
            self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._prepare()
        except sqlite3.DatabaseError as error:
            self._lock.close()
            raise UsageError(f"{path} is no store of jobs: {error}", hint="name another file with --state") from None

    def _prepare(self) -> None:
        # WAL and NORMAL: what was committed outlives a SIGKILL; a power cut may take the last changes, and the jobs'
        # own checkpoints, which are flushed, then tell more than this file (sqlite.org/pragma.html#synchronous).
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        [(version,)] = self._database.execute("PRAGMA user_version")
        if version == 0:
            self._database.execute(_TABLE)
            self._database.execute(f"PRAGMA user_version = {_SCHEMA}")
        elif version != _SCHEMA:
            raise UsageError(f"{self._path}: schema {version} is not understood by this version, which has {_SCHEMA}")
        [(last,)] = self._database.execute("SELECT coalesce(max(revision), 0) FROM jobs")
        self._revision = int(last)

    @property
    def revision(self) -> int:
        """Of the latest change."""
        return self._revision

    def add(self, job: Job) -> Job:
        """Keep a new job."""
        with self._mutex:
            kept = self._write(job)
            self._prune()
        self._changed()
        return kept

    def change(self, job_id: str, how: Callable[[Job], Job]) -> Job:
        """Change a job in one step, so that two threads cannot overwrite each other.

        Raises:
            KeyError: there is none.
        """
        with self._mutex:
            before = self.get(job_id)
            after = how(before)
            if after == before:
                return before
            kept = self._write(after)
        self._changed()
        return kept

    def _write(self, job: Job) -> Job:
        self._revision += 1
        kept = replace(job, revision=self._revision)
        self._database.execute(f"INSERT OR REPLACE INTO jobs ({_COLUMNS}) VALUES ({_ROW})", _values(kept))  # noqa: S608
        return kept

    def _prune(self) -> None:
        ended = sorted((job for job in self.all() if job.state in ENDED), key=lambda job: job.created)
        for job in ended[: max(0, len(ended) - self._keep)]:
            self._database.execute("DELETE FROM jobs WHERE id = ?", [job.id])

    def forget(self, job_id: str) -> None:
        """Remove a job."""
        with self._mutex:
            self._database.execute("DELETE FROM jobs WHERE id = ?", [job_id])
            self._revision += 1
        self._changed()

    def get(self, job_id: str) -> Job:
        """One job.

        Raises:
            KeyError: there is none.
        """
        for job in self._select("WHERE id = ?", [job_id]):
            return job
        raise KeyError(job_id)

    def all(self, *, after: int = 0) -> list[Job]:
        """Every job that was changed after that revision, the latest made first."""
        return self._select("WHERE revision > ? ORDER BY created DESC, id", [after])

    def _select(self, where: str, values: Iterable[Any]) -> list[Job]:
        with self._mutex:
            rows = self._database.execute(f"SELECT {_COLUMNS} FROM jobs {where}", list(values)).fetchall()  # noqa: S608
        return [_job(row) for row in rows]

    def close(self) -> None:
        """Let another service have the file."""
        with self._mutex:
            self._database.close()
            self._lock.close()


def _values(job: Job) -> tuple[Any, ...]:
    return (
        job.id,
        job.kind,
        job.state.value,
        _text(job.spec),
        _text(job.progress),
        None if job.ledger is None else _text(job.ledger),
        None if job.trouble is None else _text(job.trouble),
        job.goes_on,
        job.created,
        job.started,
        job.ended,
        job.revision,
    )


def _text(document: Document) -> str:
    return orjson.dumps(document).decode()


def _job(row: tuple[Any, ...]) -> Job:
    job_id, kind, state, spec, progress, ledger, trouble, goes_on, created, started, ended, revision = row
    return Job(
        id=job_id,
        kind=kind,
        state=State(state),
        spec=orjson.loads(spec),
        progress=orjson.loads(progress),
        ledger=None if ledger is None else orjson.loads(ledger),
        trouble=None if trouble is None else orjson.loads(trouble),
        goes_on=bool(goes_on),
        created=created,
        started=started,
        ended=ended,
        revision=revision,
    )


def _locked(path: Path) -> IO[str]:
    """The lock of the file, for as long as it is open."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_name(f"{path.name}.lock").open("w")
    except OSError as error:
        raise EnvironmentFailure(f"{path}: {error.strerror}", hint="name another file with --state") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise EnvironmentFailure(
            f"another service keeps its jobs in {path}", hint="end it, or name another file with --state"
        ) from None
    return lock
