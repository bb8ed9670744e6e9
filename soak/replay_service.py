"""The replay service through kills: what it promises of loss, doubles and order holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from soak.claim import Verdict
from tests.replay.service.journey import COUNT, KILLS, RATE, WINDOW, journey


@dataclass(frozen=True)
class ServiceKilled:
    """A replay as a job of the service, to the Solace emulator."""

    name: str
    count: int = 20
    allowed: int = 0

    @property
    def text(self) -> str:
        """The sentence."""
        return (
            f"a job of the replay service sends {COUNT:,} messages to the Solace emulator at {RATE:,} a second, while "
            f"the service or the job's own process is killed with SIGKILL {KILLS} times: the service goes on with the "
            "job when it is started again, each message arrives, those of each key in order, the ledger adds up, and "
            f"no more are doubled than it says, at most {WINDOW} (the job's window) for each kill."
        )

    def trial(self, seed: int, folder: Path) -> Verdict:
        """One journey."""
        outcome = journey(seed, folder)
        return Verdict(outcome.faults, outcome.figures)
