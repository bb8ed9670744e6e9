"""One publisher's part of a plan: all that its engine needs to know of the scenario. It travels there as JSON.

Apart from ``plan``, so that an engine's process does not read in the whole language of scenarios before it starts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crep.harness.scenario.assignment import Assignment
from crep.harness.scenario.defects import NO_DEFECTS, Defects
from crep.harness.scenario.documents import Documents
from crep.harness.scenario.recording import Schedule, schedule_from_json
from crep.harness.scenario.sizes import Sizes


@dataclass(frozen=True)
class PublisherPlan:
    """One publisher: message *i* of it (``sequence`` *i*, from 0) is number ``i·of + index`` of its load entry."""

    publisher: int  # unique in the run, fits 16 bits
    site: str
    channel: str
    load: int  # index of the load entry
    index: int  # among the load entry's publishers
    of: int  # how many the load entry has
    guaranteed: bool
    seed: int
    profile: Schedule  # of the whole load entry
    assignment: Assignment  # knows the publisher's place among all publishers of the channel
    sizes: Sizes
    defects: Defects = NO_DEFECTS
    ttl_ms: int | None = None  # time to live of each message
    properties: dict[str, str | int | float | bool] = field(default_factory=dict)  # of each message
    documents: Documents | None = None  # payloads; None: bytes without meaning, of these sizes

    @property
    def count(self) -> int:
        """Messages of this publisher, warm-up included."""
        return -(-(self.profile.count - self.index) // self.of)

    @property
    def warm_up_count(self) -> int:
        """Messages of this publisher with a negative intended time."""
        return -(-(self.profile.warm_up_count - self.index) // self.of)

    @property
    def channel_index(self) -> int:
        """Place among all publishers of the channel."""
        return self.assignment.publisher

    @property
    def channel_publishers(self) -> int:
        """All publishers of the channel."""
        return self.assignment.publishers

    def intended_ns(self, sequences: ArrayLike) -> NDArray[np.int64]:
        """Intended send times, nanoseconds relative to t0; same shape."""
        return self.profile.intended_ns(np.asarray(sequences, dtype=np.int64) * self.of + self.index)

    def size_of(self, sequences: ArrayLike) -> NDArray[np.uint32]:
        """Payload bytes, stamp included; 1-d, same length."""
        if self.documents is not None:
            keys, _ = self.assignment.of(sequences)
            return self.documents.sizes[self.documents.number_of(keys)]
        sizes = self.sizes.of(self.seed, self.publisher, sequences)
        if self.defects.oversize:
            sizes[self.oversized(sequences)] = self.defects.oversize_bytes
        return sizes

    @property
    def payload_sizes(self) -> tuple[int, ...]:
        """Every size that a payload can have, in bytes."""
        sizes = tuple(size for size, _ in self.sizes.choices)
        return (*sizes, self.defects.oversize_bytes) if self.defects.oversize else sizes

    def poisonous(self, sequences: ArrayLike) -> NDArray[np.bool_]:
        """Which messages are poison (``defects``); 1-d, same length."""
        return self.defects.poisonous(self.seed, self.publisher, sequences)

    def oversized(self, sequences: ArrayLike) -> NDArray[np.bool_]:
        """Which messages are larger than their channel takes; 1-d, same length."""
        return self.defects.oversized(self.seed, self.publisher, sequences)

    def to_json(self) -> dict[str, Any]:
        """Plain data (``json.dumps`` writes it) for ``from_json``."""
        plain = ("publisher", "site", "channel", "load", "index", "of", "guaranteed", "seed", "ttl_ms", "properties")
        return {name: getattr(self, name) for name in plain} | {
            "profile": self.profile.to_json(),
            "assignment": self.assignment.to_json(),
            "sizes": self.sizes.to_json(),
            "defects": self.defects.to_json(),
            "documents": None if self.documents is None else list(self.documents.texts),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> PublisherPlan:
        """The publisher that ``to_json`` described."""
        return cls(
            **data
            | {
                "profile": schedule_from_json(data["profile"]),
                "assignment": Assignment.from_json(data["assignment"]),
                "sizes": Sizes.from_json(data["sizes"]),
                "defects": Defects.from_json(data["defects"]),
                "documents": None if data["documents"] is None else Documents(tuple(data["documents"])),
            }
        )
