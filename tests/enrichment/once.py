"""Two processes of a bridge with ``exactly_once`` while everything goes wrong; then each message must be there once."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from random import Random

from tests.enrichment.journey import MOST, RATE, Outcome, out_of_order, read, said
from tests.enrichment.live import Bridge, Collected, Collector, Feeder, Supervisor, bridging
from tests.enrichment.sides import KafkaSide, kafka_side

STANDS_STILL_S = 8.0  # longer than the session below
STALL_S = 14.0  # longer than a transaction may be open (3 s): the broker looks for such ones every 10 s
BRIDGE = """
bridge: once
sites: {bus: {target: bus}}
routes:
  orders:
    from: {site: bus, topic: orders, group: bridge, settings: {session.timeout.ms: 6000}}
    to: {site: bus, topic: "ext.{region}", settings: {transaction.timeout.ms: 3000}}
    dead_letters: {site: bus, topic: dead}
    exactly_once: true
    steps: [{compute: {twice: body.n * 2}}]
"""


def once(seed: int, folder: Path) -> Outcome:
    """See the module; in random order."""
    die = Random(f"once {seed}")
    with ExitStack() as ending:
        kafka = ending.enter_context(kafka_side(folder, "bus"))
        for topic in ("orders", "ext.eu", "dead"):
            kafka.topic(topic)
        bridges = [ending.enter_context(bridging(folder, name)) for name in ("a", "b")]
        for bridge in bridges:
            bridge.write(BRIDGE, {"bus": kafka.target})
        supervisors = [Supervisor(bridge) for bridge in bridges]
        for supervisor in supervisors:
            supervisor.start()
        feeder = Feeder(kafka.endpoint, "orders", MOST, RATE, broken_every=100)
        feeder.start()
        _go_wrong(die, bridges, kafka)
        feeder.finish()
        feeder.join(120)
        wanted = feeder.acknowledged - feeder.broken
        out = read(Collector(kafka.endpoint, "ext.eu"), len(wanted))
        dead = read(Collector(kafka.endpoint, "dead"), len(feeder.broken))
        for supervisor in supervisors:
            supervisor.end()
        codes = [bridge.stop() for bridge in bridges]
        logs = [bridge.log for bridge in bridges]
        given_back = sum(bridge.ledger["orders"]["given_back"] for bridge in bridges if bridge.ledger)
    found = [f"exit code {code}: {log[-500:]}" for code, log in zip(codes, logs, strict=True) if code]
    return Outcome(
        (*_faults(feeder, out, dead), *found),
        {
            "messages": feeder.count,
            "started": sum(supervisor.starts for supervisor in supervisors),
            "dead letters": len(dead.messages),
            "aborted transactions": sum(log.count('"event":"transaction aborted"') for log in logs),
            "producers replaced": sum(log.count("transactional producer is replaced") for log in logs),
            "given back by the last processes": given_back,
        },
    )


def _go_wrong(die: Random, bridges: list[Bridge], kafka: KafkaSide) -> None:
    def stand_still() -> None:
        bridge = die.choice(bridges)
        bridge.signal(signal.SIGSTOP)
        time.sleep(STANDS_STILL_S)
        bridge.signal(signal.SIGCONT)

    def restart() -> None:
        kafka.kill()
        time.sleep(die.uniform(0.0, 1.0))
        kafka.start()

    def stall() -> None:
        kafka.stall()
        time.sleep(STALL_S)
        kafka.heal()

    happenings: list[Callable[[], None]] = [stand_still, restart, stall]
    happenings += [lambda one=one: one.signal(signal.SIGKILL) for one in bridges]  # type: ignore[misc]
    die.shuffle(happenings)
    for bridge in bridges:
        bridge.has_forwarded(200, 90)  # both have joined
    for happens in happenings:
        time.sleep(die.uniform(0.2, 1.5))
        happens()
    time.sleep(1.0)


def _faults(feeder: Feeder, out: Collected, dead: Collected) -> list[str]:
    """The feeder's own producer is idempotent, so even what it had to send again lies at the source in its order."""
    wanted, numbers = feeder.acknowledged - feeder.broken, out.numbers
    buried = Counter(str(message.message_id) for message in dead.messages)
    sure = {number: times for number, times in numbers.items() if number not in feeder.doubtful}
    twice = [number for number, times in sure.items() if times > 1]
    buried_twice = [name for name, times in buried.items() if times > 1 and int(name[2:]) not in feeder.doubtful]
    return [
        *said(wanted - set(numbers), "lost"),
        *said(set(numbers) - wanted, "that must not be there"),
        *said(twice, "there twice"),
        *said({f"m-{number}" for number in feeder.broken} ^ set(buried), "missing or strange dead letters"),
        *said(buried_twice, "buried twice"),
        *out_of_order(feeder, out),
    ]
