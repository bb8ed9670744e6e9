"""A recorded arrival file: the load as it once came, sent again at the same times.

The file has one arrival a line: seconds from the start, not descending; empty lines and ``#`` comments are left out::

    # orders of one Monday morning
    0.000000
    0.000812
    0.104400

Which messages these were is not recorded: keys, topics and sizes are those of the scenario.
"""

from __future__ import annotations

import base64
import math
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crep.harness.config.errors import UsageError
from crep.harness.scenario.profile import Profile, Segment

MOST_ARRIVALS = 5_000_000
LARGEST_FILE = 100 << 20
"""Bytes: 5,000,000 lines of 20."""
LONGEST_S = 31 * 86_400.0


@dataclass(frozen=True)
class Recording:
    """The schedule of one load entry, over all its publishers, taken from a file; methods as ``profile.Profile``.

    Warm-up comes before the first recorded arrival, evenly at the recording's mean rate. ``packed`` holds the times.
    """

    packed: str
    warm_up_s: float = 0.0

    @cached_property
    def _times_ns(self) -> NDArray[np.int64]:
        return np.cumsum(np.frombuffer(zlib.decompress(base64.b64decode(self.packed)), "<i8"))

    @property
    def duration_s(self) -> float:
        """Length of the measured part: to the end of the second in which the last arrival lies."""
        return float(self._times_ns[-1] // 1_000_000_000 + 1)

    @property
    def first_rate(self) -> float:
        """Messages per second during warm-up: the recording's mean rate."""
        return len(self._times_ns) / self.duration_s

    @property
    def constant(self) -> bool:
        """Whether the rate is the same all the time: nobody said so of a recording."""
        return False

    @cached_property
    def warm_up_count(self) -> int:
        """Messages with a negative intended time."""
        return self.held(1.0).warm_up_count

    @property
    def count(self) -> int:
        """All messages, warm-up included."""
        return self.warm_up_count + len(self._times_ns)

    def intended_ns(self, numbers: ArrayLike) -> NDArray[np.int64]:
        """Intended send times of message ``numbers`` (0 ≤ n < count), nanoseconds relative to time 0; same shape."""
        measured = np.asarray(numbers, dtype=np.int64) - self.warm_up_count
        warm_up_ns = np.rint(measured / self.first_rate * 1e9).astype(np.int64)
        return np.where(measured < 0, warm_up_ns, self._times_ns[np.maximum(measured, 0)])

    def held(self, measured_s: float) -> Profile:
        """The mean rate throughout, measured for so long."""
        return Profile((Segment(self.first_rate, self.first_rate, measured_s),), self.warm_up_s)

    def to_json(self) -> dict[str, Any]:
        """Plain data for ``from_json``."""
        return {"recorded": self.packed, "warm_up_s": self.warm_up_s}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Recording:
        """The recording that ``to_json`` described."""
        return cls(data["recorded"], data["warm_up_s"])


Schedule = Profile | Recording
"""What a load entry follows."""


def schedule_from_json(data: dict[str, Any]) -> Schedule:
    """The profile or recording that its ``to_json`` described."""
    return Recording.from_json(data) if "recorded" in data else Profile.from_json(data)


def packed(times_ns: NDArray[np.int64]) -> str:
    """Times (ns, from 0, not descending) as text."""
    steps = np.diff(times_ns, prepend=0).astype("<i8")
    return base64.b64encode(zlib.compress(steps.tobytes(), 6)).decode()


def read_arrivals(path: Path) -> NDArray[np.int64]:
    """The times of a recorded arrival file, nanoseconds from the first one.

    Raises:
        UsageError: it cannot be read, is too large, or a line is no time or earlier than the one before.
    """
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise UsageError(f"{path}: has more than {LARGEST_FILE >> 20} MiB; record less, or thin it out")
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise UsageError(f"{path}: there is no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        raise UsageError(f"{path}: cannot be read: {reason}") from None
    seconds: list[float] = []
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if text:
            seconds.append(_time(text, seconds[-1] if seconds else 0.0, f"{path}:{number}:1"))
    if not seconds:
        raise UsageError(f"{path}: holds no arrival; write one time in seconds on each line, such as 0.0125")
    if len(seconds) > MOST_ARRIVALS:
        raise UsageError(f"{path}: holds {len(seconds):,} arrivals; at most {MOST_ARRIVALS:,} are allowed")
    times = np.array(seconds)
    if times[-1] - times[0] > LONGEST_S:
        raise UsageError(f"{path}: lasts {times[-1] - times[0]:,.0f} s; at most 31 days are allowed")
    since_first: NDArray[np.int64] = np.rint((times - times[0]) * 1e9).astype(np.int64)
    return since_first


def _time(text: str, before: float, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0:
        raise UsageError(f"{where}: {text[:40]!r} is no time; write seconds from the start, such as 0.0125")
    if value < before:
        raise UsageError(f"{where}: {text} is earlier than the line before; times must not descend")
    return value
