"""A bridge under load while everything goes wrong, one thing after the other by a seed; then what is there is judged.

Used by tests (few kills) and by the soak (many).
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Literal

import orjson

from tests.enrichment.live import Bridge, Collected, Collector, Feeder, Supervisor, bridging, customers
from tests.enrichment.sides import Side, kafka_side, solace_side

RATE = 2000.0
STALL_S = 5.0
IN_FLIGHT = 1000
MOST = 10_000_000
BRIDGE = """
bridge: journey
sites: {{internal: {{target: internal}}, external: {{target: external}}}}
lookups:
  customers: {{table: customers.csv, key: id, reload: 200 ms}}
routes:
  orders:
    from: {{site: internal, queue: orders}}
    to: {{site: external, topic: "{topic}"}}
    dead_letters: {{site: internal, topic: dead/orders}}
    in_flight: {in_flight}
    steps:
      - lookup: {{in: customers, by: customer_id, into: customer}}
"""
System = Literal["solace", "kafka"]


@dataclass
class Outcome:
    """What broke the promises, and figures."""

    faults: tuple[str, ...]
    figures: Mapping[str, float] = field(default_factory=dict)


def journey(seed: int, folder: Path, sink: System, *, bridge_kills: int = 2) -> Outcome:
    """From Solace to another broker with a lookup and a topic template, at 2,000 messages a second.

    In random order: the sink and the source are killed and come back, the bridge is killed with SIGKILL and started
    again, nothing passes to the sink for 5 s, the lookup's file is replaced. Each hundredth message is poison.
    """
    die = Random(f"journey {sink} {seed}")
    with ExitStack() as ending:
        inside = ending.enter_context(solace_side(folder, "inside"))
        inside.queue("orders", "orders/>")
        inside.queue("dead", "dead/>")
        outside: Side
        if sink == "solace":
            outside = solace = ending.enter_context(solace_side(folder, "outside"))
            solace.queue("arrived", "ext/>")
            place, topic = "arrived", "ext/{region}/{type}"
        else:
            outside = kafka = ending.enter_context(kafka_side(folder, "outside"))
            kafka.topic("ext.eu.new")
            place, topic = "ext.eu.new", "ext.{region}.{type}"
        customers(folder, "first")
        bridge = ending.enter_context(bridging(folder))
        bridge.write(
            BRIDGE.format(topic=topic, in_flight=IN_FLIGHT), {"internal": inside.target, "external": outside.target}
        )
        feeder = Feeder(inside.endpoint, "orders/eu/new", MOST, RATE, broken_every=100)
        supervisor = Supervisor(bridge)
        supervisor.start()
        feeder.start()
        _go_wrong(die, bridge, inside, outside, lambda: customers(folder, "second"), bridge_kills)
        feeder.finish()
        feeder.join(120)
        wanted = feeder.acknowledged - feeder.broken
        out = read(Collector(outside.endpoint, place), len(wanted))
        dead = read(Collector(inside.endpoint, "dead"), len(feeder.broken))
        supervisor.end()
        code = bridge.stop()
    doubling = supervisor.starts - 1 + 3  # the bridge, the sink, the source and the stall
    faults = _faults(feeder, out, dead, IN_FLIGHT * doubling) + (
        [] if code == 0 else [f"exit code {code}: {bridge.log}"]
    )
    numbers = out.numbers
    return Outcome(
        tuple(faults),
        {
            "messages": feeder.count,
            "started": supervisor.starts,
            "doubled": numbers.total() - len(numbers),
            "doubled at most": IN_FLIGHT * doubling,
            "dead letters": len({m.message_id for m in dead.messages}),
        },
    )


def _go_wrong(
    die: Random, bridge: Bridge, inside: Side, outside: Side, reload: Callable[[], None], bridge_kills: int
) -> None:
    def restart(side: Side) -> None:
        side.kill()
        time.sleep(die.uniform(0.0, 1.5))
        side.start()

    def stall() -> None:
        outside.stall()
        time.sleep(STALL_S)
        outside.heal()

    happenings: list[Callable[[], None]] = [lambda: restart(inside), lambda: restart(outside), stall, reload]
    happenings += [lambda: bridge.signal(signal.SIGKILL)] * bridge_kills
    die.shuffle(happenings)
    bridge.has_forwarded(500, 90)
    for happens in happenings:
        time.sleep(die.uniform(0.2, 1.5))
        happens()
    time.sleep(1.0)


def read(collector: Collector, count: int) -> Collected:
    """All that is there once so many different messages have come, or nothing new for a minute and a half."""
    collector.start()
    found = collector.all(count, 90)
    collector.end()
    return found


def said(which: Collection[object], what: str) -> list[str]:
    """A fault in words; none where there are none."""
    return [f"{len(which)} {what}, for example {sorted(which, key=str)[:5]}"] if which else []


def out_of_order(feeder: Feeder, out: Collected) -> list[str]:
    """Keys whose messages came in another order than they were sent; each counts by its first arrival."""
    orders = {key: [n for n in out.first_order(key) if n not in feeder.doubtful] for key in map(str, range(10))}
    wrong = {
        key: next((a, b) for a, b in pairwise(order) if a > b)
        for key, order in orders.items()
        if order != sorted(order)
    }
    return said([f"{key}: {place}" for key, place in wrong.items()], "keys out of order")


def _faults(feeder: Feeder, out: Collected, dead: Collected, doubled_at_most: int) -> list[str]:
    """What is lost, strange, doubled too often, in another order, or not enriched."""
    wanted, numbers = feeder.acknowledged - feeder.broken, out.numbers
    buried = {m.message_id for m in dead.messages}
    doubled = sum(times - 1 for number, times in numbers.items() if number not in feeder.doubtful)
    return [
        *said(set(range(feeder.count)) - feeder.acknowledged, "never taken by the source"),
        *said(wanted - set(numbers), "lost"),
        *said(set(numbers) - wanted, "that must not be there"),
        *([f"{doubled} doubled, at most {doubled_at_most} may be"] if doubled > doubled_at_most else []),
        *said({f"m-{number}" for number in feeder.broken} ^ buried, "missing or strange dead letters"),
        *out_of_order(feeder, out),
        *_enriched(out),
    ]


def _enriched(out: Collected) -> list[str]:
    """Each has the row of its customer, as one of the two files has it; the second one was taken in."""
    names = [(body["customer_id"], body["customer"]["name"]) for body in map(orjson.loads, _payloads(out))]
    wrong = [name for customer, name in names if name not in {f"first-{customer}", f"second-{customer}"}]
    found = [f"{len(wrong)} with a wrong name, for example {wrong[0]}"] if wrong else []
    seen = {name.partition("-")[0] for _, name in names}
    return found if seen == {"first", "second"} else [*found, f"only the lookup files {sorted(seen)} were used"]


def _payloads(out: Collected) -> list[bytes]:
    return [message.payload for message in out.messages]
