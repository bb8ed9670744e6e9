"""The processes of jobs: one each, so that a client library that crashes takes nothing else with it.

::

    service ── stdin: the job, then orders (one JSON object a line) ──► process of the job
            ◄─ stdout: progress, then how it ended ────────────────────

A child never outlives the service (``harness.processes``); a job whose process is gone goes on from its checkpoint.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from crep.replay.service.jobs import Document, Job, JobStore
from crep.replay.service.problems import Problem, conflict, not_found
from crep.replay.service.states import ENDED, RESUMABLE, WITH_PROCESS, Action, State, following, possible, stopped
from crep.replay.service.worker import Places, Worker

STOP_WITHIN_S = 40.0  # a drain takes 30 s at most
Say = Callable[[str], None]


class Supervisor:
    """Starts, orders and ends the processes of jobs, and writes down what becomes of them.

    Args:
        store: open for as long as this is used.
        places: handed to the processes.
        most: jobs that run at the same time.
        say: takes a line for people at every change of a job's state.
    """

    def __init__(self, store: JobStore, places: Places, most: int, say: Say) -> None:
        self.store, self._places, self.most, self._say = store, places, most, say
        self._mutex = threading.RLock()
        self._working: dict[str, Worker] = {}
        self._stopping = False

    def take_up(self, *, resume: bool) -> None:
        """After a start: jobs that the end of the service interrupted go on (oldest first), or wait to be resumed."""
        for job in reversed(self.store.all()):
            if job.state in WITH_PROCESS:  # the service was killed
                self.store.change(job.id, lambda found: _interrupted(found, "the service was killed"))
        for job in reversed(self.store.all()):
            if job.goes_on and resume:
                try:
                    self.act(job.id, Action.RESUME)
                except Problem as problem:
                    self._say(f"job {job.id} stays interrupted: {problem}")
                    self.store.change(job.id, lambda found: replace(found, goes_on=False))

    def create(self, job: Job) -> Job:
        """Keep a new job and start its process; the same order under the same id again is the job that there is.

        Raises:
            Problem: too many run, the id is another job's, or another job captures into the same archive.
        """
        with self._mutex:
            if (existing := self._existing(job)) is not None:
                return existing
            self._refuse_if_it_cannot_run(job)
            self._begin(self.store.add(job))
            return self.store.get(job.id)

    def act(self, job_id: str, action: Action, pace: str | None = None) -> Job:
        """Do something to a job.

        Raises:
            Problem: there is no such job, or it cannot be done in its state.
        """
        with self._mutex:
            job = self.get(job_id)
            state = following(job.state, action)
            if state is None:
                can = ", ".join(possible(job.state)) or "nothing"
                raise conflict(f"job {job_id} is {job.state}: {action} is not possible", hint=f"possible now: {can}")
            if action is Action.RESUME:
                self._refuse_if_it_cannot_run(job)
            if action is Action.FORGET:
                self.store.forget(job_id)
                return job
            changed = self.store.change(job_id, lambda found: _acted(found, state, action, pace))
            if action is Action.RESUME:
                self._begin(changed)
                changed = self.store.get(job_id)
            elif (worker := self._working.get(job_id)) is not None:
                worker.order(_order(action, pace))
        self._say(f"job {job_id} is {changed.state}")
        return changed

    def get(self, job_id: str) -> Job:
        """One job.

        Raises:
            Problem: there is none.
        """
        try:
            return self.store.get(job_id)
        except KeyError:
            raise not_found(f"there is no job {job_id!r}", hint="GET /api/v1/jobs lists them") from None

    def _existing(self, job: Job) -> Job | None:
        try:
            existing = self.store.get(job.id)
        except KeyError:
            return None
        if {**existing.spec, "pace": None} != {**job.spec, "pace": None}:
            raise conflict(f"job {job.id!r} is another order, made before", hint="choose another id, or leave it out")
        return existing

    def _refuse_if_it_cannot_run(self, job: Job) -> None:
        if self._stopping:
            raise Problem(503, "stopping", "The service stops", "no job is started any more", hint="ask again later")
        if len(self._working) >= self.most:
            raise Problem(
                429,
                "too-many-jobs",
                "Too many jobs run",
                f"{len(self._working)} of at most {self.most} jobs run",
                hint="wait until one ends, pause or cancel one, or start the service with a higher --max-jobs",
                headers={"Retry-After": "5"},
            )
        if job.kind != "capture":
            return
        archive = job.spec["archive"]
        for other in self.store.all():
            if other.kind == "capture" and other.state in WITH_PROCESS and other.spec["archive"] == archive:
                raise conflict(
                    f"job {other.id} captures into archive {archive!r} already",
                    hint="name another archive, or cancel that job first",
                )

    def _begin(self, job: Job) -> None:
        try:
            worker = Worker(job, self._places, self._told, self._ended)
        except OSError as error:
            trouble = {"what": f"its process cannot be started: {error}", "hint": "resume it when the machine has room"}
            self.store.change(job.id, lambda found: replace(found, state=State.INTERRUPTED, trouble=trouble))
            return
        self._working[job.id] = worker
        worker.start()
        self._say(f"job {job.id} ({job.kind}) runs as process {worker.pid}")

    def _told(self, job_id: str, said: Document) -> None:
        """On the thread of a worker."""
        if said["event"] == "progress":
            self.store.change(job_id, lambda found: replace(found, progress=said["progress"]))

    def _ended(self, job_id: str, said: Document) -> None:
        """On the thread of a worker: it is gone, and this is how it ended."""
        with self._mutex:
            changed = self.store.change(job_id, lambda found: _after(found, said, by_service=self._stopping))
            del self._working[job_id]
        trouble = f": {changed.trouble['what']}" if changed.trouble else ""
        self._say(f"job {job_id} is {changed.state}{trouble}")

    def stop(self) -> None:
        """Bring every running job to a checkpoint and end its process; they go on at the next start."""
        with self._mutex:
            self._stopping = True
            workers = list(self._working.values())
        for worker in workers:
            worker.order({"do": "stop"})
        deadline = time.monotonic() + STOP_WITHIN_S
        for worker in workers:
            worker.join(max(0.0, deadline - time.monotonic()))
        for worker in workers:
            worker.kill()


def _order(action: Action, pace: str | None) -> Document:
    if action is Action.PACE:
        return {"do": "pace", "pace": pace}
    return {"do": "cancel" if action is Action.CANCEL else "stop"}


def _acted(job: Job, state: State, action: Action, pace: str | None) -> Job:
    spec = job.spec if pace is None else {**job.spec, "pace": pace}
    if action is Action.RESUME:
        return replace(job, state=state, trouble=None, goes_on=False, ended=None)
    return replace(job, state=state, spec=spec, goes_on=job.goes_on and state in RESUMABLE, ended=_end_of(state))


def _end_of(state: State) -> float | None:
    return time.time() if state in ENDED else None


def _interrupted(job: Job, what: str) -> Job:
    """After the end of the service; what was being paused or cancelled then, is."""
    state = stopped(job.state)
    trouble: dict[str, Any] | None = {"what": what, "hint": "resume it"} if state is State.INTERRUPTED else None
    return replace(job, state=state, trouble=trouble, goes_on=state is State.INTERRUPTED, ended=_end_of(state))


def _after(job: Job, said: Document, *, by_service: bool) -> Job:
    """What a job is after its process told how it ended (``completed``, ``stopped``, ``failed`` or ``crashed``)."""
    how, ledger = said["how"], said.get("ledger", job.ledger)
    progress = said.get("progress", job.progress)
    job = replace(job, ledger=ledger, progress={**progress, "rate_per_s": 0.0})
    if how == "completed":
        return replace(job, state=State.COMPLETED, trouble=None, ended=time.time())
    if how == "stopped" or (how == "crashed" and job.state is State.CANCELLING):
        if job.state is State.RUNNING and by_service:
            return _interrupted(job, "the service was stopped")
        state = stopped(job.state)
        return replace(job, state=state, ended=_end_of(state))
    trouble = {"what": said["what"], "hint": said.get("hint")}
    state = State.FAILED if how == "failed" else State.INTERRUPTED
    return replace(job, state=state, trouble=trouble, goes_on=by_service and how == "crashed", ended=None)
