"""What an administrator does to a running channel, by mistake or on purpose, and what befalls a broker's resources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from crep.harness.brokers.operator import Discard, Gate
from crep.harness.config.units import PositiveDuration, Size
from crep.harness.scenario.actions.base import Action, Json, OnChannel, OnNodes, OnPublishers, OnReader
from crep.harness.scenario.actions.process import UP_AGAIN_S

if TYPE_CHECKING:
    from crep.harness.scenario.model import Definition


class _Lasting(Action):
    """An act that is undone after a while."""

    for_: PositiveDuration = Field(alias="for", description="how long it lasts")


class RevokePermission(OnChannel, _Lasting):
    """Take the right to publish to a channel, or to receive from it, from the clients of the scenario, who stay
    connected; and give it back."""

    do: Literal["revoke-permission"]
    right: Literal["publish", "receive"] = Field(description="which right is taken")

    ENDS = "the right would be given back"
    STILL = "the right that was taken at {at} is not given back then"
    EXCLUSIVE = "permission"

    def parameters(self) -> dict[str, Json]:
        """Which right."""
        return {"right": self.right}


class LimitQueue(OnReader, _Lasting):
    """Lower the quota of a reader's queue, so that what is not read fills it; and raise it again."""

    do: Literal["limit-queue"]
    quota: Size = Field(description="place for messages; Solace counts whole megabytes of 1,000,000 bytes, rounded up")
    tell_publishers: Discard | None = Field(
        None,
        description="whether the publisher of a discarded message is told (rejectMsgToSenderOnDiscardBehavior); "
        "default: as provisioned, when-queue-enabled",
    )

    ENDS = "the quota would be raised again"
    STILL = "the quota that was lowered at {at} is not raised again then"
    EXCLUSIVE = "quota"

    def parameters(self) -> dict[str, Json]:
        """The quota, and what publishers are told."""
        return {"quota_bytes": self.quota, "tell_publishers": self.tell_publishers}


class ShutQueue(OnReader, _Lasting):
    """Shut the ingress or the egress of a reader's queue, and open it again."""

    do: Literal["shut-queue"]
    gate: Gate = Field(description="in: the queue takes nothing; out: it gives nothing, its members are unbound")
    tell_publishers: Discard | None = Field(
        None, description="with gate in: whether the publisher of a discarded message is told, as of limit-queue"
    )

    ENDS = "the queue would be opened again"
    STILL = "the queue that was shut at {at} is not opened again then"
    EXCLUSIVE = "gate"

    def parameters(self) -> dict[str, Json]:
        """Which side."""
        return {"gate": self.gate, "tell_publishers": self.tell_publishers}

    def problems(self, definition: Definition) -> Iterator[tuple[str, str]]:
        """Nobody is told of a message that a queue does not give."""
        yield from super().problems(definition)
        if self.gate == "out" and self.tell_publishers is not None:
            yield "tell_publishers", "a queue that gives nothing discards nothing: it goes with 'gate: in'"


class ThrottlePublishers(OnPublishers, _Lasting):
    """Let publishers send no more than so many bytes a second: the broker slows them down, and refuses nothing."""

    do: Literal["throttle-publishers"]
    per_second: Size = Field(description="bytes a second that each of them may send")

    ENDS = "they would send as they can again"
    STILL = "publishers that were throttled at {at} still are then"
    EXCLUSIVE = "rate"

    def parameters(self) -> dict[str, Json]:
        """The rate."""
        return {"bytes_per_s": self.per_second}


class DisconnectPublishers(OnPublishers):
    """End the connections of publishers by the broker's administration; their client library connects again."""

    do: Literal["disconnect-publishers"]


class DisconnectReader(OnReader):
    """End the connections of a reader's members by the broker's administration; they connect again."""

    do: Literal["disconnect-reader"]


class FillDisk(OnNodes, _Lasting):
    """Let no file of a broker process grow, as if its disk were full; and make room again."""

    do: Literal["fill-disk"]
    room: Size = Field(65_536, description="bytes up to which a file may still grow")

    ENDS = "there would be room again"
    STILL = "the disk that was filled at {at} is still full then"
    EXCLUSIVE = "process"  # a node that is started anew meanwhile has no limit
    AT_RANDOM: ClassVar[Mapping[str, Json] | None] = {"node": "random", "for": "2 s"}
    SETTLES_S = UP_AGAIN_S  # one that ended of it is started again

    def parameters(self) -> dict[str, Json]:
        """The room that is left."""
        return {"room_bytes": self.room}


class BadCertificate(OnNodes, _Lasting):
    """Restart a broker with a certificate that its clients must not trust, and once more with the good one."""

    do: Literal["bad-certificate"]
    kind: Literal["expired", "unknown"] = Field(description="out of date, or of an authority that nobody trusts")

    ENDS = "the good certificate would be back"
    STILL = "the certificate that was exchanged at {at} is not back then"
    EXCLUSIVE = "process"

    def parameters(self) -> dict[str, Json]:
        """Which certificate."""
        return {"kind": self.kind}
