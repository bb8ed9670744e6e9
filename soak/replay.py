"""Captured messages are replayed to the other broker: a million of them, through kills, and on time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import duckdb

from crep.harness.config.targets import Target
from crep.harness.deployment import deploy
from crep.replay.archive import verify_archive
from crep.replay.control import Control
from crep.replay.job import Job
from crep.replay.ledger import Ledger
from crep.replay.opening import open_replay
from soak.claim import Verdict, broken
from tests.replay.killing import KILLS, WINDOW, killed_capture, killed_replay
from tests.replay.live import KEYS, Place, capture, capturing, fill, place
from tests.replay.timing import archive_of, timed

System = Literal["kafka", "solace"]
_NAMES: dict[System, str] = {"kafka": "Apache Kafka", "solace": "the Solace emulator"}
_OTHER: dict[System, System] = {"kafka": "solace", "solace": "kafka"}
_LEAST_GAPS_S = 20.0


@contextmanager
def _place(system: System) -> Iterator[Place]:
    """A broker of its own, with one place."""
    source: Literal["local", "embedded"] = "local" if system == "kafka" else "embedded"
    deployment = deploy(Target(name=f"{system}-replay-soak", system=system, source=source, profile="quick"))
    deployment.start(lambda _: None)
    try:
        with place(deployment.endpoint()) as made:
            yield made
    finally:
        deployment.stop()


@dataclass(frozen=True)
class Replayed:
    """Every message of one broker captured, and replayed to the other."""

    name: str
    system: System
    messages: int = 1_000_000
    count: int = 1
    allowed: int = 0

    @property
    def text(self) -> str:
        """The sentence."""
        return (
            f"of {self.messages:,} messages captured from {_NAMES[self.system]} while they are published, and replayed "
            f"to {_NAMES[_OTHER[self.system]]} as fast as possible, every one arrives, once, in the order of its key; "
            "the ledger is exact, and every check sum of the archive is right."
        )

    def trial(self, seed: int, folder: Path) -> Verdict:
        """Capture, replay, capture what arrived, and compare by number. ``seed`` names the replay."""
        with ExitStack() as stack:
            here, there = (stack.enter_context(_place(one)) for one in (self.system, _OTHER[self.system]))
            running, _ = capturing(here, folder / "archive", self.messages)
            filling = threading.Thread(target=fill, args=(here, range(self.messages)))
            filling.start()
            running.run(lambda: False)
            filling.join()
            arriving, _ = capturing(there, folder / "arrived", self.messages)
            taking = threading.Thread(target=arriving.run, args=(lambda: False,))
            taking.start()
            ledger = _replay(seed, folder, there)
            taking.join()
            capture(there, folder / "arrived", idle="3 s")  # what came twice
        count, numbers, falls = _looked_at(folder / "arrived")
        return Verdict(
            broken(
                every_message_was_captured=_looked_at(folder / "archive") == (self.messages, self.messages, 0),
                the_check_sums_are_right=not verify_archive(folder / "archive"),
                the_ledger_is_exact=ledger.exact and ledger.acknowledged == self.messages,
                every_message_arrived=numbers == self.messages,
                none_arrived_twice=count == numbers,
                each_key_is_in_order=falls == 0,
            ),
            {"selected": ledger.selected, "acknowledged": ledger.acknowledged, "arrived": count},
        )


def _replay(seed: int, folder: Path, there: Place) -> Ledger:
    job = Job.model_validate(
        {
            "id": f"soak-{seed}",
            "from": {"archive": str(folder / "archive")},
            "to": {"target": "there"},
            "remap": [{"topic": ">", "to": there.topic}, {"topic": "*", "to": there.topic}],
            "pace": "fastest",
        }
    )
    with open_replay(job, lambda _: there.endpoint, folder / "state") as replay:
        return replay.run(Control())


def _looked_at(archive: Path) -> tuple[int, int, int]:
    """Messages, different numbers, and how often a key's number falls: by DuckDB alone, without the reader."""
    query = """
        SELECT count(*), count(DISTINCT n), count(*) FILTER (WHERE n < before) FROM (
            SELECT n, lag(n) OVER (PARTITION BY n % ? ORDER BY sequence) AS before FROM (
                SELECT sequence, CAST(json_extract_string(properties, '/n') AS BIGINT) AS n FROM read_parquet(?)))
    """
    with duckdb.connect() as connection:
        [found] = connection.execute(query, [KEYS, str(archive / "*.parquet")]).fetchall()
    count, numbers, falls = found
    return int(count), int(numbers), int(falls)


@dataclass(frozen=True)
class CaptureKilled:
    """A capture that is killed and started again."""

    name: str
    system: System
    messages: int = 20_000
    count: int = 20
    allowed: int = 0

    @property
    def text(self) -> str:
        """The sentence."""
        return (
            f"a capture of {self.messages:,} messages from {_NAMES[self.system]}, killed with SIGKILL {KILLS} times at "
            "random moments and started again, has every message, once, in the order of its key, without a hole in "
            "its sequence, and with right check sums."
        )

    def trial(self, seed: int, folder: Path) -> Verdict:
        """One trial of the function that the tests use."""
        with _place(self.system) as here:
            outcome = killed_capture(seed, here, folder / "archive", self.messages)
        return Verdict(outcome.faults, outcome.figures)


@dataclass(frozen=True)
class ReplayKilled:
    """A replay that is killed and started again."""

    name: str
    system: System
    messages: int = 20_000
    count: int = 20
    allowed: int = 0

    @property
    def text(self) -> str:
        """The sentence."""
        return (
            f"a replay of {self.messages:,} messages to {_NAMES[self.system]}, killed with SIGKILL {KILLS} times at "
            f"random moments and started again with the same id and a window of {WINDOW}: every message arrives, in "
            "the order of its key; the ledger is exact; no more come twice than the ledger says, and it says no more "
            "than the window for each kill."
        )

    def trial(self, seed: int, folder: Path) -> Verdict:
        """One trial of the function that the tests use."""
        archive_of(folder / "archive", rate=1e6, seconds=self.messages / 1e6, seed=seed)
        with _place(self.system) as there:
            outcome = killed_replay(seed, folder / "archive", there, folder)
        return Verdict(outcome.faults, outcome.figures)


@dataclass(frozen=True)
class OnTime:
    """A window replayed at its original timing, and ten times as fast."""

    name: str
    system: System
    rate: float = 1000.0
    count: int = 5
    allowed: int = 0

    @property
    def text(self) -> str:
        """The sentence."""
        return (
            f"a replay to {_NAMES[self.system]} of messages that came at random gaps, {self.rate:,.0f} a second: at "
            "the original timing 99 % of the gaps between messages are within 2 ms of what they were, and ten times as "
            "fast takes a tenth of the time, within 2 %."
        )

    def trial(self, seed: int, folder: Path) -> Verdict:
        """Both paces, one after the other."""
        times = archive_of(folder / "archive", self.rate, _LEAST_GAPS_S, seed)
        with _place(self.system) as there:
            original = timed(there, folder / "archive", times, folder / "original", "original", 1)
            faster = timed(there, folder / "archive", times, folder / "faster", "x10", 10)
        return Verdict(
            broken(
                gaps_are_within_2_ms=original.gap_p99_ms <= 2.0,
                ten_times_as_fast_is_ten_times_as_fast=abs(faster.speed - 10) <= 0.2,
            ),
            {"gap p99 (ms)": original.gap_p99_ms, "gap max (ms)": original.gap_max_ms, "speed of x10": faster.speed},
        )
