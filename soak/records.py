"""Engines of a trial, and the ledger of what they recorded."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from crep.harness.brokers.contract import Endpoint, Json, PublisherSpec, ReaderSpec, SubscriberSpec
from crep.harness.checks.history import ChannelHistory, PublisherHistory, ReaderHistory
from crep.harness.checks.ledger import ledger
from crep.harness.checks.results import ChannelLedger, ReaderLedger
from crep.harness.config.errors import EnvironmentFailure
from crep.harness.load.engines import EngineFailed, Engines, PublisherTask, Said, SubscriberTask, Window
from crep.harness.metrics.history import (
    OUTCOME,
    RECEIVED,
    SENT,
    Records,
    outcomes_file,
    read_records,
    received_file,
    sent_file,
)
from crep.harness.scenario.assignment import Assignment
from crep.harness.scenario.profile import Profile, hold
from crep.harness.scenario.publisher_plan import PublisherPlan
from crep.harness.scenario.sizes import Sizes

CHANNEL = "orders"
TOPICS = ("orders/eu", "orders/us")
SIZE = 200
READY_WITHIN_S = 60.0
FINISH_WITHIN_S = 30.0


def publisher_plan(*, seed: int, rate: float, for_s: float, keys: int) -> PublisherPlan:
    """One guaranteed publisher at a constant rate."""
    return PublisherPlan(
        publisher=0,
        site="bus",
        channel=CHANNEL,
        load=0,
        index=0,
        of=1,
        guaranteed=True,
        seed=seed,
        profile=Profile(tuple(hold(rate, for_s))),
        assignment=Assignment(seed=seed, publisher=0, publishers=1, keys=keys, topics=len(TOPICS)),
        sizes=Sizes(((SIZE, 1.0),)),
    )


def publisher(plan: PublisherPlan, endpoint: Endpoint, objects: Json, settings: Json, name: str) -> PublisherTask:
    """The task of that publisher."""
    spec = PublisherSpec(
        endpoint=endpoint,
        name=name,
        channel=CHANNEL,
        objects=objects,
        topics=TOPICS,
        guaranteed=True,
        settings=settings,
        reconnect_for_s=FINISH_WITHIN_S,
    )
    return PublisherTask(plan, spec)


def subscribers(
    readers: Sequence[ReaderSpec], endpoint: Endpoint, objects: Json, settings: Json, name: str
) -> list[SubscriberTask]:
    """The tasks of all members of all readers."""
    return [
        SubscriberTask(
            SubscriberSpec(
                endpoint=endpoint,
                name=f"{name}-{reader.name}-{member}",
                channel=CHANNEL,
                reader=reader,
                member=member,
                objects=objects,
                settings=settings,
                reconnect_for_s=FINISH_WITHIN_S,
            )
        )
        for reader in readers
        for member in range(reader.members)
    ]


@contextmanager
def running(
    publishers: Sequence[PublisherTask], readers: Sequence[SubscriberTask], *, run_number: int, folder: Path
) -> Iterator[Engines]:
    """Engines that are ready; killed at the end."""
    engines = Engines(
        publishers=publishers, subscribers=readers, run_number=run_number, folder=folder, carrier="payload"
    )
    try:
        engines.start(READY_WITHIN_S)
        yield engines
    finally:
        engines.kill()


def listen(engines: Engines, within_s: float, enough: Callable[[list[Said]], bool] = lambda said: False) -> list[Said]:
    """What the engines say until it is ``enough``, or for so long.

    Raises:
        EnvironmentFailure: an engine failed.
    """
    said: list[Said] = []
    deadline = time.monotonic() + within_s
    while not enough(said) and (left := deadline - time.monotonic()) > 0:
        said += engines.take(min(left, 0.1))
        for one in said:
            if isinstance(one, EngineFailed):
                raise EnvironmentFailure(f"the engine of {one.client} failed: {one.reason}")
    return said


def counted(said: Sequence[Said], counter: str) -> int:
    """A counter's sum over all windows."""
    return sum(one.counters.get(counter, 0) for one in said if isinstance(one, Window))


def judged(
    folder: Path, readers: Sequence[ReaderSpec], *, drain_clean: bool = True
) -> tuple[ChannelLedger, dict[str, ReaderLedger], PublisherHistory]:
    """The ledger of what the engines left in ``folder``: of the channel, by reader, and the publisher's records."""
    records = folder / "ledger"
    sends = PublisherHistory(
        0, True, read_records(records / sent_file(0), SENT), read_records(records / outcomes_file(0), OUTCOME)
    )
    everything = np.ones(len(TOPICS), np.bool_)

    def receipts(reader: ReaderSpec, member: int) -> Records:
        return read_records(records / received_file(CHANNEL, reader.name, member), RECEIVED)

    histories = tuple(
        ReaderHistory(reader, everything, tuple(receipts(reader, member) for member in range(reader.members)))
        for reader in readers
    )
    channel, found = ledger(ChannelHistory(CHANNEL, (sends,), histories), drain_clean=drain_clean, t0_ns=0)
    return channel, {one.reader: one for one in found}, sends


def soon_ns() -> int:
    """A t0 that every engine hears of in time."""
    return time.monotonic_ns() + 300_000_000
