"""A capture as it is ordered, and the way from there to one that can run; commands and service use it alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, model_validator

from crep.harness.brokers.contract import Endpoint
from crep.harness.brokers.registry import adapter
from crep.harness.brokers.streams import SourceSpec
from crep.harness.config.errors import UsageError
from crep.harness.config.units import PositiveDuration, Size
from crep.replay.archive import Archive, Rolling
from crep.replay.capture import Capture
from crep.replay.job import Count

Reach = Callable[[str], Endpoint]
"""Target → where its broker is. Raises CrepError."""


_WrittenDuration = Annotated[PositiveDuration, PlainSerializer(lambda seconds: f"{seconds:.9g} s", return_type=str)]
_WrittenSize = Annotated[Size, PlainSerializer(lambda size: f"{size} B", return_type=str)]
"""What is written into JSON can be read again."""


class CaptureOrigin(BaseModel):
    """A place of a broker that exists: Kafka topics, or one Solace queue."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    target: str = Field(description="a target's name")
    topics: tuple[str, ...] = Field((), description="Kafka: topics")
    queue: str | None = Field(None, description="Solace: a queue, whose messages are taken out of it")
    vpn: str | None = Field(None, description="Solace: message VPN, instead of the target's")
    group: str | None = Field(
        None, description="Kafka: consumer group, which says where a later capture goes on; default: by the archive"
    )
    topic_header: str | None = Field(None, description="Kafka: the header that holds a message's topic")

    @model_validator(mode="after")
    def _one_place(self) -> CaptureOrigin:
        if bool(self.topics) == (self.queue is not None):
            raise ValueError("needs either 'topics' (Kafka) or 'queue' (Solace)")
        return self


class CaptureLimits(BaseModel):
    """When a capture ends by itself; with neither it goes on until it is stopped."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: Count | None = Field(None, description="end after so many new messages")
    idle: _WrittenDuration | None = Field(None, description="end when nothing came for so long")


class CaptureRolling(BaseModel):
    """When a segment is closed, and how long segments are kept; see ``archive.Rolling``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    roll_size: _WrittenSize = Field(Rolling.after_bytes, description="close a segment at this size")
    roll_time: _WrittenDuration = Field(Rolling.after_s, description="or after this time")
    keep: _WrittenDuration | None = Field(None, description="remove segments older than this")
    keep_size: _WrittenSize | None = Field(None, description="remove the oldest segments above this size in all")

    def rolling(self) -> Rolling:
        """As an archive takes it."""
        return Rolling(self.roll_size, self.roll_time, self.keep, self.keep_size)


def open_capture(
    origin: CaptureOrigin,
    limits: CaptureLimits,
    reach: Reach,
    folder: Path,
    *,
    since: int | None = None,
    rolling: Rolling | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[Capture, Archive]:
    """A capture that can run, and the archive at ``folder`` (made where it is not there) that it will close.

    Args:
        origin: what is captured.
        limits: when it ends.
        reach: where targets are.
        folder: of the archive.
        since: the archive's next sequence when this capture was begun for the first time, if it is gone on with: what
            was stored since then counts for the limit.
        rolling: see ``Archive``.
        say: see ``Archive``.

    Raises:
        UsageError: the place does not go with the target's system, or the archive holds messages of another place.
        EnvironmentFailure: the broker is out of reach, or another process captures into the archive.
    """
    endpoint = reach(origin.target)
    wanted = "topics" if endpoint.system == "kafka" else "queue"
    if (origin.queue is None) != (wanted == "topics"):
        raise UsageError(
            f"target {origin.target!r} is {endpoint.system}: a capture from there needs {wanted!r}",
            hint="Kafka: topics; Solace: a queue",
        )
    if origin.vpn is not None:
        endpoint = replace(endpoint, vpn=origin.vpn)
    places = origin.topics if origin.queue is None else (origin.queue,)
    described = {"target": origin.target, "place": ",".join(places), "system": endpoint.system}
    archive = Archive(folder, described, rolling, say)
    # Named after this archive and not another of its name, so that a new one begins at the beginning. A static member:
    # after a kill the group does not wait 45 s for the one that is gone before it gives its partitions.
    name = f"crep-capture-{folder.name}-{archive.manifest.id[:8]}"
    try:
        source = adapter(endpoint.system).source(
            SourceSpec(
                endpoint,
                name,
                places,
                (origin.group or name) if wanted == "topics" else None,
                {"group.instance.id": name} if wanted == "topics" else {},
                topic_header=origin.topic_header,
            )
        )
    except BaseException:
        archive.leave()
        raise
    stored = 0 if since is None else archive.next_sequence - since
    limit = None if limits.limit is None else limits.limit - stored
    return Capture(source, archive, limit=limit, idle_s=limits.idle), archive
