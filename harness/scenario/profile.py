"""The load profile: when message number *n* of a load entry is meant to be sent. Pure; holds no clock.

Time 0 is where the measured part begins; warm-up lies before it::

    rate │        warm-up │ hold          ramp     hold (burst)
         │                │               ╱‾‾‾‾‾‾‾‾│‾│
         │ ‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾│‾‾‾‾‾‾‾‾‾‾‾‾‾‾╱         │ │‾‾‾‾
         └────────────────┼──────────────────────────────▶ t
               negative   0                      duration_s
    n      0 … warm_up_count-1 │ warm_up_count … count-1

A profile is a sequence of segments, in each of which the rate is linear in time or a sine wave. The intended time of
message *n* is where the integral of the rate reaches *n* (*even* arrivals), or the *n*-th arrival of a Poisson process
(``arrivals``). A profile that was recorded elsewhere is ``recording.Recording``, with the same methods.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crep.harness.scenario.arrivals import Poisson

_ROUNDING = 1e-6
"""Messages. Sums of decimal rates times decimal durations miss whole numbers by far less than this."""
_KEPLER_STEPS = 60
"""Newton's method needs about five; halving the bracket, where that leaves it, reaches a double's precision in 60."""


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

    def rate(self, t_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Messages per second, ``t_s`` after the segment's start; same shape."""
        return self.start + (self.end - self.start) * t_s / self.duration_s

    def time_of(self, messages: NDArray[np.float64]) -> NDArray[np.float64]:
        """Seconds after the segment's start at which the integral of the rate is ``messages``; same shape."""
        if self.start == self.end:
            return messages / self.start
        slope = (self.end - self.start) / self.duration_s
        # rate·t + slope·t²/2 = messages, in the form that has no cancellation and also holds for slope 0
        return 2 * messages / (self.start + np.sqrt(np.maximum(self.start**2 + 2 * slope * messages, 0.0)))


