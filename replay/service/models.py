"""What goes over the REST interface: orders for jobs, and jobs, archives and targets as they are shown."""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from crep.replay.capturing import CaptureLimits, CaptureOrigin, CaptureRolling
from crep.replay.job import Job as Replay
from crep.replay.job import PaceText, ReplayId
from crep.replay.service.jobs import Job
from crep.replay.service.names import archive_name
from crep.replay.service.states import Action, State, possible

ArchiveName = Annotated[str, AfterValidator(archive_name)]


def new_id() -> str:
    """Names a job; ids sort by time."""
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(3)}"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class ReplayOrder(Replay):
    """A replay, as ``crep replay run`` takes it; ``from.archive`` is the name of one of the service's archives."""

    kind: Literal["replay"]
    id: ReplayId = Field(default_factory=new_id, description="names the job; default: a new name")

    @model_validator(mode="after")
    def _within_the_service(self) -> ReplayOrder:
        if self.origin.archive is not None:
            archive_name(self.origin.archive)
        if self.to.settings:
            raise ValueError("'to.settings' is not taken over the network: write client settings into the targets file")
        return self


class CaptureOrder(CaptureLimits, CaptureRolling):
    """A capture into an archive of the service."""

    kind: Literal["capture"]
    id: ReplayId = Field(default_factory=new_id, description="names the job; default: a new name")
    archive: ArchiveName = Field(description="name of the archive; made where it is not there")
    origin: CaptureOrigin = Field(alias="from")


JobOrder = Annotated[CaptureOrder | ReplayOrder, Field(discriminator="kind")]


class PaceOrder(_Part):
    """Another pace for a replay."""

    pace: PaceText


class Trouble(BaseModel):
    """Why a job failed or was interrupted."""

    what: str
    hint: str | None = None


class JobView(BaseModel):
    """A job as it is now."""

    id: str
    kind: Literal["capture", "replay"]
    state: State
    actions: list[Action] = Field(description="what can be done to it now")
    order: dict[str, Any] = Field(description="as it was given, with the pace that is in force")
    progress: dict[str, Any] = Field(description="counts so far; capture and replay count other things")
    ledger: dict[str, Any] | None = Field(description="what became of every message, once its process has ended")
    trouble: Trouble | None = None
    created: datetime
    started: datetime | None
    ended: datetime | None
    revision: int = Field(description="rises with every change of any job; the id of its events")

    @classmethod
    def of(cls, job: Job) -> JobView:
        """What the store knows of it."""
        return cls(
            id=job.id,
            kind="capture" if job.kind == "capture" else "replay",
            state=job.state,
            actions=[action for action in possible(job.state) if action is not Action.PACE or job.kind == "replay"],
            order=job.spec,
            progress=job.progress,
            ledger=job.ledger,
            trouble=None if job.trouble is None else Trouble(**job.trouble),
            created=_utc(job.created),
            started=None if job.started is None else _utc(job.started),
            ended=None if job.ended is None else _utc(job.ended),
            revision=job.revision,
        )


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


class ArchiveView(BaseModel):
    """An archive; messages that a capture under way has not put into a segment yet are not counted."""

    name: str
    source: dict[str, str]
    messages: int
    bytes: int
    first: datetime | None
    last: datetime | None
    segments: int
    removed: int = Field(description="messages that retention has removed")
    damage: str | None = Field(description="why nothing can be said of it")


class DryRun(BaseModel):
    """What a replay would send; nothing was sent. ``bytes``: of payloads."""

    count: int
    bytes: int
    first: datetime | None = Field(description="original time of the first message")
    last: datetime | None
    topics: dict[str, int] = Field(description="messages by topic, as it would be sent")


class TargetView(BaseModel):
    """A target that jobs can name; where it is and how it is logged in to stay on the server."""

    name: str
    system: str
    source: str


class Health(BaseModel):
    """Whether the service works."""

    state: Literal["running", "stopping"]
    version: str
