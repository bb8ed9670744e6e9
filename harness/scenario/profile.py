"""The load profile: when message number *n* of a load entry is meant to be sent. Pure; holds no clock.

Time 0 is the intended time of the first measured message; warm-up lies before it::

    rate │        warm-up │ hold          ramp     hold (burst)
         │                │               ╱‾‾‾‾‾‾‾‾│‾│
         │ ‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾│‾‾‾‾‾‾‾‾‾‾‾‾‾‾╱         │ │‾‾‾‾
         └────────────────┼──────────────────────────────▶ t
               negative   0                      duration_s
    n      0 … warm_up_count-1 │ warm_up_count … count-1

A profile is a sequence of segments in which the rate is linear in time. The intended time of message *n* is where the
integral of the rate reaches *n*.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

_ROUNDING = 1e-6
"""Messages. Sums of decimal rates times decimal durations miss whole numbers by far less than this."""


@dataclass(frozen=True)
class Segment:
    """A stretch of time in which the rate goes linearly from ``start`` to ``end`` (messages per second, above 0)."""

    start: float
    end: float
    duration_s: float

    def __post_init__(self) -> None:
        if not (self.start > 0 and self.end > 0 and self.duration_s > 0):
            raise ValueError(f"a segment needs rates and a duration above 0, not {self}")

    @property
    def messages(self) -> float:
        """The integral of the rate."""
        return (self.start + self.end) / 2 * self.duration_s


@dataclass(frozen=True)
class Profile:
    """The schedule of one load entry, over all its publishers.

    Warm-up runs at the first rate: as many whole messages as fit into ``warm_up_s``, the last one interval before 0.
    """

    segments: tuple[Segment, ...]
    warm_up_s: float = 0.0

    def __post_init__(self) -> None:
        if not self.segments:
            raise ValueError("a profile needs at least one segment")
        if self.warm_up_s < 0:
            raise ValueError(f"warm-up cannot be negative: {self.warm_up_s}")

    @cached_property
    def _starts_s(self) -> NDArray[np.float64]:
        """Start of each segment, and the end of the last one."""
        return np.concatenate([[0.0], np.cumsum([segment.duration_s for segment in self.segments])])

    @cached_property
    def _starts_n(self) -> NDArray[np.float64]:
        """Messages before the start of each segment, and of all (measured only)."""
        return np.concatenate([[0.0], np.cumsum([segment.messages for segment in self.segments])])

    @property
    def first_rate(self) -> float:
        """Messages per second at time 0 and during warm-up."""
        return self.segments[0].start

    @property
    def duration_s(self) -> float:
        """Length of the measured part."""
        return float(self._starts_s[-1])

    @cached_property
    def warm_up_count(self) -> int:
        """Messages with a negative intended time."""
        return math.floor(self.first_rate * self.warm_up_s + _ROUNDING)

    @cached_property
    def count(self) -> int:
        """All messages, warm-up included."""
        return self.warm_up_count + max(1, math.ceil(float(self._starts_n[-1]) - _ROUNDING))

    def intended_ns(self, numbers: ArrayLike) -> NDArray[np.int64]:
        """Intended send times of message ``numbers`` (0 ≤ n < count), nanoseconds relative to time 0; same shape.

        Non-decreasing in *n*; number ``warm_up_count`` has time 0.
        """
        measured = np.asarray(numbers, dtype=np.int64) - self.warm_up_count
        warm_up_s = measured / self.first_rate
        ahead = np.maximum(measured, 0).astype(np.float64)
        at = np.clip(np.searchsorted(self._starts_n, ahead, side="right") - 1, 0, len(self.segments) - 1)
        rate = np.array([segment.start for segment in self.segments])[at]
        slope = np.array([(segment.end - segment.start) / segment.duration_s for segment in self.segments])[at]
        left = ahead - self._starts_n[at]
        # rate·t + slope·t²/2 = left, in the form that has no cancellation and also holds for slope 0
        into = 2 * left / (rate + np.sqrt(np.maximum(rate**2 + 2 * slope * left, 0.0)))
        measured_s = np.minimum(self._starts_s[at] + into, self._starts_s[at + 1])
        return np.rint(np.where(measured < 0, warm_up_s, measured_s) * 1e9).astype(np.int64)

    def rate_at(self, t_s: ArrayLike) -> NDArray[np.float64]:
        """Intended messages per second at times ``t_s`` (seconds relative to time 0); 0 outside the schedule."""
        t = np.asarray(t_s, dtype=np.float64)
        at = np.clip(np.searchsorted(self._starts_s, t, side="right") - 1, 0, len(self.segments) - 1)
        start, end, length = (
            np.array([getattr(segment, name) for segment in self.segments])[at]
            for name in ("start", "end", "duration_s")
        )
        rate = start + (end - start) * (t - self._starts_s[at]) / length
        rate = np.where(t < 0, self.first_rate, rate)
        return np.where((t >= -self.warm_up_s) & (t < self.duration_s), rate, 0.0)

    def to_json(self) -> dict[str, Any]:
        """Plain data for ``from_json``."""
        return {
            "warm_up_s": self.warm_up_s,
            "segments": [[segment.start, segment.end, segment.duration_s] for segment in self.segments],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Profile:
        """The profile that ``to_json`` described."""
        return cls(tuple(Segment(*numbers) for numbers in data["segments"]), data["warm_up_s"])


def hold(rate: float, for_s: float) -> list[Segment]:
    """A constant rate."""
    return [Segment(rate, rate, for_s)]


def ramp(start: float, end: float, over_s: float) -> list[Segment]:
    """A rate that changes linearly."""
    return [Segment(start, end, over_s)]


def burst(base: float, rate: float, for_s: float, every_s: float, times: int) -> Sequence[Segment]:
    """``times`` bursts of ``rate`` for ``for_s``, one every ``every_s``; between them (and after the last) ``base``.

    With ``every_s`` equal to ``for_s`` nothing lies between.
    """
    once = [Segment(rate, rate, for_s)]
    if every_s > for_s:
        once.append(Segment(base, base, every_s - for_s))
    return once * times
