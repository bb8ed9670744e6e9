"""Which key and which topic message *i* of a publisher has: pure functions of (seed, publisher, i).

* Key *k* belongs to publisher *k mod Q* of the channel's *Q* publishers, so that order per key has one source.
* A publisher goes through its keys in cycles. Each cycle is one seeded permutation, rotated by a hash of the cycle
  number: every key comes exactly once in a cycle, so the key sequence *is* the cycle number: no gap, no table.
* A key has one topic for the whole run; topics get equally many keys (± 1), spread by a hash of (seed, key).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crep.harness.scenario.hashing import mixed

_ORDER, _ROTATION, _TOPIC = 1, 2, 3  # separate the choices that are drawn from one seed


@dataclass(frozen=True)
class Assignment:
    """Keys and topics of one publisher: index ``publisher`` of the ``publishers`` that send to the channel."""

    seed: int
    publisher: int
    publishers: int
    keys: int
    topics: int

    def __post_init__(self) -> None:
        if not 0 <= self.publisher < self.publishers:
            raise ValueError(f"publisher {self.publisher} is not one of {self.publishers}")
        if self.publishers > self.keys:
            raise ValueError(f"{self.publishers} publishers cannot share {self.keys} keys: each needs one of its own")
        if not 1 <= self.topics <= self.keys:
            raise ValueError(f"{self.keys} keys cannot cover {self.topics} topics: a key has one topic")

    @cached_property
    def own_keys(self) -> NDArray[np.uint32]:
        """The publisher's keys in the order of an unrotated cycle."""
        own = np.arange(self.publisher, self.keys, self.publishers, dtype=np.uint32)
        return own[np.argsort(mixed(self.seed, _ORDER, own), kind="stable")]

    @cached_property
    def _topic_by_key(self) -> NDArray[np.uint32]:
        order = np.argsort(mixed(self.seed, _TOPIC, np.arange(self.keys)), kind="stable")
        topic = np.empty(self.keys, dtype=np.uint32)
        topic[order] = np.arange(self.keys) % self.topics
        return topic

    def of(self, sequences: ArrayLike) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
        """Key and key sequence (from 0) of the publisher's messages ``sequences`` (from 0); 1-d, same length."""
        cycle, position = np.divmod(np.asarray(sequences, dtype=np.uint64), np.uint64(len(self.own_keys)))
        rotation = mixed(self.seed, _ROTATION, self.publisher, cycle) % np.uint64(len(self.own_keys))
        key = self.own_keys[(position + rotation) % np.uint64(len(self.own_keys))]
        return key, cycle.astype(np.uint32)

    def topic_of(self, keys: ArrayLike) -> NDArray[np.uint32]:
        """Index into the channel's topics for each key. The same for all publishers of the channel."""
        topics: NDArray[np.uint32] = self._topic_by_key[np.asarray(keys)]
        return topics

    def to_json(self) -> dict[str, Any]:
        """Plain data for ``from_json``."""
        return {name: getattr(self, name) for name in ("seed", "publisher", "publishers", "keys", "topics")}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Assignment:
        """The assignment that ``to_json`` described."""
        return cls(**data)
