"""Publishing and consuming at once: the engines with every check on, against the same pair of bare loops.

Both pairs move as many messages, each on its own fresh channel of the same broker, in turn; the ratio within a round is
what counts. The consumed rate is messages by the time from the first handover to the last receipt. The engines' side
includes the ledger, which is folded while they run, as in a run.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench import bare
from bench.brokers import CHANNEL, READERS, Broker, Channel
from bench.engine import DONE_WITHIN_S, FLAT_OUT, SETTLE_S, counted, engines, hear, publisher
from bench.figure import Figure
from bench.summary import Spread
from crep.harness.config.errors import EnvironmentFailure
from crep.harness.load.engines import PublisherDone, PublisherTask, SubscriberTask, Window
from crep.harness.metrics.history import INTACT, RECEIVED, SENT, read_records, received_file, sent_file
from crep.harness.runner.keeper import LedgerKeeper
from crep.harness.runs.ledger import LedgerFolder
from crep.harness.scenario.plan import Plan
from crep.harness.scenario.profile import Profile, hold


@dataclass(frozen=True)
class Moved:
    """What one pair did: messages a second, and processor time of all its processes, microseconds a message."""

    rate: float
    cpu_us: float


def engine_pair(channel: Channel, count: int, size: int) -> Moved:
    """One publishing and one receiving engine, and the ledger.

    Raises:
        EnvironmentFailure: not every message came, once and intact.
    """
    task, reader = publisher(channel, Profile(tuple(hold(FLAT_OUT, count / FLAT_OUT))), size), READERS[0]
    plan = plan_of(channel, task)
    subscriber = SubscriberTask(channel.subscriber(reader.name))
    with (
        TemporaryDirectory(prefix="bench-") as name,
        engines(channel, name, publishers=[task], subscribers=[subscriber]) as running,
    ):
        before_s, t0_ns = time.process_time(), time.monotonic_ns()
        keeper = LedgerKeeper(LedgerFolder(Path(name) / "ledger", plan, t0_ns, keep_records=True))
        running.go(t0_ns)
        said = hear(
            running,
            lambda said: counted(said, "received") >= count and any(isinstance(one, PublisherDone) for one in said),
        )
        running.finish(SETTLE_S)
        keeper.finish()
        said += running.take(0.0)
        mine_s = time.process_time() - before_s
        sent = read_records(Path(name) / "ledger" / sent_file(0), SENT)
        received = read_records(Path(name) / "ledger" / received_file(CHANNEL, reader.name, 0), RECEIVED)
    intact = received[received["fault"] == INTACT]
    if not len(sent) == len(intact) == len(received) == count:
        raise EnvironmentFailure(f"of {count:,} messages {len(received):,} came, {len(intact):,} of them intact")
    taken_s = (int(received["received_ns"].max()) - int(sent["sent_ns"].min())) / 1e9
    clients_s = sum(one.counters.get("cpu_ns", 0) for one in said if isinstance(one, Window)) / 1e9
    return Moved(count / taken_s, (clients_s + mine_s) / count * 1e6)


def plan_of(channel: Channel, task: PublisherTask) -> Plan:
    """The plan of a run with this publisher, for its ledger."""
    return Plan(
        scenario="bench",
        channels={"bus": (channel.spec,)},
        publishers=(task.plan,),
        timeline=(),
        expectations=(),
        warm_up_s=0.0,
        measured_s=task.plan.profile.duration_s,
        drain_s=SETTLE_S,
        lateness_s=DONE_WITHIN_S,
        reconnect_s=task.spec.reconnect_for_s,
        carrier="payload",
        seed=1,
        repeat=1,
    )


def bare_pair(channel: Channel, count: int, size: int) -> Moved:
    """One bare publishing and one bare receiving loop.

    Raises:
        EnvironmentFailure: a loop failed, or not every message came.
    """
    receiver = bare.start(channel, "receive", count, size, channel.subscriber(READERS[0].name))
    try:
        bare.wait_until_ready(receiver)
        sent: list[dict[str, Any]] = []
        failed: list[EnvironmentFailure] = []

        def send() -> None:
            try:
                child = bare.start(channel, "publish", count, size, channel.publisher("bare"))
                sent.append(bare.result(child, "publish"))
            except EnvironmentFailure as error:
                failed.append(error)

        sending = threading.Thread(target=send)
        sending.start()
        came = bare.result(receiver, "receive")
        sending.join(bare.WITHIN_S)
    finally:
        receiver.kill()
    if failed or not sent:
        raise failed[0] if failed else EnvironmentFailure("the bare publishing loop did not end")
    taken_s = (came["last_ns"] - sent[0]["first_ns"]) / 1e9
    return Moved(count / taken_s, (came["cpu_s"] + sent[0]["cpu_s"]) / count * 1e6)


def figures(name: str, size: int, pairs: list[tuple[Moved, Moved]], floor: float) -> list[Figure]:
    """Ratio of consumed rates (engines, bare) over all rounds, against its floor, and what both took."""
    ratio = Spread.of(engines.rate / loops.rate for engines, loops in pairs)
    ours, theirs = (Spread.of(one[side].rate for one in pairs) for side in (0, 1))
    cpu = [Spread.of(one[side].cpu_us for one in pairs) for side in (0, 1)]
    what = f"{name}, publish and consume together, {size:,} B"
    if ratio is None or ours is None or theirs is None or cpu[0] is None or cpu[1] is None:
        return [Figure(f"{what}: consumed, engines ÷ bare pair", None, "", floor, detail="no pair was measured")]
    span = f"{ratio.lowest:.2f}–{ratio.highest:.2f} over {ratio.rounds} interleaved pairs"
    load = f"processor {cpu[0].median:.1f} against {cpu[1].median:.1f} µs a message"
    return [
        Figure(
            f"{what}: consumed, engines ÷ bare pair",
            ratio.median,
            "",
            floor,
            detail=f"{span}; 3 processes (publisher, subscriber, ledger) against 2; {load}; {os.cpu_count()} cores",
        ),
        Figure(f"{what}: engines", ours.median, "messages/s"),
        Figure(f"{what}: bare pair", theirs.median, "messages/s"),
    ]


def measure(broker: Broker, count: int, size: int, number: int) -> tuple[Moved, Moved]:
    """One round: both pairs, each first in its turn.

    Raises:
        EnvironmentFailure: a message is missing somewhere.
    """
    with broker.channel(READERS[:1]) as ours, broker.channel(READERS[:1]) as theirs:
        if number % 2:
            loops = bare_pair(theirs, count, size)
            return engine_pair(ours, count, size), loops
        return engine_pair(ours, count, size), bare_pair(theirs, count, size)
