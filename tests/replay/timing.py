"""How exactly a replay keeps time: an archive with known gaps, and when its messages were handed over."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from crep.replay.archive import Archive
from crep.replay.control import Control
from crep.replay.job import Job
from crep.replay.opening import open_replay
from tests.replay.live import Place, order

_APPEND = 5000


def archive_of(folder: Path, rate: float, seconds: float, seed: int) -> list[int]:
    """Orders at random gaps (exponential, as of many independent publishers); their times in Unix microseconds."""
    dice, at_us, times = random.Random(seed), time.time_ns() // 1000, list[int]()
    while not times or times[-1] - times[0] < seconds * 1_000_000:
        times.append(at_us)
        at_us += round(dice.expovariate(rate) * 1_000_000)
    archive = Archive(folder, {"target": "made", "place": "orders", "system": "made"})
    for start in range(0, len(times), _APPEND):
        part = times[start : start + _APPEND]
        archive.append([(at, order("orders", start + place)) for place, at in enumerate(part)])
        archive.roll()
    archive.close()
    return times


@dataclass(frozen=True)
class Timing:
    """``gap_p99_ms``: of the differences between each gap as it was and as it was replayed (times the speed asked for).

    ``speed``: the original time span by that of the replay.
    """

    gap_p99_ms: float
    gap_max_ms: float
    speed: float
    sent: int


def timed(there: Place, archive: Path, times_us: list[int], state: Path, pace: str, speed: float) -> Timing:
    """Replay an archive of ``archive_of`` at a pace that is so many times the original one."""
    sent_ns: list[int] = []
    job = Job.model_validate(
        {
            "id": "timed",
            "from": {"archive": str(archive)},
            "to": {"target": "there"},
            "remap": [{"topic": "*", "to": there.topic}],
            "pace": pace,
        }
    )
    with open_replay(job, lambda _: there.endpoint, state, sent=lambda _, at_ns: sent_ns.append(at_ns)) as replay:
        ledger = replay.run(Control())
    assert ledger.exact
    assert ledger.acknowledged == len(times_us) == len(sent_ns)
    gaps_ns = np.array([b - a for a, b in pairwise(sent_ns)]) - np.diff(times_us) * 1000 / speed
    off_ms = np.abs(gaps_ns) / 1e6
    span = (times_us[-1] - times_us[0]) * 1000 / (sent_ns[-1] - sent_ns[0])
    return Timing(float(np.percentile(off_ms, 99)), float(off_ms.max()), span, len(sent_ns))
