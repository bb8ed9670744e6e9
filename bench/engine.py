"""The engines at work: child processes as in a run, every check on; rates come from the raw records that they wrote."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from bench.brokers import CHANNEL, KEYS, RECONNECT_S, TOPICS, Channel
from bench.summary import Punctuality
from crep.harness.brokers.contract import Outcome
from crep.harness.config.errors import EnvironmentFailure
from crep.harness.load.engines import EngineFailed, Engines, PublisherDone, PublisherTask, Said, SubscriberTask, Window
from crep.harness.metrics.histogram import Histogram
from crep.harness.metrics.history import INTACT, OUTCOME, RECEIVED, SENT, outcomes_file, read_records, received_file
from crep.harness.metrics.history import sent_file as sends_file
from crep.harness.scenario.assignment import Assignment
from crep.harness.scenario.profile import Profile, hold
from crep.harness.scenario.publisher_plan import PublisherPlan
from crep.harness.scenario.sizes import Sizes

FLAT_OUT = 10_000_000.0
"""Messages per second that no client reaches: everything is due at once."""
READY_WITHIN_S = 60.0
DONE_WITHIN_S = 180.0
WARM_UP_S = 2.0
SETTLE_S = 30.0


def publish(channel: Channel, count: int, size: int) -> float:
    """Messages per second from the first handover to the last acknowledgement.

    Raises:
        EnvironmentFailure: not every message was acknowledged.
    """
    task = publisher(channel, Profile(tuple(hold(FLAT_OUT, count / FLAT_OUT))), size)
    with TemporaryDirectory(prefix="bench-") as name, engines(channel, name, publishers=[task]) as running:
        running.go(time.monotonic_ns())
        hear(running, lambda said: any(isinstance(one, PublisherDone) for one in said))
        running.finish(SETTLE_S)
        ledger = Path(name) / "ledger"
        sent = read_records(ledger / sends_file(0), SENT)
        outcomes = read_records(ledger / outcomes_file(0), OUTCOME)
    acknowledged = np.unique(outcomes["sequence"][outcomes["outcome"] == Outcome.ACKNOWLEDGED])
    if not len(sent) == len(acknowledged) == count:
        raise EnvironmentFailure(f"{len(acknowledged):,} of {count:,} messages were acknowledged")
    return count / (int(outcomes["at_ns"].max() - sent["sent_ns"].min()) / 1e9)


def receive(channel: Channel, count: int, *, distinct: bool = True) -> float:
    """Messages per second from the first receipt to the last, of ``count`` messages that wait in the channel.

    Args:
        channel: where they wait.
        count: how many.
        distinct: False where the no-op broker repeats the same ones.

    Raises:
        EnvironmentFailure: not every message came, once and intact.
    """
    task = SubscriberTask(channel.subscriber("engine"))
    with TemporaryDirectory(prefix="bench-") as name, engines(channel, name, subscribers=[task]) as running:
        running.go(time.monotonic_ns())
        hear(running, lambda said: counted(said, "received") >= count)
        running.finish(SETTLE_S)
        records = read_records(Path(name) / "ledger" / received_file(CHANNEL, "engine", 0), RECEIVED)
    intact = records[records["fault"] == INTACT]
    if len(intact) != count or (distinct and len(np.unique(intact["sequence"])) != count):
        raise EnvironmentFailure(f"{count:,} messages waited; {len(records):,} came, {len(intact):,} of them intact")
    times = records["received_ns"]
    return count / (int(times.max() - times.min()) / 1e9)


def keep_schedule(channel: Channel, rate: int, for_s: float, size: int) -> Punctuality:
    """Lateness of a publisher at a fixed rate while a subscriber receives; warm-up is left out.

    Raises:
        EnvironmentFailure: not every message was acknowledged, or too few for a percentile.
    """
    profile = Profile(tuple(hold(rate, for_s)), WARM_UP_S)
    sender, subscriber = publisher(channel, profile, size), SubscriberTask(channel.subscriber("engine"))
    with (
        TemporaryDirectory(prefix="bench-") as name,
        engines(channel, name, publishers=[sender], subscribers=[subscriber]) as running,
    ):
        running.go(time.monotonic_ns() + round((WARM_UP_S + 0.5) * 1e9))
        said = hear(running, lambda said: any(isinstance(one, PublisherDone) for one in said))
        running.finish(SETTLE_S)
        said += running.take(0.0)
    acknowledged = counted(said, "acknowledged")
    if acknowledged != profile.count:
        raise EnvironmentFailure(f"{acknowledged:,} of {profile.count:,} messages were acknowledged")
    measured = [one for one in said if isinstance(one, Window) and one.role == "publisher" and 0 <= one.second < for_s]
    lateness = Histogram()
    for window in measured:
        if "lateness" in window.histograms:
            lateness.merge(Histogram.from_sparse(*window.histograms["lateness"]))
    p50, p99, longest = lateness.percentile_ns(50), lateness.percentile_ns(99), lateness.max_ns
    if p50 is None or p99 is None or longest is None:
        raise EnvironmentFailure(f"{lateness.count} samples are too few for a percentile")
    processor = sum(window.counters.get("cpu_ns", 0) for window in measured) / (for_s * 1e9)
    return Punctuality(p50 / 1e6, p99 / 1e6, longest / 1e6, processor)


def publisher(channel: Channel, profile: Profile, size: int) -> PublisherTask:
    """The only publisher of a channel."""
    plan = PublisherPlan(
        publisher=0,
        site="bus",
        channel=CHANNEL,
        load=0,
        index=0,
        of=1,
        guaranteed=True,
        seed=1,
        profile=profile,
        assignment=Assignment(seed=1, publisher=0, publishers=1, keys=KEYS, topics=len(TOPICS)),
        sizes=Sizes(((size, 1.0),)),
    )
    return PublisherTask(plan, channel.publisher("engine"))


@contextmanager
def engines(
    channel: Channel,
    folder: str,
    publishers: list[PublisherTask] | None = None,
    subscribers: list[SubscriberTask] | None = None,
) -> Iterator[Engines]:
    """Engines that are ready, ended at the end."""
    made = Engines(
        publishers=publishers or [],
        subscribers=subscribers or [],
        run_number=channel.number,
        folder=Path(folder),
        carrier="payload",
    )
    try:
        made.start(READY_WITHIN_S)
        yield made
    finally:
        made.kill()


def hear(running: Engines, done: Callable[[list[Said]], bool]) -> list[Said]:
    """All that the engines say until ``done``; the whole of it is looked at a few times a second only."""
    said: list[Said] = []
    deadline = time.monotonic() + DONE_WITHIN_S + RECONNECT_S
    while not done(said):
        if time.monotonic() > deadline:
            raise EnvironmentFailure(f"the engines did not end within {DONE_WITHIN_S + RECONNECT_S:.0f} s")
        said += running.take(0.2)
        for one in said:
            if isinstance(one, EngineFailed):
                raise EnvironmentFailure(f"{one.client} failed: {one.reason}")
    return said


def counted(said: list[Said], counter: str) -> int:
    """The sum of a counter over all windows that were said."""
    return sum(one.counters.get(counter, 0) for one in said if isinstance(one, Window))
