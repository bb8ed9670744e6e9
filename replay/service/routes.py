"""The addresses under ``/api/v1``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Response, Security, status
from fastapi.security import HTTPBearer
from starlette.responses import StreamingResponse

from crep.harness.config.suggest import nearest
from crep.harness.config.targets import Target, find_target
from crep.replay.listing import ArchiveInfo, archive_info, archives
from crep.replay.service import models, problems
from crep.replay.service.dry_run import DryRuns, moment
from crep.replay.service.jobs import Job, new_job
from crep.replay.service.states import Action, State
from crep.replay.service.stream import Changes, events_of
from crep.replay.service.supervisor import Supervisor

API = "/api/v1"
_TEXTS = {
    401: "no token, or a wrong one",
    404: "there is no such thing",
    409: "not possible in this state",
    422: "the request cannot be understood",
    429: "a limit is reached; Retry-After says when to ask again",
    503: "a broker or the machine refuses, or the service stops",
}
_ERRORS: dict[int | str, dict[str, Any]] = {
    code: {"model": problems.ProblemDocument, "description": text, "content": {problems.MEDIA_TYPE: {}}}
    for code, text in _TEXTS.items()
}


@dataclass(frozen=True)
class Service:
    """What requests work on."""

    supervisor: Supervisor
    changes: Changes
    dry_runs: DryRuns
    archives: Path
    targets: Mapping[str, Target]


def of(service: Service) -> APIRouter:
    """Every address."""
    router = APIRouter(prefix=API, responses=_ERRORS, dependencies=[Security(HTTPBearer(auto_error=False))])
    _jobs(router, service)
    _actions(router, service)
    _streams(router, service)
    _archives(router, service)
    return router


def _jobs(router: APIRouter, service: Service) -> None:
    supervisor = service.supervisor

    @router.post("/jobs", status_code=status.HTTP_201_CREATED, tags=["jobs"])
    def create(order: models.JobOrder, response: Response) -> models.JobView:
        """Start a job. The same order under the same id again starts nothing and shows the job that there is."""
        _see_that_it_can_be(order, service)
        job = new_job(order.id, order.kind, order.model_dump(mode="json", by_alias=True))
        kept = supervisor.create(job)
        if kept.created != job.created:
            response.status_code = status.HTTP_200_OK
        response.headers["Location"] = f"{API}/jobs/{kept.id}"
        return models.JobView.of(kept)

    @router.get("/jobs", tags=["jobs"])
    def list_jobs(
        state: Annotated[list[State] | None, Query(description="only jobs in one of these states")] = None,
        kind: Annotated[Literal["capture", "replay"] | None, Query()] = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> list[models.JobView]:
        """Jobs, the latest first."""
        found = [
            job for job in supervisor.store.all() if (state is None or job.state in state) and kind in (None, job.kind)
        ]
        return [models.JobView.of(job) for job in found[:limit]]

    @router.get("/jobs/{job_id}", tags=["jobs"])
    def get(job_id: str) -> models.JobView:
        """One job."""
        return models.JobView.of(supervisor.get(job_id))

    @router.delete("/jobs/{job_id}", status_code=status.HTTP_204_NO_CONTENT, tags=["jobs"])
    def forget(job_id: str) -> None:
        """Forget a job that does not run. What it sent, and the archive, stay as they are."""
        supervisor.act(job_id, Action.FORGET)


def _actions(router: APIRouter, service: Service) -> None:
    supervisor = service.supervisor

    @router.post("/jobs/{job_id}/pause", status_code=status.HTTP_202_ACCEPTED, tags=["jobs"])
    def pause(job_id: str) -> models.JobView:
        """Bring it to a checkpoint and end its process; it no longer counts for the limit."""
        return models.JobView.of(supervisor.act(job_id, Action.PAUSE))

    @router.post("/jobs/{job_id}/resume", status_code=status.HTTP_202_ACCEPTED, tags=["jobs"])
    def resume(job_id: str) -> models.JobView:
        """Go on from the checkpoint: a job that is paused, interrupted or failed."""
        return models.JobView.of(supervisor.act(job_id, Action.RESUME))

    @router.post("/jobs/{job_id}/cancel", status_code=status.HTTP_202_ACCEPTED, tags=["jobs"])
    def cancel(job_id: str) -> models.JobView:
        """End it for good; what is under way is brought to its end and counted."""
        return models.JobView.of(supervisor.act(job_id, Action.CANCEL))

    @router.patch("/jobs/{job_id}", tags=["jobs"])
    def change_pace(job_id: str, order: models.PaceOrder) -> models.JobView:
        """Replay at another speed or rate, from the next message on."""
        if supervisor.get(job_id).kind != "replay":
            raise problems.conflict(f"job {job_id} is a capture: it takes messages as fast as they come")
        return models.JobView.of(supervisor.act(job_id, Action.PACE, str(order.pace)))


def _streams(router: APIRouter, service: Service) -> None:
    def stream(last_event_id: str | None, only: str | None) -> StreamingResponse:
        seen = int(last_event_id) if last_event_id is not None and last_event_id.isdecimal() else 0
        service.changes.see_room()

        def written(job: Job) -> str:
            return models.JobView.of(job).model_dump_json()

        events = events_of(service.supervisor.store, service.changes, written, seen=seen, only=only)
        return StreamingResponse(events, media_type="text/event-stream")

    answers: dict[int | str, dict[str, Any]] = {
        200: {
            "description": "events `job`, each a whole job; ended by the service",
            "content": {"text/event-stream": {}},
        }
    }

    @router.get("/events", response_class=StreamingResponse, responses=answers, tags=["events"])
    async def all_events(last_event_id: Annotated[str | None, Header()] = None) -> StreamingResponse:
        """Every change of every job, as server-sent events; begins with all jobs as they are."""
        return stream(last_event_id, None)

    @router.get("/jobs/{job_id}/events", response_class=StreamingResponse, responses=answers, tags=["events"])
    async def job_events(job_id: str, last_event_id: Annotated[str | None, Header()] = None) -> StreamingResponse:
        """Every change of one job; ends when the job has ended."""
        service.supervisor.get(job_id)
        return stream(last_event_id, job_id)


def _archives(router: APIRouter, service: Service) -> None:
    @router.get("/archives", tags=["archives"])
    def list_archives() -> list[models.ArchiveView]:
        """Every archive of the service."""
        return [_shown(found) for found in archives(service.archives)]

    @router.get("/archives/{name}", tags=["archives"])
    def get_archive(name: str) -> models.ArchiveView:
        """One archive."""
        return _shown(archive_info(_archive(name, service)))

    @router.post("/dry-runs", tags=["archives"])
    def dry_run(order: models.ReplayOrder) -> models.DryRun:
        """What a replay would send: count, bytes, time span and topics. Nothing is sent."""
        _see_that_it_can_be(order, service)
        return service.dry_runs.of(order)

    @router.get("/targets", tags=["archives"])
    def list_targets() -> list[models.TargetView]:
        """The targets that jobs can name."""
        return [
            models.TargetView(name=name, system=target.system, source=target.source)
            for name, target in sorted(service.targets.items())
        ]


def _shown(found: ArchiveInfo) -> models.ArchiveView:
    return models.ArchiveView(
        name=found.name,
        source=found.source,
        messages=found.messages,
        bytes=found.bytes,
        first=moment(found.first_us),
        last=moment(found.last_us),
        segments=found.segments,
        removed=found.removed,
        damage=found.damage,
    )


def _archive(name: str, service: Service) -> Path:
    """The folder of an archive.

    Raises:
        Problem: there is none of that name.
    """
    known = {found.name: service.archives / found.name for found in archives(service.archives)}
    if name not in known:
        raise problems.not_found(f"there is no archive {name!r}{nearest(name, known)}")
    return known[name]


def _see_that_it_can_be(order: models.CaptureOrder | models.ReplayOrder, service: Service) -> None:
    """Names are looked up before a process is started.

    Raises:
        UsageError: there is no such target.
        Problem: there is no such archive.
    """
    if order.origin.target is not None:
        find_target(order.origin.target, service.targets)
    if isinstance(order, models.CaptureOrder):
        return
    find_target(order.to.target, service.targets)
    if order.origin.archive is not None:
        _archive(order.origin.archive, service)
