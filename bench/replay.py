"""The replay service: how fast an archive is scanned, what capture and replay cost, and how exactly time is kept."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from bench.brokers import EMULATOR, KAFKA
from bench.figure import Figure
from crep.harness.brokers.contract import Endpoint, Message
from crep.harness.config.targets import Target
from crep.harness.deployment import deploy
from crep.replay.archive import Archive
from crep.replay.control import Control
from crep.replay.job import Job
from crep.replay.opening import open_replay
from crep.replay.selection import Reader, Selection
from tests.replay.live import Place, capturing, fill, place
from tests.replay.timing import Timing, archive_of, bare_gap_p99_ms, timed

SCANNED, SIZE = 1_000_000, 200  # messages, bytes of payload
SCAN_FLOOR = 1_000_000.0
"""Messages a second of a time window that holds nearly all of an archive, counted with size, time and topic."""
MOST_GAP_MS, RATE, FOR_S = 2.0, 1000.0, 6.0
SPEED, MOST_SPEED_ERROR = 10.0, 0.02
MOVED = {"kafka": 100_000, "solace": 10_000}
_APPEND = 10_000
_MICRO = 1_000_000


@dataclass(frozen=True)
class Scan:
    """Messages per second: looked at by DuckDB, and as Python objects, which a replay needs."""

    window: float
    one_topic: float
    objects: float


@dataclass(frozen=True)
class Moving:
    """One way on one system: messages per second, and this process's processor time for each (µs)."""

    rate: float
    cpu_us: float


@dataclass(frozen=True)
class Round:
    """One round of keeping time."""

    original: Timing
    faster: Timing
    bare_p99_ms: float


def scanned(folder: Path, messages: int) -> Scan:
    """Make an archive of so many messages, one each 100 µs, and scan windows of it."""
    archive = Archive(folder, {"target": "made", "place": "orders", "system": "made"})
    body = [os.urandom(SIZE) for _ in range(1000)]
    for start in range(0, messages, _APPEND):
        numbers = range(start, min(start + _APPEND, messages))
        archive.append([(n * 100, _message(n, body[n % len(body)])) for n in numbers])
        archive.tend()
    archive.close()
    window = Selection(from_us=1000, until_us=messages * 100 - 1000)
    narrow = Selection(from_us=1000, until_us=messages * 100 - 1000, topic="orders/eu/*")
    with Reader(folder) as reader:
        reader.summary(Selection(limit=1))  # DuckDB itself is loaded
        return Scan(
            _per_second(messages, lambda: reader.summary(window)),
            _per_second(messages, lambda: reader.summary(narrow)),
            _per_second(messages // 4, lambda: sum(1 for _ in reader.messages(Selection(limit=messages // 4)))),
        )


def _message(number: int, body: bytes) -> Message:
    topic = f"orders/{('eu', 'us', 'apac')[number % 3]}/new"
    return Message(topic, body, f"customer-{number % 1000}", {"n": number}, position=f"orders[0]@{number}")


def _per_second(messages: int, work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return messages / (time.perf_counter() - began)


def moved(endpoint: Endpoint, folder: Path, messages: int) -> tuple[Moving, Moving]:
    """Capture what lies in a place, then replay it to another one of the same broker."""
    with place(endpoint) as here, place(endpoint) as there:
        fill(here, range(messages))
        running, _ = capturing(here, folder / "archive", messages)
        captured = _cost(messages, lambda: running.run(lambda: False))
        return captured, _cost(messages, lambda: _replay(there, folder))


def _replay(there: Place, folder: Path) -> None:
    job = Job.model_validate(
        {
            "id": "bench",
            "from": {"archive": str(folder / "archive")},
            "to": {"target": "there"},
            "remap": [{"topic": ">", "to": there.topic}, {"topic": "*", "to": there.topic}],
            "pace": "fastest",
        }
    )
    with open_replay(job, lambda _: there.endpoint, folder / "state") as replay:
        replay.run(Control())


def _cost(messages: int, work: Callable[[], object]) -> Moving:
    began, cpu = time.perf_counter(), time.process_time()
    work()
    cpu_us = (time.process_time() - cpu) * _MICRO / messages
    return Moving(messages / (time.perf_counter() - began), cpu_us)


def measure(
    numbers: Iterable[int], rounds: int, say: Callable[[str], None], share: int
) -> tuple[tuple[Figure, ...], dict[str, object]]:
    """Each round (``numbers``, of so many ``rounds``); ``share``: this part of the messages and of the time.

    Raises:
        EnvironmentFailure: a broker does not start.
    """
    moving: dict[str, Moving] = {}
    with TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        say(f"replay: an archive of {SCANNED // share:,} messages is made and scanned")
        scan = scanned(folder / "scanned", SCANNED // share)
        for system, target in (("solace", EMULATOR), ("kafka", KAFKA)):
            with _running(target) as endpoint:
                say(f"replay: capture and replay on {target.name}")
                both = moved(endpoint, folder / system, MOVED[system] // share)
                moving[f"capture {system}"], moving[f"replay {system}"] = both
                done = [] if system == "solace" else _kept_time(endpoint, folder, numbers, rounds, say, share)
    return figures(scan, moving, done), {
        "scan": asdict(scan),
        "moving": {name: asdict(one) for name, one in moving.items()},
        "rounds": [asdict(one) for one in done],
    }


@contextmanager
def _running(target: Target) -> Iterator[Endpoint]:
    deployment = deploy(target)
    deployment.start(lambda _: None)
    try:
        yield deployment.endpoint()
    finally:
        deployment.stop()


def _kept_time(
    endpoint: Endpoint, folder: Path, numbers: Iterable[int], rounds: int, say: Callable[[str], None], share: int
) -> list[Round]:
    done = []
    for number in numbers:
        say(f"replay: timing, round {number + 1} of {rounds}")
        here = folder / f"round-{number}"
        times = archive_of(here / "archive", RATE, FOR_S / share, number)
        with place(endpoint) as there:
            original = timed(there, here / "archive", times, here / "original", "original", 1)
            faster = timed(there, here / "archive", times, here / "faster", f"x{SPEED:g}", SPEED)
        done.append(Round(original, faster, bare_gap_p99_ms(times, FOR_S / share)))
    return done


def figures(scan: Scan, moving: dict[str, Moving], rounds: list[Round]) -> tuple[Figure, ...]:
    """What is shown and held to floors; of the timing medians over the rounds."""
    found = [
        Figure("replay: time window of an archive, looked at", scan.window, "messages/s", SCAN_FLOOR),
        Figure("replay: the same by topic pattern", scan.one_topic, "messages/s"),
        Figure("replay: messages of an archive as objects", scan.objects, "messages/s"),
    ]
    found += [
        Figure(f"replay: {name}", one.rate, "messages/s", detail=f"{one.cpu_us:.0f} µs of processor time each")
        for name, one in moving.items()
    ]
    if rounds:
        bare = median(one.bare_p99_ms for one in rounds)
        found += [
            Figure(
                f"replay: gaps at the original timing, {RATE:,.0f} messages/s, p99 off",
                median(one.original.gap_p99_ms for one in rounds),
                "ms",
                MOST_GAP_MS,
                at_most=True,
                detail=f"a bare loop: {bare:.2f} ms",
            ),
            Figure(
                f"replay: ×{SPEED:g}, off",
                median(abs(one.faster.speed / SPEED - 1) for one in rounds) * 100,
                "%",
                MOST_SPEED_ERROR * 100,
                at_most=True,
            ),
        ]
    return tuple(found)
