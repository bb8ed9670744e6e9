"""A service whose jobs go through kills, one after the other by a seed; then what has arrived is judged.

Used by the soak; the tests of the service kill once each.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from crep.harness.brokers.contract import Message
from crep.harness.brokers.registry import adapter
from crep.harness.brokers.streams import SourceSpec
from crep.replay.archive import Archive
from tests.emulator.process import Emulator, running
from tests.enrichment.live import new_vpn, solace, target_of
from tests.replay.service.serving import API, Served, serving

COUNT = 40_000
KEYS = 50
RATE = 2000
WINDOW = 500
KILLS = 4


@dataclass(frozen=True)
class Outcome:
    """What broke the promises, and figures."""

    faults: tuple[str, ...]
    figures: Mapping[str, float] = field(default_factory=dict)


def journey(seed: int, folder: Path, *, count: int = COUNT, kills: int = KILLS) -> Outcome:
    """A replay of an archive to the Solace emulator at a rate, while the service, or the job's own process, is killed
    at random moments.
    """
    die = Random(f"replay service {seed}")
    _write_archive(folder / "archives" / "orders", count)
    with running(folder / "emulator", "--sync", "batch") as emulator, serving(folder) as served:
        new_vpn(emulator, "out")
        emulator.queue("again", "again/>", vpn="out")
        served.targets({"solace": target_of(solace(emulator, "out"), emulator.ready["semp"])})
        served.start()
        job_id = served.order(
            {
                "kind": "replay",
                "from": {"archive": "orders"},
                "to": {"target": "solace"},
                "remap": [{"topic": "*", "to": "again/{1}"}],
                "pace": f"{RATE}/s",
                "window": WINDOW,
            }
        )
        done = 0
        for _ in range(kills):
            done = _kill(served, job_id, die, done + die.randrange(count // (2 * kills), count // (kills + 2)))
        job = served.until(job_id, "completed", within_s=count / RATE + 60)
        return _judge(job, _arrived(emulator, count), count, kills)


def _write_archive(folder: Path, count: int) -> None:
    archive = Archive(folder, {"target": "kafka", "place": "orders", "system": "kafka"})
    archive.append(
        [
            (1_700_000_000_000_000 + number * 1000, Message("orders", b"%d" % number, key=str(number % KEYS)))
            for number in range(count)
        ]
    )
    archive.close()


def _kill(served: Served, job_id: str, die: Random, after: int) -> int:
    """SIGKILL the service, or the job's process, when so many messages are acknowledged; and start or resume it."""
    job = served.until(job_id, "running", progress=("acknowledged", after))
    time.sleep(die.random() * 0.3)
    if die.random() < 0.5:
        served.kill()
        served.start()
    else:
        os.kill(served.worker(job_id), signal.SIGKILL)
        served.until(job_id, "interrupted")
        assert served.ask("POST", f"{API}/jobs/{job_id}/resume").status_code == 202
    done: int = job["progress"]["acknowledged"]
    return done


def _arrived(emulator: Emulator, count: int) -> list[int]:
    """Until all have come, or nothing came for long; and a moment longer for what is too much."""
    source = adapter("solace").source(SourceSpec(solace(emulator, "out"), "reader", ("again",)))
    source.open()
    found: list[int] = []
    try:
        while messages := source.receive(2000, 1.0 if len(set(found)) >= count else 30.0):
            found += [int(message.payload) for message in messages]
            source.accept(messages)
    finally:
        source.close()
    return found


def _judge(job: Mapping[str, Any], arrived: list[int], count: int, kills: int) -> Outcome:
    ledger, copies = job["ledger"], Counter(arrived)
    doubled = len(arrived) - len(copies)
    faults = []
    if (ledger["selected"], ledger["acknowledged"], ledger["rejected"]) != (count, count, 0):
        faults.append(f"the ledger does not add up: {ledger}")
    if lost := count - len(copies):
        faults.append(f"{lost} messages are lost")
    if doubled > ledger["maybe_doubled"] or ledger["maybe_doubled"] > kills * WINDOW:
        faults.append(f"{doubled} are doubled, {ledger['maybe_doubled']} may be by the ledger, {kills} kills")
    for key in range(KEYS):
        first = list(dict.fromkeys(number for number in arrived if number % KEYS == key))
        if first != sorted(first):
            faults.append(f"messages of key {key} arrived out of order")
    return Outcome(tuple(faults), {"doubled": doubled, "maybe doubled by the ledger": ledger["maybe_doubled"]})
