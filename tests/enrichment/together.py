"""Several processes of a bridge on one source: they share it, those of a key stay in order, and one may be killed."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Any

from tests.enrichment.journey import MOST, RATE, Outcome, System, out_of_order, read, said
from tests.enrichment.live import Bridge, Collector, Feeder, bridging
from tests.enrichment.sides import Side, kafka_side, solace_side

PROCESSES = 3
PARTITIONS = 6
SHARES_S = 2.0
BRIDGE = """
bridge: together
sites: {bus: {target: bus}}
routes:
  orders:
    from: {site: bus, SOURCE}
    to: {site: bus, topic: "SINK"}
    dead_letters: {site: bus, topic: dead}
    in_flight: 500
    steps: [{compute: {twice: body.n * 2}}]
"""
SOURCES = {"solace": "queue: orders", "kafka": "topic: orders, group: bridge, settings: {session.timeout.ms: 6000}"}
SINKS = {"solace": "ext/{region}", "kafka": "ext.{region}"}
PARTITIONED: dict[str, Any] = {
    "accessType": "non-exclusive",
    "partitionCount": PARTITIONS,
    "partitionRebalanceDelay": 1,
    "partitionRebalanceMaxHandoffTime": 3,
}


def together(seed: int, folder: Path, system: System) -> Outcome:
    """Start three, wait until each forwards, kill one with SIGKILL, and start one more."""
    die = Random(f"together {system} {seed}")
    with ExitStack() as ending:
        bus: Side
        if system == "solace":
            bus = solace = ending.enter_context(solace_side(folder, "bus"))
            solace.queue("orders", "orders/>", **PARTITIONED)
            solace.queue("arrived", "ext/>")
            topic, place = "orders/eu", "arrived"
        else:
            bus = kafka = ending.enter_context(kafka_side(folder, "bus"))
            for name in ("orders", "ext.eu", "dead"):
                kafka.topic(name, PARTITIONS)
            topic, place = "orders", "ext.eu"
        bridges = [ending.enter_context(bridging(folder, str(number))) for number in range(PROCESSES)]
        for bridge in bridges:
            bridge.write(BRIDGE.replace("SOURCE", SOURCES[system]).replace("SINK", SINKS[system]), {"bus": bus.target})
            bridge.start()
        feeder = Feeder(bus.endpoint, topic, MOST, RATE)
        feeder.start()
        shares = _shares(bridges)
        time.sleep(die.uniform(0.0, 1.0))
        killed = bridges[die.randrange(PROCESSES)]
        killed.kill()
        time.sleep(die.uniform(0.0, 2.0))
        killed.start()
        time.sleep(1.0)
        feeder.finish()
        feeder.join(120)
        out = read(Collector(bus.endpoint, place), len(feeder.acknowledged))
        codes = [bridge.stop() for bridge in bridges]
    numbers = out.numbers
    doubled = sum(times - 1 for number, times in numbers.items() if number not in feeder.doubtful)
    faults = [
        *said(feeder.acknowledged - set(numbers), "lost"),
        *said(set(numbers) - feeder.acknowledged, "that must not be there"),
        *([f"{doubled} doubled, 500 at most may be for each process that lost a partition"] if doubled > 1500 else []),
        *([] if all(shares) else [f"not every process forwarded: {shares}"]),
        *([] if not any(codes) else [f"exit codes {codes}"]),
        *out_of_order(feeder, out),
    ]
    figures = {
        "messages": feeder.count,
        "doubled": doubled,
        "smallest share %": 100 * min(shares) / max(1, sum(shares)),
    }
    return Outcome(tuple(faults), figures)


def _shares(bridges: list[Bridge]) -> list[float]:
    """What each forwarded by the time that all have, 30 s at most, and some seconds more."""
    deadline = time.monotonic() + 30.0
    while not all(shares := [one.counter("crep_bridge_acknowledged_total") for one in bridges]):
        if time.monotonic() > deadline:
            return shares
        time.sleep(0.1)
    time.sleep(SHARES_S)
    return [one.counter("crep_bridge_acknowledged_total") for one in bridges]
