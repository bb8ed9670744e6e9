"""What is measured, how often, in which order. A part that fails is reported as not measured; the others go on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass

from bench import bare, engine
from bench.brokers import EMULATOR, KAFKA, NO_OP, READERS, Broker, running
from bench.summary import Bench, Comparison, Punctuality, Round, Schedule, turns
from crep.harness.config.errors import EnvironmentFailure
from crep.harness.config.targets import Target

Say = Callable[[str], None]


@dataclass(frozen=True)
class Load:
    """Messages of one size, as many as take the engine a few seconds."""

    size: int  # bytes
    count: int


@dataclass(frozen=True)
class Subject:
    """What is done on one broker: throughput at each load, punctuality at one rate (messages per second)."""

    target: Target
    loads: tuple[Load, ...]
    rate: int


SUBJECTS = (
    Subject(KAFKA, (Load(100, 400_000), Load(1024, 150_000)), rate=5000),
    Subject(EMULATOR, (Load(100, 10_000), Load(1024, 10_000)), rate=2000),
)
NO_OP_AT_LEAST = 300_000  # messages: fewer are over before the engine is warm
SCHEDULE_FOR_S = 5.0
SCHEDULE_SIZE = 1024
ROUNDS = 3


def measure(numbers: Iterable[int], rounds: int, say: Say) -> Bench:
    """Every subject in every round (``numbers``, of so many ``rounds``); brokers run side by side and idle while it is
    another's turn."""
    failures: list[str] = []
    publishing: dict[tuple[str, int], list[Round]] = {}
    receiving: dict[tuple[str, int], list[Round]] = {}
    punctual: dict[str, list[Punctuality]] = {}
    with ExitStack() as stack:
        brokers: list[tuple[Subject, Broker]] = []
        for subject in SUBJECTS:
            try:
                brokers.append((subject, stack.enter_context(running(subject.target, say))))
            except EnvironmentFailure as error:
                failures.append(f"{subject.target.name}: {error}")
        for number in numbers:
            for subject, broker in turns(brokers, number) if brokers else []:
                for load in subject.loads:
                    say(f"round {number + 1} of {rounds}: {broker.name}, {load.count:,} messages of {load.size} B")
                    try:
                        published, received = throughput(broker, load, number)
                    except EnvironmentFailure as error:
                        failures.append(f"{broker.name}, {load.size} B, round {number + 1}: {error}")
                        continue
                    publishing.setdefault((broker.name, load.size), []).append(published)
                    receiving.setdefault((broker.name, load.size), []).append(received)
                say(f"round {number + 1} of {rounds}: {broker.name}, schedule of {subject.rate:,} messages/s")
                try:
                    with broker.channel(READERS[:1]) as channel:
                        kept = engine.keep_schedule(channel, subject.rate, SCHEDULE_FOR_S, SCHEDULE_SIZE)
                    punctual.setdefault(broker.name, []).append(kept)
                except EnvironmentFailure as error:
                    failures.append(f"{broker.name}, {subject.rate}/s, round {number + 1}: {error}")
    comparisons = [
        Comparison(broker.name, broker.emulated, work, load.size, load.count, tuple(measured))
        for work, found in (("publish", publishing), ("receive", receiving))
        for subject, broker in brokers
        for load in subject.loads
        if (measured := found.get((broker.name, load.size)))
    ]
    schedules = [
        Schedule(broker.name, broker.emulated, subject.rate, SCHEDULE_SIZE, tuple(punctual[broker.name]))
        for subject, broker in brokers
        if broker.name in punctual
    ]
    return Bench(tuple(comparisons), tuple(schedules), tuple(failures))


def throughput(broker: Broker, load: Load, number: int) -> tuple[Round, Round]:
    """One round of publishing and of receiving: engine, bare loop and no-op broker, each first in its turn.

    The messages that the engine published wait for both readers, so that both receive the same ones.

    Raises:
        EnvironmentFailure: a message is missing somewhere.
    """
    count, size = load.count, load.size
    most = max(count, NO_OP_AT_LEAST)
    with ExitStack() as stack:
        kept, other, ceiling = (stack.enter_context(one.channel()) for one in (broker, broker, NO_OP))
        publish = {
            "engine": lambda: engine.publish(kept, count, size),
            "bare": lambda: bare.publish(other, count, size),
            "no_op": lambda: engine.publish(ceiling, most, size),
        }
        receive = {
            "engine": lambda: engine.receive(kept, count),
            "bare": lambda: bare.receive(kept, count, size),
            "no_op": lambda: engine.receive(ceiling.delivering(most, size), most, distinct=False),
        }
        published = Round(**{who: publish[who]() for who in turns(list(publish), number)})
        received = Round(**{who: receive[who]() for who in turns(list(receive), number)})
    return published, received
