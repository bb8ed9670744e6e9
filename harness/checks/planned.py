"""What is known of a publisher's messages before the first is sent: closed forms of the sequence number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from crep.harness.scenario.publisher_plan import PublisherPlan

Numbers = NDArray[np.uint64]


class Planned(Protocol):
    """One publisher of a channel. Sequences are below ``count``; arrays are 1-d, results as long as what is given."""

    @property
    def publisher(self) -> int:
        """Its number, unique in the run."""

    @property
    def guaranteed(self) -> bool:
        """Whether the class offers acknowledgement."""

    @property
    def count(self) -> int:
        """Messages of the whole schedule, warm-up included."""

    @property
    def expires(self) -> bool:
        """Whether its messages have a time to live."""

    @property
    def has_poison(self) -> bool:
        """Whether any of them is meant to be poison."""

    def poisonous(self, sequences: Numbers) -> NDArray[np.bool_]:
        """Which of them are poison."""

    @property
    def has_oversize(self) -> bool:
        """Whether any of them is meant to be larger than the channel takes."""

    def oversized(self, sequences: Numbers) -> NDArray[np.bool_]:
        """Which of them are larger than the channel takes."""

    def identity(self, sequences: Numbers) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
        """Key and key sequence. A key belongs to one publisher (METHOD rule 5)."""

    def topic_of(self, keys: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """Index into the channel's topics; a key has one topic."""

    def intended_ns(self, sequences: Numbers) -> NDArray[np.int64]:
        """Intended send times, relative to t0; non-decreasing in the sequence."""


@dataclass(frozen=True)
class FromPlan:
    """``Planned`` by a scenario's plan."""

    plan: PublisherPlan

    @property
    def publisher(self) -> int:
        """Its number."""
        return self.plan.publisher

    @property
    def guaranteed(self) -> bool:
        """Whether the class offers acknowledgement."""
        return self.plan.guaranteed

    @property
    def count(self) -> int:
        """Messages of the whole schedule."""
        return self.plan.count

    @property
    def expires(self) -> bool:
        """Whether its messages have a time to live."""
        return self.plan.ttl_ms is not None

    @property
    def has_poison(self) -> bool:
        """Whether any of them is meant to be poison."""
        return self.plan.defects.poison > 0

    def poisonous(self, sequences: Numbers) -> NDArray[np.bool_]:
        """Which of them are poison."""
        return self.plan.poisonous(sequences)

    @property
    def has_oversize(self) -> bool:
        """Whether any of them is meant to be larger than the channel takes."""
        return self.plan.defects.oversize > 0

    def oversized(self, sequences: Numbers) -> NDArray[np.bool_]:
        """Which of them are larger than the channel takes."""
        return self.plan.oversized(sequences)

    def identity(self, sequences: Numbers) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
        """Key and key sequence."""
        return self.plan.assignment.of(sequences)

    def topic_of(self, keys: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """Topic index."""
        return self.plan.assignment.topic_of(keys)

    def intended_ns(self, sequences: Numbers) -> NDArray[np.int64]:
        """Intended times, relative to t0."""
        return self.plan.intended_ns(sequences)


def intended_before(planned: Planned, moments_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many messages are intended before each moment (ns relative to t0): a bisection of the closed form."""
    low = np.zeros(len(moments_ns), np.int64)
    high = np.full(len(moments_ns), planned.count, np.int64)
    while (open_ := low < high).any():
        middle = np.minimum((low + high) // 2, planned.count - 1)
        before = planned.intended_ns(middle.astype(np.uint64)) < moments_ns
        low = np.where(open_ & before, middle + 1, low)
        high = np.where(open_ & ~before, middle, high)
    return low
