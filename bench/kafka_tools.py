"""Kafka's own performance tools, one publishing and one consuming at once, against crep's engines at the same work.

Both get the same time on a fresh topic each, with the client settings that have the same names (``acks``, idempotence,
``linger.ms``); the JVM's own warm-up is left out by looking at what was consumed from second 20 on. A tool keeps no
account of single messages: the engines do, and still have to be ahead.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.brokers import READERS, Broker, Channel
from bench.engine import SETTLE_S, engines, publisher
from bench.figure import Figure
from bench.pair import plan_of
from bench.summary import Spread
from crep.harness import processes
from crep.harness.config.errors import EnvironmentFailure
from crep.harness.deployment.kafka.java import find_java
from crep.harness.deployment.kafka.software import find_distribution
from crep.harness.load.engines import EngineFailed, PublisherDone, SubscriberTask, Window
from crep.harness.runner.keeper import LedgerKeeper
from crep.harness.runs.ledger import LedgerFolder
from crep.harness.scenario.profile import Profile, hold

WARM_UP_S = 20
MEASURED_S = 12
_AT_LEAST_S = 0.8 * MEASURED_S
_STOPS_WITHIN_S = 30.0
_MORE_THAN_POSSIBLE = 1_000_000.0
"""Messages per second; what is due is counted for as long as it is due, so no more than needed."""
_PACKAGE = "org.apache.kafka.tools"
_PASSED_ON = ("enable.idempotence", "linger.ms")
_PROGRESS = re.compile(r"^[\d-]+ [\d:]+, *\d+, *[\d.]+, *[\d.]+, *(\d+), *([\d.]+)", re.MULTILINE)
"""A line of ConsumerPerformance: time, thread, MB so far, MB/s, messages so far, messages/s."""
_EVERY_MS = 1000


@dataclass(frozen=True)
class Rates:
    """Messages consumed per second from second 20 on."""

    engines: float
    tools: float


def measure(broker: Broker, size: int, number: int) -> Rates:
    """One round, each first in its turn.

    Raises:
        EnvironmentFailure: a tool or an engine failed.
    """
    with broker.channel(READERS[:1]) as ours, broker.channel(READERS[:1]) as theirs:
        if number % 2:
            tools = _tools(theirs, size)
            return Rates(_engines(ours, size), tools)
        return Rates(_engines(ours, size), _tools(theirs, size))


def figure(name: str, size: int, rounds: list[Rates]) -> Figure:
    """Ratio of consumed rates, which has to be above 1."""
    what = f"{name}, publish and consume together, {size:,} B: engines ÷ Kafka's own tools, after {WARM_UP_S} s"
    ratio = Spread.of(one.engines / one.tools for one in rounds)
    if ratio is None:
        return Figure(what, None, "", 1.0, detail="not measured")
    rates = "; ".join(f"{one.engines:,.0f} against {one.tools:,.0f} messages/s" for one in rounds)
    return Figure(what, ratio.median, "", 1.0, detail=rates)


def _engines(channel: Channel, size: int) -> float:
    seconds = WARM_UP_S + MEASURED_S
    task = publisher(channel, Profile(tuple(hold(_MORE_THAN_POSSIBLE, seconds))), size)
    subscriber = SubscriberTask(channel.subscriber(READERS[0].name))
    received: dict[int, int] = {}
    with (
        TemporaryDirectory(prefix="bench-") as name,
        engines(channel, name, publishers=[task], subscribers=[subscriber]) as running,
    ):
        t0_ns = time.monotonic_ns()
        ledger = LedgerFolder(Path(name) / "ledger", plan_of(channel, task), t0_ns, keep_records=False)
        keeper = LedgerKeeper(ledger)
        running.go(t0_ns)
        done, end_ns = False, t0_ns + seconds * 1_000_000_000
        while not done and time.monotonic_ns() < end_ns + round(_STOPS_WITHIN_S * 1e9):
            if time.monotonic_ns() >= end_ns:
                running.stop_publishers()
            for said in running.take(0.2):
                if isinstance(said, EngineFailed):
                    raise EnvironmentFailure(f"{said.client} failed: {said.reason}")
                if isinstance(said, Window) and said.role == "subscriber":
                    received[said.second] = received.get(said.second, 0) + said.counters.get("received", 0)
                done = done or isinstance(said, PublisherDone)
        running.finish(SETTLE_S)
        keeper.finish()
    return sum(received.get(second, 0) for second in range(WARM_UP_S, seconds)) / MEASURED_S


def _tools(channel: Channel, size: int) -> float:
    bootstrap, topic = str(channel.broker.endpoint.bootstrap), str(channel.objects["topic"])
    java = (find_java().program, "-Xmx512m", "-cp", f"{find_distribution(lambda _: None).folder}/*")
    settings = [f"{name}={str(channel.broker.mapping.publisher[name]).lower()}" for name in _PASSED_ON]
    produce = (
        *(*java, f"{_PACKAGE}.ProducerPerformance", "--topic", topic, "--num-records", "2000000000"),
        *("--record-size", str(size), "--throughput", "-1", "--bootstrap-server", bootstrap),
        *(part for setting in ("acks=all", *settings) for part in ("--command-property", setting)),
    )
    consume = (
        *(*java, f"{_PACKAGE}.ConsumerPerformance", "--topic", topic, "--bootstrap-server", bootstrap),
        *("--num-records", "2000000000", "--show-detailed-stats", "--hide-header"),
        *("--reporting-interval", str(_EVERY_MS), "--timeout", "60000"),
    )
    with TemporaryDirectory(prefix="bench-") as name, (Path(name) / "consumer").open("wb") as output:
        children = [
            processes.spawn(consume, stdout=output, stderr=processes.STDOUT),
            processes.spawn(produce, stdout=processes.DEVNULL, stderr=processes.STDOUT),
        ]
        try:
            time.sleep(WARM_UP_S + MEASURED_S)
        finally:
            for child in reversed(children):
                child.kill()
        return _rate(Path(output.name).read_text(errors="replace"))


def _rate(said: str) -> float:
    """From the first report at or after the warm-up to the last one.

    Raises:
        EnvironmentFailure: there are no reports over most of the time.
    """
    reports = [(at * _EVERY_MS / 1000, int(found[1])) for at, found in enumerate(_PROGRESS.finditer(said), 1)]
    late = [one for one in reports if one[0] >= WARM_UP_S]
    if len(late) < 2 or late[-1][0] - late[0][0] < _AT_LEAST_S / 2:
        raise EnvironmentFailure(f"ConsumerPerformance reported too little:\n{said.strip()[-2000:]}")
    return (late[-1][1] - late[0][1]) / (late[-1][0] - late[0][0])
