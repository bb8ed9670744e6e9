"""The parts of the benchmark, by name: each measures, prints its own tables, and ends in figures and details.

All together are to end within `MOST_S`. Each section is known to take so long with all its rounds on a machine that
does nothing else; on a busy one it leaves out rounds, but for the first, once its share of the time is over.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console

from bench import (
    bridge,
    emulator_depth,
    emulator_speed,
    fault_proxy,
    kafka_tools,
    pacing,
    pair,
    replay,
    run_life,
    session,
    solace_ceiling,
    table,
)
from bench.brokers import KAFKA, running
from bench.figure import Figure
from bench.kafka_tools import Rates
from bench.pair import Moved
from bench.smf import SmfError
from bench.summary import Comparison, Spread, turns
from crep.harness.config.errors import EnvironmentFailure
from crep.harness.runs.document import Harness, Host
from crep.solace_emulator.testing import EmulatorError

RECEIVING_FLOOR = 0.65
"""Receiving from Kafka with every check, as a share of a bare consume loop."""
PAIR_FLOOR = 1.0
"""Consumed rate while publishing, with every check, as a share of a bare pair of loops."""
PAIRS = 5
_PAIR_LOADS = ((100, 1_000_000), (1024, 300_000))  # bytes, messages
_QUICK_SHARE = 10
_QUICK_DEPTH = 50_000  # messages


@dataclass(frozen=True)
class Session:
    """How much is measured, where, and whom it is told."""

    rounds: int
    quick: bool
    console: Console
    host: Host
    harness: Harness
    started_utc: str
    until_s: float | None = None  # ``time.monotonic``: no further round begins after it

    def in_time(self, rounds: int) -> Iterator[int]:
        """The numbers of the rounds from 0 on, as far as there is time: always the first."""
        for number in range(rounds):
            if number and self.until_s is not None and time.monotonic() >= self.until_s:
                self.say(f"the machine is busy: {number} of {rounds} rounds")
                return
            yield number

    def say(self, text: str) -> None:
        """Tell what is done now."""
        self.console.print(text, style="dim")


@dataclass(frozen=True)
class Measured:
    """What a section found: the figures, and all that they were computed from."""

    figures: tuple[Figure, ...]
    details: Mapping[str, Any]


def engines(asked: Session) -> Measured:
    """The engines against bare loops and a no-op broker, publishing and receiving apart, and their punctuality."""
    rounds = 1 if asked.quick else asked.rounds
    bench = session.measure(asked.in_time(rounds), rounds, asked.say)
    table.show(bench, asked.host, asked.harness, asked.started_utc, asked.console)
    figures = [figure for one in bench.comparisons for figure in _compared(one)]
    for schedule in bench.schedules:
        p99 = schedule.spread("p99_ms")
        name = f"{schedule.broker}: lateness p99 at {schedule.rate:,} messages/s"
        figures.append(Figure(name, None if p99 is None else p99.median, "ms", detail=_span(p99)))
    figures += [Figure(failure, None, "", detail="not measured") for failure in bench.failures]
    return Measured(tuple(figures), table.to_json(bench, asked.host, asked.harness, asked.started_utc))


def _compared(one: Comparison) -> list[Figure]:
    what = f"{one.broker}, {one.work} alone, {one.size:,} B"
    floor = RECEIVING_FLOOR if one.work == "receive" and not one.emulated else None
    ratio, rate = one.to_bare, one.engine
    return [
        Figure(f"{what}: engine ÷ bare loop", None if ratio is None else ratio.median, "", floor, detail=_span(ratio)),
        Figure(f"{what}: engine", None if rate is None else rate.median, "messages/s", detail=_span(rate)),
    ]


def _span(spread: Spread | None) -> str:
    return "" if spread is None else f"{spread.lowest:,.3g}–{spread.highest:,.3g} over {spread.rounds} rounds"


def punctuality(asked: Session) -> Measured:
    """A publisher's lateness at three rates, apart from any broker."""
    rounds = 1 if asked.quick else asked.rounds
    paces = []
    for number in asked.in_time(rounds):
        for rate in turns(list(pacing.MOST_LATE_MS), number):
            asked.say(f"pacing, round {number + 1} of {rounds}: {rate:,} messages/s")
            paces.append(pacing.measure(rate))
    return Measured(tuple(pacing.figures(paces)), {"rounds": [asdict(one) for one in paces]})


