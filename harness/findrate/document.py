"""``find-rate.json``: a search with every probe, written anew after each of them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

SCHEMA = "crep-find-rate/2"
Ending = Literal["searching", "found", "never-held", "never-failed", "out-of-probes", "interrupted"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ProbePart(_Part):
    """One run of the search. ``rate_per_s`` is the value of the parameter, messages per second.

    ``disturbed``: its clients alone were late, so that it was repeated; see ``criteria``.
    """

    rate_per_s: float
    held: bool
    gave_way: tuple[str, ...]
    disturbed: bool
    run: str  # the run folder, relative to this file
    labels: tuple[str, ...]


class SearchDocument(_Part):
    """A search for the highest rate that a binding holds.

    The answer is ``highest_held_per_s``; what can be held lies between it and ``lowest_failed_per_s``.
    """

    schema_version: str = SCHEMA
    scenario: str
    sha256: str
    binding: str
    parameter: str
    genuineness: str  # genuine | emulated | mock | unknown: the weakest site decides
    least_per_s: float
    most_per_s: float
    tolerance: float
    confirm: int
    ended: Ending
    highest_held_per_s: float | None
    lowest_failed_per_s: float | None
    gave_way: dict[str, int]  # at the lowest failing rate: what → probes
    client_bound: bool  # the clients were near their own limit there: the brokers' may lie higher
    probes: tuple[ProbePart, ...]
