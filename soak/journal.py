"""The Solace emulator is killed with SIGKILL while it takes messages: what it had acknowledged is there afterwards."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from pathlib import Path

from crep.harness.brokers.contract import ChannelSpec, Durability, ReaderSpec
from crep.harness.brokers.mapping import load_mapping
from crep.harness.brokers.registry import DEFAULT_MAPPINGS, adapter
from crep.harness.config.targets import Target
from crep.harness.deployment import Deployment, deploy
from crep.harness.load.engines import PublisherDone, Said, Window
from soak import records
from soak.claim import Verdict
from soak.kill import channel_faults

TARGET = Target(name="solace-soak", system="solace", source="embedded", profile="quick", mapping=None, port=0)
READER = ReaderSpec("audit", "exclusive", 1, "at-least-once", order="per-key")
KEYS = 20
RATE, FOR_S = 1500.0, 30.0
"""Far more than is sent before the kill."""
LATEST_KILL_S = 4.0
UP_WITHIN_S = 60.0
SETTLED_WITHIN_S = 30.0
READ_WITHIN_S = 60.0
QUIET_S = 2.0


@dataclass(frozen=True)
class Journal:
    """Publish, kill at a random time, end the publisher, restart, read the queue to its end."""

    name: str
    count: int = 50

    @property
    def text(self) -> str:
        """The sentence."""
        return (
            "the Solace emulator, killed with SIGKILL at a random time while it takes persistent messages and started "
            "again on the same folder, holds every acknowledged message once, in order and intact, and nothing that "
            "was never sent; what had no outcome yet is there once or not at all."
        )

    def trial(self, seed: int, folder: Path) -> Verdict:
        """One kill."""
        chance = random.Random(f"{self.name} {seed}")  # noqa: S311 - a trial is to be repeatable
        kill_s = round(chance.uniform(0.2, LATEST_KILL_S), 3)
        deployment = deploy(TARGET, folder / "broker")
        deployment.start(lambda _: None)
        try:
            return self._kill_and_read(deployment, seed, kill_s, folder)
        finally:
            deployment.stop()

    def _kill_and_read(self, deployment: Deployment, seed: int, kill_s: float, folder: Path) -> Verdict:
        endpoint, mapping = deployment.endpoint(), load_mapping(DEFAULT_MAPPINGS["solace"])
        [node] = deployment.nodes
        spec = ChannelSpec(records.CHANNEL, records.TOPICS, KEYS, (READER,), Durability(1, "disk"))
        admin = adapter(endpoint.system).admin(endpoint)
        try:
            objects = admin.provision(f"soak{seed}", [spec], mapping).objects[records.CHANNEL]
        finally:
            admin.close()
        plan = records.publisher_plan(seed=seed, rate=RATE, for_s=FOR_S, keys=KEYS)
        publisher = records.publisher(plan, endpoint, objects, mapping.publisher, f"p-{seed}")
        with records.running([publisher], [], run_number=seed, folder=folder) as engines:
            start_ns = records.soon_ns()
            engines.go(start_ns)
            time.sleep(max(0.0, (start_ns - time.monotonic_ns()) / 1e9 + kill_s))
            deployment.kill_node(node)
            engines.stop_publishers()  # so that nothing is sent again after the restart
            records.listen(
                engines, SETTLED_WITHIN_S, lambda heard: any(isinstance(one, PublisherDone) for one in heard)
            )
            engines.finish(records.FINISH_WITHIN_S)
        down_ns = time.monotonic_ns()
        deployment.start_node(node)
        while not deployment.probe_node(node):
            if time.monotonic_ns() - down_ns > UP_WITHIN_S * 1e9:
                return Verdict((f"killed after {kill_s} s: not back within {UP_WITHIN_S:.0f} s",))
            time.sleep(0.05)
        up_s = (time.monotonic_ns() - down_ns) / 1e9
        readers = records.subscribers([READER], endpoint, objects, mapping.subscriber, f"s-{seed}")
        with records.running([], readers, run_number=seed, folder=folder) as engines:
            engines.go(time.monotonic_ns())
            records.listen(engines, READ_WITHIN_S, _Quiet())
            engines.finish(records.FINISH_WITHIN_S)
        channel, ledgers, _ = records.judged(folder, [READER])
        audit = ledgers[READER.name]
        never = ("lost", "corrupt", "foreign", "unexpected", "rejected_received", "reordered", "reordered_allowed")
        doubled = ("duplicates_flagged", "duplicates_unflagged", "duplicates_flag_not_offered")
        why = [f"{getattr(audit, kind)} {kind}" for kind in (*never, *doubled) if getattr(audit, kind)]
        why += channel_faults(channel)
        figures = {
            "kill at s": kill_s,
            "acknowledged": float(channel.acknowledged),
            "without an outcome": float(channel.unknown),
            "of these there": float(audit.unknown_received),
            "back after s": round(up_s, 2),
        }
        return Verdict(tuple(f"killed after {kill_s} s: {words}" for words in why), figures)


class _Quiet:
    """True when nothing new was received for a while."""

    def __init__(self) -> None:
        self._windows = 0
        self._since = time.monotonic()

    def __call__(self, heard: list[Said]) -> bool:
        windows = sum(isinstance(one, Window) and bool(one.counters.get("received")) for one in heard)
        if windows != self._windows:
            self._windows, self._since = windows, time.monotonic()
        return time.monotonic() - self._since > QUIET_S