@dataclass(frozen=True)
class Wave:
    """A rate that swings as a sine wave between ``low``, where it begins, and ``high``, once each ``period_s``."""

    low: float
    high: float
    period_s: float
    duration_s: float

    def __post_init__(self) -> None:
        if not (0 < self.low < self.high and self.period_s > 0 and self.duration_s > 0):
            raise ValueError(f"a wave needs 0 < low < high, a period and a duration above 0, not {self}")

    @property
    def _mean(self) -> float:
        return (self.low + self.high) / 2

    @property
    def _eccentricity(self) -> float:
        """Swing to either side, as a share of the mean."""
        return (self.high - self.low) / (self.high + self.low)

    @property
    def start(self) -> float:
        """Rate at the segment's start."""
        return self.low

    @property
    def end(self) -> float:
        """Rate at the segment's end."""
        return float(self.rate(np.array(self.duration_s)))

    @property
    def messages(self) -> float:
        """The integral of the rate."""
        angle = 2 * math.pi * self.duration_s / self.period_s
        return self._mean * self.period_s / (2 * math.pi) * (angle - self._eccentricity * math.sin(angle))

    def rate(self, t_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Messages per second, ``t_s`` after the segment's start; same shape."""
        swing: NDArray[np.float64] = 1 - self._eccentricity * np.cos(2 * np.pi * t_s / self.period_s)
        return self._mean * swing

    def time_of(self, messages: NDArray[np.float64]) -> NDArray[np.float64]:
        """Seconds after the segment's start at which the integral of the rate is ``messages``; same shape."""
        angle = kepler(2 * np.pi * messages / (self._mean * self.period_s), self._eccentricity)
        return angle * self.period_s / (2 * np.pi)


Part = Segment | Wave


def kepler(mean: NDArray[np.float64], eccentricity: float) -> NDArray[np.float64]:
    """Solve Kepler's equation E - e·sin E = M for E, element by element; 0 ≤ e < 1.

    The integral of a sine wave's rate has that form. Newton's method from Danby's start (M + 0.85·e·sign(sin M)), kept
    within the bracket M ± e. Each element stops by itself, so its value does not depend on those beside it.
    """
    flat = mean.reshape(-1)
    made = flat + 0.85 * eccentricity * np.sign(np.sin(flat))
    low, high = flat - eccentricity, flat + eccentricity
    open_ = np.arange(len(flat))
    for _ in range(_KEPLER_STEPS):
        at = made[open_]
        too_much = at - eccentricity * np.sin(at) - flat[open_]
        low[open_] = np.where(too_much <= 0, at, low[open_])
        high[open_] = np.where(too_much >= 0, at, high[open_])
        step = at - too_much / (1 - eccentricity * np.cos(at))
        inside = (step >= low[open_]) & (step <= high[open_])
        made[open_] = np.where(inside, step, (low[open_] + high[open_]) / 2)
        open_ = open_[np.abs(made[open_] - at) > 1e-15 * np.maximum(np.abs(at), 1.0)]
        if not len(open_):
            break
    return made.reshape(mean.shape)


@dataclass(frozen=True)
class Profile:
    """The schedule of one load entry, over all its publishers.

    Warm-up runs at the first rate; with even arrivals as many whole messages as fit into ``warm_up_s``, the last one
    interval before 0. ``poisson`` is (seed, stream) of Poisson arrivals, None for even ones.
    """

    segments: tuple[Part, ...]
    warm_up_s: float = 0.0
    poisson: tuple[int, int] | None = None

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

    @cached_property
    def _arrivals(self) -> Poisson | None:
        """Arrivals from the start of the warm-up on."""
        if self.poisson is None:
            return None
        return Poisson(*self.poisson, mass=self._warm_up_mass + float(self._starts_n[-1]))

    @property
    def _warm_up_mass(self) -> float:
        return self.first_rate * self.warm_up_s

    @property
    def first_rate(self) -> float:
        """Messages per second at time 0 and during warm-up."""
        return self.segments[0].start

    @property
    def constant(self) -> bool:
        """Whether the rate is the same all the time, so that a steady state can be expected."""
        return all(isinstance(one, Segment) and one.start == one.end == self.first_rate for one in self.segments)

    @property
    def duration_s(self) -> float:
        """Length of the measured part."""
        return float(self._starts_s[-1])

    @cached_property
    def warm_up_count(self) -> int:
        """Messages with a negative intended time."""
        if self._arrivals is not None:
            return self._arrivals.before(self._warm_up_mass)
        return math.floor(self._warm_up_mass + _ROUNDING)

    @cached_property
    def count(self) -> int:
        """All messages, warm-up included."""
        if self._arrivals is not None:
            return self._arrivals.before(self._arrivals.mass)
        return self.warm_up_count + max(1, math.ceil(float(self._starts_n[-1]) - _ROUNDING))

    def intended_ns(self, numbers: ArrayLike) -> NDArray[np.int64]:
        """Intended send times of message ``numbers`` (0 ≤ n < count), nanoseconds relative to time 0; same shape.

        Non-decreasing in *n*; with even arrivals number ``warm_up_count`` has time 0.
        """
        numbers = np.asarray(numbers, dtype=np.int64)
        if self._arrivals is not None:
            measured = self._arrivals.at(numbers) - self._warm_up_mass
        else:
            measured = (numbers - self.warm_up_count).astype(np.float64)
        measured_s = self._time_of(np.maximum(measured, 0.0))
        if numbers.size and measured.min() < 0:
            measured_s = np.where(measured < 0, measured / self.first_rate, measured_s)
        return np.rint(measured_s * 1e9).astype(np.int64)

    def _time_of(self, messages: NDArray[np.float64]) -> NDArray[np.float64]:
        """Where the integral of the rate reaches ``messages`` (≥ 0), in seconds."""
        if messages.size and (one := self._segment_of(messages.min())) == self._segment_of(messages.max()):
            # All in one, as neighbours mostly are: no index for each, which takes most of the time.
            into = self.segments[one].time_of(messages - self._starts_n[one])
            return np.asarray(np.minimum(self._starts_s[one] + into, self._starts_s[one + 1]), np.float64)
        at = np.clip(np.searchsorted(self._starts_n, messages, side="right") - 1, 0, len(self.segments) - 1)
        into = self._by_segment(at, messages - self._starts_n[at], lambda segment, left: segment.time_of(left))
        return np.minimum(self._starts_s[at] + into, self._starts_s[at + 1])

    def _segment_of(self, messages: float) -> int:
        at = int(np.searchsorted(self._starts_n, messages, side="right")) - 1
        return min(max(at, 0), len(self.segments) - 1)

    def _by_segment(self, at: NDArray[np.intp], values: NDArray[np.float64], function: Any) -> NDArray[np.float64]:
        """``function`` of each value and its segment (index ``at``); few segments are touched by one call."""
        made = np.empty(values.shape)
        for index in np.unique(at).tolist():
            here = at == index
            made[here] = function(self.segments[index], values[here])
        return made

    def rate_at(self, t_s: ArrayLike) -> NDArray[np.float64]:
        """Intended messages per second at times ``t_s`` (seconds relative to time 0); 0 outside the schedule."""
        t = np.asarray(t_s, dtype=np.float64)
        at = np.clip(np.searchsorted(self._starts_s, t, side="right") - 1, 0, len(self.segments) - 1)
        rate = self._by_segment(at, t - self._starts_s[at], lambda segment, into: segment.rate(into))
        rate = np.where(t < 0, self.first_rate, rate)
        return np.where((t >= -self.warm_up_s) & (t < self.duration_s), rate, 0.0)

    def held(self, measured_s: float) -> Profile:
        """The first rate throughout, measured for so long; warm-up and arrivals as here."""
        return replace(self, segments=(Segment(self.first_rate, self.first_rate, measured_s),))

    def to_json(self) -> dict[str, Any]:
        """Plain data for ``from_json``."""
        return {
            "warm_up_s": self.warm_up_s,
            "segments": [
                [part.start, part.end, part.duration_s]
                if isinstance(part, Segment)
                else [part.low, part.high, part.period_s, part.duration_s]
                for part in self.segments
            ],
            "poisson": self.poisson,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Profile:
        """The profile that ``to_json`` described."""
        segments = tuple(Segment(*numbers) if len(numbers) == 3 else Wave(*numbers) for numbers in data["segments"])
        return cls(segments, data["warm_up_s"], None if data["poisson"] is None else tuple(data["poisson"]))


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
