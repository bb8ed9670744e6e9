"""A replay as it is ordered: what, from where, to where, how fast. The same words in Python, JSON and the service."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)

from crep.replay.pacing import PACE_FORMS, Pace
from crep.replay.remap import Rule, topic_expression

Scalar = Annotated[str | int | float | bool, Field(union_mode="smart")]
Count = Annotated[int, Field(strict=True, gt=0)]
WINDOW = 5000


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


def _replay_id(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}", text):
        raise ValueError(
            f"{text!r} is no replay id: small letters, digits and '-', at most 63, for example orders-friday"
        )
    return text


ReplayId = Annotated[str, AfterValidator(_replay_id)]
PaceText = Annotated[
    Pace,
    BeforeValidator(Pace.parse),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "description": PACE_FORMS, "examples": ["original", "x10", "2000/s", "fastest"]}),
]


def _pattern(text: str) -> str:
    topic_expression(text)
    return text


class Origin(_Part):
    """Where the messages are: in an archive, or in the broker's own storage (native replay)."""

    archive: str | None = Field(None, description="folder of an archive that `crep replay capture` made")
    target: str | None = Field(None, description="a target: its broker's own storage is read")
    vpn: str | None = Field(None, description="Solace: message VPN, instead of the target's")
    topics: tuple[str, ...] = Field((), description="with target: Kafka topics, or Solace topic subscriptions")
    offsets: dict[int, Annotated[int, Field(ge=0)]] = Field(
        default_factory=dict, description="Kafka, one topic: partition → first offset; other partitions are left out"
    )
    after: str | None = Field(None, description="Solace: replication group message id; what was stored behind it")
    topic_header: str | None = Field(None, description="Kafka: the header that holds a message's topic")

    @model_validator(mode="after")
    def _one(self) -> Origin:
        if (self.archive is None) == (self.target is None):
            raise ValueError("needs either 'archive' (a folder) or 'target' (native replay from its broker)")
        if self.target is not None and not self.topics:
            raise ValueError("native replay needs 'topics': Kafka topics, or Solace subscriptions such as 'orders/>'")
        native = {"vpn": self.vpn, "topics": self.topics, "offsets": self.offsets, "after": self.after}
        for name, value in native.items():
            if self.archive is not None and value:
                raise ValueError(f"{name!r} goes with 'target', not with 'archive'")
        if self.offsets and len(self.topics) != 1:
            raise ValueError("'offsets' are of one topic")
        return self


class Select(_Part):
    """Which messages; what is not said selects all. All conditions hold together."""

    begin: AwareDatetime | None = Field(None, alias="from", description="of this time or later")
    until: AwareDatetime | None = Field(None, description="before this time")
    topic: Annotated[str, AfterValidator(_pattern)] | None = Field(
        None, description="levels by '/', '*' within a level, '>' at the end for all further levels"
    )
    key: str | None = Field(None, description="the whole key")
    properties: dict[str, str] = Field(default_factory=dict, description="property → its value as text")
    payload: str | None = Field(None, description="regular expression (RE2), found anywhere in a payload that is text")
    limit: Count | None = Field(None, description="the first so many of these")
    times: Literal["captured", "broker"] = Field(
        "captured", description="which time counts, here and for the pace: of the capture, or the broker's (Kafka)"
    )

    @model_validator(mode="after")
    def _ordered(self) -> Select:
        if self.begin is not None and self.until is not None and self.begin >= self.until:
            raise ValueError("'from' must be before 'until'")
        return self


class Remap(_Part):
    """A topic pattern and what such a topic becomes: ``{1}`` is what the first wildcard stands for."""

    topic: Annotated[str, AfterValidator(_pattern)] = Field(description="pattern, as in `select`")
    to: str = Field(description="the new topic: {topic}, and {1}, {2} … for the wildcards of the pattern")

    @model_validator(mode="after")
    def _makes_sense(self) -> Remap:
        Rule(self.topic, self.to)
        return self


class Destination(_Part):
    """Where the messages go."""

    target: str
    vpn: str | None = Field(None, description="Solace: message VPN, instead of the target's")
    topic: str | None = Field(None, description="Kafka: every message goes to this Kafka topic …")
    topic_header: str | None = Field(None, description="… and its own topic stands in this header")
    settings: dict[str, Scalar] = Field(default_factory=dict, description="settings of the client library")


class Job(_Part):
    """One replay. ``Job.model_validate_json(job.model_dump_json(by_alias=True))`` gives it back."""

    id: ReplayId = Field(description="names the replay: the same id goes on where it was ended, and never sends twice")
    origin: Origin = Field(alias="from")
    to: Destination
    select: Select = Field(default_factory=lambda: Select.model_validate({}))
    remap: tuple[Remap, ...] = Field((), description="the first rule whose pattern matches; none: the topic stays")
    pace: PaceText = Pace(speed=1.0)
    window: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] = Field(
        WINDOW, description="sent and not yet in the checkpoint, at most: what a kill can make come twice"
    )

    def identity(self, archive: str) -> dict[str, Any]:
        """What makes it this replay: all but how fast and in what portions, which may differ when it goes on.

        Args:
            archive: its own id; the folder may be moved meanwhile.
        """
        shown: dict[str, Any] = json.loads(self.model_dump_json(by_alias=True, exclude={"pace", "window"}))
        shown["from"]["archive"] = archive
        del shown["to"]["settings"]
        return shown
