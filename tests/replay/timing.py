"""How exactly a replay keeps time: an archive with known gaps, and when its messages were handed over."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from confluent_kafka import Producer
from numpy.typing import NDArray

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
    off_ms = _off_ms(sent_ns, times_us, speed)
    span = (times_us[-1] - times_us[0]) * 1000 / (sent_ns[-1] - sent_ns[0])
    return Timing(float(np.percentile(off_ms, 99)), float(off_ms.max()), span, len(sent_ns))


def bare_gap_p99_ms(times_us: list[int], for_s: float, send: Callable[[], None] = lambda: None) -> float:
    """The same of a loop that sleeps until each time is due and then calls ``send``: the machine's share.

    On a busy machine it is the larger one; with a client's ``send`` it has the client's threads as well.
    """
    began_ns, first_us = time.monotonic_ns(), times_us[0]
    times = [at_us for at_us in times_us if at_us - first_us < for_s * 1_000_000]
    woken_ns = []
    for at_us in times:
        left_ns = began_ns + (at_us - first_us) * 1000 - time.monotonic_ns()
        if left_ns > 0:
            time.sleep(left_ns / 1e9)
        send()
        woken_ns.append(time.monotonic_ns())
    return float(np.percentile(_off_ms(woken_ns, times, 1), 99))


@contextmanager
def bare_client(there: Place) -> Iterator[Callable[[], None]]:
    """Sends one message with the library that the Kafka sink uses, and serves its callbacks."""
    producer = Producer({"bootstrap.servers": there.endpoint.bootstrap, "linger.ms": 0, "enable.idempotence": True})

    def send() -> None:
        producer.produce(there.topic, b"order", on_delivery=lambda *_: None)
        producer.poll(0)

    send()
    producer.flush(20)
    yield send
    producer.flush(20)


def _off_ms(moments_ns: list[int], times_us: list[int], speed: float) -> NDArray[np.float64]:
    gaps_ns = np.array([b - a for a, b in pairwise(moments_ns)]) - np.diff(times_us) * 1000 / speed
    return np.asarray(np.abs(gaps_ns) / 1e6, np.float64)