def life(asked: Session) -> Measured:
    """Whole runs on a running broker, which has served a run before."""
    rounds, long_s = (1, run_life.LONG_S / _QUICK_SHARE) if asked.quick else (asked.rounds, run_life.LONG_S)
    with running(KAFKA, asked.say) as broker, TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        run_life.measure(broker, folder, 1.0)
        short = []
        for number in asked.in_time(rounds):
            asked.say(f"run {number + 1} of {rounds}: {run_life.SHORT_S:.0f} s at {run_life.RATE:,} messages/s")
            short.append(run_life.measure(broker, folder, run_life.SHORT_S))
        asked.say(f"a run of {long_s:.0f} s")
        long = run_life.measure(broker, folder, long_s)
    figures = run_life.figures(broker.name, short, long)
    return Measured(tuple(figures), {"short": [asdict(one) for one in short], "long": asdict(long)})


def kafka_pair(asked: Session) -> Measured:
    """Publishing to Kafka and consuming together, against a bare pair."""
    rounds, share = (1, _QUICK_SHARE) if asked.quick else (PAIRS, 1)
    done: dict[int, list[tuple[Moved, Moved]]] = {size: [] for size, _ in _PAIR_LOADS}
    with running(KAFKA, asked.say) as broker:
        for number in asked.in_time(rounds):
            for size, count in _PAIR_LOADS:
                asked.say(f"pair {number + 1} of {rounds}: {count // share:,} messages of {size} B")
                done[size].append(pair.measure(broker, count // share, size, number))
    figures = [one for size, pairs in done.items() for one in pair.figures(broker.name, size, pairs, PAIR_FLOOR)]
    details = {
        str(size): [{"engines": ours.__dict__, "bare": theirs.__dict__} for ours, theirs in pairs]
        for size, pairs in done.items()
    }
    return Measured(tuple(figures), details)


def speed(asked: Session) -> Measured:
    """The emulator's ceiling between official clients, and its idle connections."""
    rounds, share = (1, _QUICK_SHARE) if asked.quick else (asked.rounds, 1)
    found = emulator_speed.measure(asked.in_time(rounds), rounds, asked.say, share)
    return Measured(emulator_speed.figures(found), asdict(found))


def kafka_own_tools(asked: Session) -> Measured:
    """The engines against Kafka's own performance tools."""
    done: dict[int, list[Rates]] = {size: [] for size, _ in _PAIR_LOADS}
    with running(KAFKA, asked.say) as broker:
        for number, size in enumerate(done):
            asked.say(
                f"Kafka's own tools and the engines, {size} B, {kafka_tools.WARM_UP_S + kafka_tools.MEASURED_S} s"
            )
            done[size].append(kafka_tools.measure(broker, size, number))
    figures = tuple(kafka_tools.figure(broker.name, size, rounds) for size, rounds in done.items())
    return Measured(figures, {str(size): [asdict(one) for one in rounds] for size, rounds in done.items()})


def depth(asked: Session) -> Measured:
    """A deep queue on the emulator."""
    messages = _QUICK_DEPTH if asked.quick else emulator_depth.MESSAGES
    found = emulator_depth.measure(messages, emulator_depth.SIZE, asked.say)
    emulator_depth.show(found, asked.console)
    memory = max(found.filled_mb, found.recovered_mb, found.drained_mb)
    what = f"Solace emulator, queue of {messages:,} messages of 1 KiB"
    figures = (
        Figure(f"{what}: resident memory", memory, "MB", emulator_depth.MOST_MEMORY_MB, at_most=True),
        Figure(
            f"{what}: recovered in",
            found.recovery_s,
            "s",
            emulator_depth.MOST_RECOVERY_S,
            at_most=True,
            detail=f"{found.recovery_cpu_s:.1f} s of processor time",
        ),
        Figure(f"{what}: drain", found.drain_per_s, "messages/s"),
    )
    return Measured(figures, emulator_depth.to_json(found, asked.host, asked.harness, asked.started_utc))


def solace_client(asked: Session) -> Measured:
    """Both Solace client libraries against a server that does nothing."""
    rounds, share = (1, _QUICK_SHARE) if asked.quick else (asked.rounds, 1)
    pairs: dict[solace_ceiling.Path, list[solace_ceiling.Pair]] = {path: [] for path in solace_ceiling.PATHS}
    for number in asked.in_time(rounds):
        for path, done in pairs.items():
            asked.say(f"Solace client ceiling, round {number + 1} of {rounds}: {path.work} {path.mode}")
            done.append(solace_ceiling.measure(path, share))
    figures = tuple(solace_ceiling.figure(path, done) for path, done in pairs.items())
    return Measured(
        figures, {f"{path.work} {path.mode}": [asdict(one) for one in done] for path, done in pairs.items()}
    )


def proxy(asked: Session) -> Measured:
    """The fault proxy: what it costs, and how exact it is."""
    rounds, share = (1, _QUICK_SHARE) if asked.quick else (asked.rounds, 1)
    figures, details = fault_proxy.measure(asked.in_time(rounds), rounds, share, asked.say)
    return Measured(figures, details)


def forwarding(asked: Session) -> Measured:
    """The enrichment bridge beside bare forwarders, and what its parts cost."""
    rounds, share = (1, _QUICK_SHARE) if asked.quick else (asked.rounds, 1)
    figures, details = bridge.measure(asked.in_time(rounds), rounds, share, asked.say)
    return Measured(figures, details)


def replays(asked: Session) -> Measured:
    """Capture and replay: an archive's scan, the cost of a message, and how exactly time is kept."""
    rounds, share = (1, _QUICK_SHARE) if asked.quick else (asked.rounds, 1)
    figures, details = replay.measure(asked.in_time(rounds), rounds, asked.say, share)
    return Measured(figures, details)


@dataclass(frozen=True)
class Section:
    """A part, and how many seconds it takes with all its rounds on a machine of two cores that does nothing else."""

    measure: Callable[[Session], Measured]
    takes_s: float


SECTIONS: dict[str, Section] = {
    "engines": Section(engines, 180),
    "pacing": Section(punctuality, 90),
    "run-life": Section(life, 130),
    "kafka-pair": Section(kafka_pair, 110),
    "kafka-tools": Section(kafka_own_tools, 175),
    "solace-ceiling": Section(solace_client, 100),
    "emulator-speed": Section(speed, 60),
    "emulator-depth": Section(depth, 65),
    "fault-proxy": Section(proxy, 25),
    "replay": Section(replays, 60),
    "bridge": Section(forwarding, 100),
}
MOST_S = 1200.0
"""All sections together."""
_ONE_ROUND = 0.4  # of a section's time, its preparations included


def share_of_time(name: str) -> float:
    """The seconds from the start of all by which a section begins no further round."""
    lengths = [section.takes_s for section in SECTIONS.values()]
    place = list(SECTIONS).index(name)
    return MOST_S * sum(lengths[: place + 1]) / sum(lengths)


def too_late(name: str, elapsed_s: float) -> bool:
    """Whether not even one round of a section can be expected to end in time, so long after the start of all."""
    return elapsed_s + _ONE_ROUND * SECTIONS[name].takes_s > MOST_S


FAILURES = (EnvironmentFailure, EmulatorError, SmfError, OSError)
"""What may keep a section from being measured; anything else is a defect."""
