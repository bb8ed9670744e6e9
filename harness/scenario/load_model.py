"""The language of ``load:``: publishers, what their messages look like, and when these are sent."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from crep.harness.config.units import PositiveDuration, Rate, Size
from crep.harness.config.units import Share as Fraction
from crep.harness.scenario.parts import NOT_YET, Count, Name, Part, Scalar


class SizeShare(Part):
    """One size and how many of the messages have it."""

    size: Size
    share: Fraction = Field(description="per cent of the messages")


class Message(Part):
    """What a message looks like. Sizes are of the payload, with crep's 40-byte stamp where the payload carries it."""

    size: Size | None = Field(None, description="payload bytes")
    sizes: list[SizeShare] | None = Field(None, min_length=1, description="instead of `size`: several, by share")
    file: str | None = Field(
        None,
        description="instead of `size`: a file of documents, one a line; key k carries line k modulo their number. Its "
        "path is relative to the scenario",
    )
    properties: dict[str, Scalar] | None = Field(
        None, description="user properties (Solace) or headers (Kafka) that each message carries"
    )
    ttl: PositiveDuration | None = Field(
        None, description="time to live: a reader that comes later gets the message no more"
    )
    priority: Annotated[Annotated[int, Field(strict=True, ge=0, le=9)] | None, NOT_YET] = Field(
        None, description="0 to 9"
    )

    @model_validator(mode="after")
    def _one_kind_of_size(self) -> Message:
        if sum(value is not None for value in (self.size, self.sizes, self.file)) != 1:
            raise ValueError("needs one of 'size', 'sizes' and 'file'")
        if self.sizes is not None and abs(sum(choice.share for choice in self.sizes) - 1) > 1e-9:
            total = sum(choice.share for choice in self.sizes)
            raise ValueError(f"the shares of 'sizes' add up to {total * 100:.6g} %, not to 100 %")
        return self

    @property
    def size_choices(self) -> tuple[tuple[int, float], ...]:
        """Bytes and fraction of each size; none of documents."""
        if self.sizes is not None:
            return tuple((choice.size, choice.share) for choice in self.sizes)
        return ((self.size, 1.0),) if self.size is not None else ()


class Hold(Part):
    """A constant rate."""

    hold: Rate = Field(description="messages per time, over all publishers")
    for_: PositiveDuration = Field(alias="for")


class Ramp(Part):
    """A rate that changes linearly."""

    ramp: Rate = Field(description="the rate at the end")
    over: PositiveDuration
    from_: Rate | None = Field(None, alias="from", description="the rate at the start; default the one before")


class Burst(Part):
    """Bursts on top of the rate before, which holds between them."""

    burst: Rate = Field(description="the rate during a burst")
    for_: PositiveDuration = Field(alias="for", description="length of one burst")
    every: PositiveDuration | None = Field(None, description="from one burst to the next; default its length")
    times: Count = Field(1, description="how many")


class Sine(Part):
    """A rate that swings as a sine wave, like the load of a day; it begins at its lowest."""

    sine: Rate = Field(description="the highest rate")
    from_: Rate | None = Field(None, alias="from", description="the lowest rate; default the one before")
    period: PositiveDuration = Field(description="from one lowest rate to the next")
    for_: PositiveDuration | None = Field(None, alias="for", description="default one period")


def _segment(value: object) -> str | None:
    words = value if isinstance(value, dict) else ()
    return next((f"<{word}>" for word in ("hold", "ramp", "burst", "sine") if word in words), None)


SegmentPart = Annotated[
    Annotated[Hold, Tag("<hold>")]
    | Annotated[Ramp, Tag("<ramp>")]
    | Annotated[Burst, Tag("<burst>")]
    | Annotated[Sine, Tag("<sine>")],
    Discriminator(
        _segment,
        custom_error_type="segment",
        custom_error_message="is no part of a profile; write {hold: 2000/s, for: 30 s}, {ramp: 5000/s, over: 10 s}, "
        "{burst: 9000/s, for: 1 s, every: 5 s, times: 3} or {sine: 5000/s, from: 1000/s, period: 60 s}",
    ),
]


class RateProfile(Part):
    """The load profile: how many messages are meant to be sent when, over all publishers of the entry."""

    total: list[SegmentPart] | None = Field(None, min_length=1, description="parts, one after the other")
    recorded: str | None = Field(
        None,
        description="instead of `total`: a file of arrivals, one time in seconds a line, that are sent again as they "
        "came; its path is relative to the scenario",
    )
    arrivals: Literal["even", "poisson"] = Field(
        "even",
        description="even: at equal distances; poisson: at random, as from many independent clients, with the profile "
        "as mean rate (the seed fixes them)",
    )

    @model_validator(mode="after")
    def _one_kind_of_profile(self) -> RateProfile:
        if (self.total is None) == (self.recorded is None):
            raise ValueError("needs either 'total' or 'recorded'")
        if self.recorded is not None and self.arrivals != "even":
            raise ValueError("recorded arrivals are sent as they came: take out 'arrivals', or write 'total'")
        return self


class DefectShares(Part):
    """Messages that are meant to go wrong; which ones is fixed by the seed."""

    poison: Fraction | None = Field(
        None, description="per cent that every reader with `dead_letters` fails to process, at each delivery"
    )
    oversize: Fraction | None = Field(
        None, description="per cent that are twice as large as the channel takes (`max_size`)"
    )


class Load(Part):
    """Publishers of one channel."""

    to: Name = Field(description="the channel")
    publishers: Count = Field(1, description="publishing clients")
    mode: Literal["guaranteed", "direct"] = Field(
        "guaranteed", description="guaranteed: each message is acknowledged; direct: sent without acknowledgement"
    )
    message: Message
    rate: RateProfile
    defects: DefectShares | None = Field(None, description="messages that are meant to go wrong; default none")
    replay: Annotated[str | None, NOT_YET] = Field(None, description="an archive that is sent instead")
