"""An enrichment bridge through everything that can go wrong: what it promises of loss, doubles and order holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from soak.claim import Verdict
from tests.enrichment.journey import IN_FLIGHT, RATE, STALL_S, Outcome, System, journey
from tests.enrichment.once import STALL_S as LONG_STALL_S
from tests.enrichment.once import once
from tests.enrichment.together import PROCESSES, together


@dataclass(frozen=True)
class BridgeJourney:
    """From the Solace emulator to another broker, at least once."""

    name: str
    sink: System
    count: int = 20
    allowed: int = 0

    @property
    def text(self) -> str:
        """The sentence."""
        sink = {"solace": "another Solace emulator", "kafka": "a local Apache Kafka"}[self.sink]
        return (
            f"an enrichment bridge from the Solace emulator to {sink} with a lookup and a topic template, at "
            f"{RATE:,.0f} messages a second, while in random order the sink and the source are killed and come back, "
            f"the bridge is killed with SIGKILL twice, nothing passes to the sink for {STALL_S:g} s, the lookup's file "
            "is replaced, and each hundredth message is poison; a process that ends is started again: each message "
            "that the source acknowledged arrives enriched, or is dead-lettered; each fault and each start doubles at "
            f"most {IN_FLIGHT:,} (`in_flight`); those of each key arrive in order; the bridge's ledger adds up."
        )

    def trial(self, seed: int, folder: Path) -> Verdict:
        """One journey."""
        return _verdict(lambda: journey(seed, folder, self.sink))


@dataclass(frozen=True)
class ExactlyOnce:
    """Kafka to Kafka by transactions."""

    name: str
    count: int = 20
    allowed: int = 0

    @property
    def text(self) -> str:
        """The sentence."""
        return (
            f"two processes of a bridge with `exactly_once` on a local Apache Kafka, at {RATE:,.0f} messages a second, "
            "while in random order each is killed with SIGKILL and started again, one stands still for longer than its "
            "session lasts and goes on, the broker is killed and comes back, and nothing passes for "
            f"{LONG_STALL_S:g} s: a reader of committed messages sees what came of each message exactly once, dead "
            "letters too, and those of each key in order."
        )

    def trial(self, seed: int, folder: Path) -> Verdict:
        """One run of it."""
        return _verdict(lambda: once(seed, folder))


@dataclass(frozen=True)
class Together:
    """Several processes on one source."""

    name: str
    system: Literal["solace", "kafka"]
    count: int = 20
    allowed: int = 0

    @property
    def text(self) -> str:
        """The sentence."""
        source = {"solace": "a partitioned queue of the Solace emulator", "kafka": "a group on a local Apache Kafka"}
        return (
            f"{PROCESSES} processes of a bridge share {source[self.system]}; each of them forwards, one is killed with "
            "SIGKILL and comes back later: nothing is lost, and those of each key arrive in order."
        )

    def trial(self, seed: int, folder: Path) -> Verdict:
        """One run of it."""
        return _verdict(lambda: together(seed, folder, self.system))


def _verdict(trial: Callable[[], Outcome]) -> Verdict:
    outcome = trial()
    return Verdict(outcome.faults, outcome.figures)
