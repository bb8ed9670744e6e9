"""Which key and which topic message *i* of a publisher has: pure functions of (seed, publisher, i).

* Key *k* belongs to publisher *k mod Q* of the channel's *Q* publishers, so that order per key has one source.
* A publisher goes through its keys in cycles. Each cycle is one seeded permutation, rotated by a hash of the cycle
  number: every key comes exactly once in a cycle, so the key sequence *is* the cycle number: no gap, no table.
* With a skew the cycle is longer: the publisher's *j*-th key comes about (n / j)^s times in it (Zipf's law; the rarest
  key once), at seeded places that are the same in each cycle. Each publisher has a hottest key of its own.
* A key has one topic for the whole run; topics get equally many keys (± 1), spread by a hash of (seed, key).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crep.harness.scenario.hashing import mixed

LONGEST_CYCLE = 4_000_000
"""Places of a skewed cycle, 8 B each."""
_STEEPEST = 5.0
_ORDER, _ROTATION, _TOPIC, _PLACES = 1, 2, 3, 7  # separate the choices that are drawn from one seed


def parse_skew(text: str) -> float:
    """The exponent of ``zipf 1.1``.

    Raises:
        ValueError: not of that form, or no exponent above 0 and at most 5.
    """
    found = re.fullmatch(r"zipf\s+(\d{1,3}(?:\.\d{1,9})?)", text.strip())
    if found is None or not 0 < float(found[1]) <= _STEEPEST:
        raise ValueError(
            f"{text!r} is not understood; write zipf and an exponent up to {_STEEPEST:g}, such as 'zipf 1.1'"
        )
    return float(found[1])


def cycle_counts(keys: int, skew: float) -> NDArray[np.int64]:
    """How often the first, second … of a publisher's ``keys`` keys comes in a cycle; the last one once.

    Raises:
        ValueError: the cycle would be longer than ``LONGEST_CYCLE``.
    """
    wanted = np.rint((keys / np.arange(1, keys + 1)) ** skew)
    if wanted.sum() > LONGEST_CYCLE:
        raise ValueError(
            f"of {keys:,} keys with 'zipf {skew:g}' the rarest would come once in {wanted.sum():,.0f} messages of its "
            f"publisher; at most {LONGEST_CYCLE:,} are allowed: take fewer keys, more publishers or a smaller exponent"
        )
    return wanted.astype(np.int64)


@dataclass(frozen=True)
class Assignment:
    """Keys and topics of one publisher: index ``publisher`` of the ``publishers`` that send to the channel."""

    seed: int
    publisher: int
    publishers: int
    keys: int
    topics: int
    skew: float = 0.0  # exponent of Zipf's law; 0: all keys equally

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
    def _skewed_cycle(self) -> tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.uint32]]:
        """For each place of a cycle: its key, how often that key came before, and how often it comes in all."""
        counts = cycle_counts(len(self.own_keys), self.skew)
        of_key = np.repeat(np.arange(len(counts)), counts)
        places = np.argsort(mixed(self.seed, _PLACES, self.publisher, np.arange(len(of_key))), kind="stable")
        came_before = np.empty(len(of_key), dtype=np.uint32)
        first = np.repeat(np.cumsum(counts) - counts, counts)
        shuffled = of_key[places]
        came_before[np.argsort(shuffled, kind="stable")] = np.arange(len(of_key)) - first
        return self.own_keys[shuffled], came_before, counts[shuffled].astype(np.uint32)

    @cached_property
    def _topic_by_key(self) -> NDArray[np.uint32]:
        order = np.argsort(mixed(self.seed, _TOPIC, np.arange(self.keys)), kind="stable")
        topic = np.empty(self.keys, dtype=np.uint32)
        topic[order] = np.arange(self.keys) % self.topics
        return topic

    def of(self, sequences: ArrayLike) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
        """Key and key sequence (from 0) of the publisher's messages ``sequences`` (from 0); 1-d, same length."""
        if self.skew:
            keys, came_before, counts = self._skewed_cycle
            cycle, position = np.divmod(np.asarray(sequences, dtype=np.uint64), np.uint64(len(keys)))
            return keys[position], (cycle * counts[position] + came_before[position]).astype(np.uint32)
        length = np.uint64(len(self.own_keys))
        sequences = np.asarray(sequences, dtype=np.uint64)
        cycle = sequences // length
        at = sequences - cycle * length + self._rotations(cycle)
        key = self.own_keys[np.minimum(at, at - length)]  # below zero unsigned numbers wrap around, and are the larger
        return key, cycle.astype(np.uint32)

    def _rotations(self, cycle: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """By how much each of these cycles is rotated; neighbouring messages are of few cycles."""
        if not len(cycle):
            return cycle
        first, last = int(cycle.min()), int(cycle.max())
        few = last - first < len(cycle)
        cycles = np.arange(first, last + 1, dtype=np.uint64) if few else cycle
        rotations = mixed(self.seed, _ROTATION, self.publisher, cycles) % np.uint64(len(self.own_keys))
        return rotations[cycle - np.uint64(first)] if few else rotations

    def topic_of(self, keys: ArrayLike) -> NDArray[np.uint32]:
        """Index into the channel's topics for each key. The same for all publishers of the channel."""
        topics: NDArray[np.uint32] = self._topic_by_key[np.asarray(keys)]
        return topics

    def to_json(self) -> dict[str, Any]:
        """Plain data for ``from_json``."""
        return {name: getattr(self, name) for name in ("seed", "publisher", "publishers", "keys", "topics", "skew")}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Assignment:
        """The assignment that ``to_json`` described."""
        return cls(**data)
