"""How punctual a publisher's engine is on a broker that does nothing, beside a loop that only keeps the time.

Both wake at most every 200 µs (``load.pacing.GRID_NS``) and hand over what is due. What the loop is late by is the
machine's share: on a processor that others use as well, both are later.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from bench import engine
from bench.brokers import NO_OP
from bench.figure import Figure
from bench.summary import Punctuality, Spread
from crep.harness.load.pacing import sharpen_timer, wait_until, wake_at

MOST_LATE_MS = {1_000: 0.2, 10_000: 0.5, 50_000: 1.0}
"""Messages per second → the highest 99th percentile of the lateness that is ok on an idle core."""
SIZE = 100  # bytes
ENGINE_FOR_S, LOOP_FOR_S = 4.0, 2.0
_LONGEST_NS = 1_000_000_000  # of a wait; none is that long
_DELIVERED = 1000  # by the no-op broker to the subscriber, before the measured part begins


@dataclass(frozen=True)
class Pace:
    """One round at one rate; ``loop_p99_ms`` is the lateness of the loop that does nothing else."""

    rate: int
    engine: Punctuality
    loop_p99_ms: float


def measure(rate: int) -> Pace:
    """The engine, then the loop.

    Raises:
        EnvironmentFailure: the engine failed.
    """
    with NO_OP.channel() as channel:
        kept = engine.keep_schedule(channel.delivering(_DELIVERED, SIZE), rate, ENGINE_FOR_S, SIZE)
    with ThreadPoolExecutor(1, "pace") as own:  # the sharp timer is the thread's, and ends with it
        return Pace(rate, kept, own.submit(_loop_p99_ms, rate).result())


def _loop_p99_ms(rate: int) -> float:
    sharpen_timer()
    step_ns, count = 1e9 / rate, round(rate * LOOP_FOR_S)
    begin_ns, done = time.monotonic_ns() + 10_000_000, 0
    late = np.empty(count)
    while done < count:
        now_ns = time.monotonic_ns()
        due = min(count, int((now_ns - begin_ns) // step_ns) + 1)
        if due > done:
            late[done:due] = now_ns - (begin_ns + np.arange(done, due) * step_ns)
            done = due
        wait_until(wake_at(now_ns, int(begin_ns + done * step_ns), _LONGEST_NS))
    return float(np.percentile(late, 99)) / 1e6


def figures(paces: list[Pace]) -> list[Figure]:
    """One for each rate: the median round's 99th percentile."""
    found = []
    for rate, floor in MOST_LATE_MS.items():
        rounds = [one for one in paces if one.rate == rate]
        p99 = Spread.of(one.engine.p99_ms for one in rounds)
        loop = Spread.of(one.loop_p99_ms for one in rounds)
        busy = Spread.of(one.engine.processor for one in rounds)
        name = f"no-op broker: lateness p99 at {rate:,} messages/s"
        if p99 is None or loop is None or busy is None:
            found.append(Figure(name, None, "ms", floor, at_most=True, detail="not measured"))
            continue
        detail = (
            f"{p99.lowest:.3g}–{p99.highest:.3g} over {p99.rounds} rounds; a bare pacing loop {loop.median:.3g} ms; "
            f"{busy.median:.0%} of a core"
        )
        found.append(Figure(name, p99.median, "ms", floor, at_most=True, detail=detail))
    return found
