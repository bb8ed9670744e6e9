"""METHOD rule 17: the volume that a business asks for, as a rate, with what it needs on disk beside it. Pure.

Asked per second = messages a day × peak factor / 86,400. What a broker must keep is what comes in on its days of
retention, at the daily mean, on each copy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from crep.harness.scenario.daily import DAY_S, Daily


class Asked(BaseModel):
    """The asked volume beside what the run carried. Bytes are of payloads, on each copy; None: not known."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    messages_per_day: int
    peak: float
    asked_per_s: float
    carried_per_s: float  # acknowledged, or sent where nothing is acknowledged
    kept_s: float | None  # the shortest retention of its topics
    needed_bytes: float | None
    free_bytes: int | None

    @property
    def carried(self) -> bool:
        """Whether the run carried the asked rate; a run that was not asked to says nothing of more."""
        return self.carried_per_s >= 0.99 * self.asked_per_s

    def __str__(self) -> str:
        asked = f"{self.messages_per_day:,} messages a day × {self.peak:g} = {self.asked_per_s:,.1f}/s"
        did = f"the run carried {self.carried_per_s:,.1f}/s: {'enough' if self.carried else 'not enough'}"
        if self.kept_s is None or self.needed_bytes is None:
            return f"{asked}; {did}; how long messages are kept is not known"
        disk = f"kept for {self.kept_s / DAY_S:g} days they need {self.needed_bytes / 1e9:,.1f} GB on each copy"
        if self.free_bytes is None:
            return f"{asked}; {did}; {disk}; the free space of the broker's disk is not known"
        fits = "they fit" if self.needed_bytes < self.free_bytes else "they do not fit"
        return f"{asked}; {did}; {disk}, of {self.free_bytes / 1e9:,.1f} GB free: {fits}"


def asked_volume(
    daily: Daily, carried_per_s: float, size: float, topics: Sequence[Mapping[str, Any]], free_bytes: int | None
) -> Asked:
    """Hold what is asked against a run.

    Args:
        daily: what is asked.
        carried_per_s: of all channels together, in the measured phase.
        size: mean bytes of a payload.
        topics: the native objects of the channels (``run.json``), whose settings say how long messages are kept.
        free_bytes: under the broker's data; the least of several nodes.
    """
    kept = [_kept_s(topic) for topic in topics]
    known = [one for one in kept if one is not None]
    kept_s = min(known) if known and len(known) == len(kept) else None
    return Asked(
        messages_per_day=daily.messages,
        peak=daily.peak,
        asked_per_s=daily.per_s,
        carried_per_s=carried_per_s,
        kept_s=kept_s,
        needed_bytes=None if kept_s is None else daily.messages * size * kept_s / DAY_S,
        free_bytes=free_bytes,
    )


def _kept_s(topic: Mapping[str, Any]) -> float | None:
    """Kafka keeps by age; a queue keeps until it is read, for which nobody knows how long. -1: for ever."""
    kept_ms = int((topic.get("configuration") or {}).get("retention.ms", -1))
    return kept_ms / 1000 if kept_ms >= 0 else None
