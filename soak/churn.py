"""Connections to the Solace emulator come and go for minutes: its memory is flat, and nothing of them stays behind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from soak.claim import Verdict
from tests.emulator.churning import BYTES_PER_CONNECTION, NOISE_BYTES, trial


@dataclass(frozen=True)
class Churn:
    """Ten minutes of it; so long that few trials say much."""

    name: str
    minutes: float = 10.0
    count: int = 3
    allowed: int = 0

    @property
    def text(self) -> str:
        """The sentence."""
        return (
            f"the Solace emulator under {self.minutes:g} minutes of connection churn (official clients that subscribe, "
            "publish, bind and make temporary queues, lose their connections, come back or vanish; bare connections "
            "that end in the middle of a frame): between its second and its last quarter its resident memory grows by "
            f"no more than {NOISE_BYTES // 1024**2} MiB and {BYTES_PER_CONNECTION} bytes for each connection, and "
            "afterwards file descriptors, threads, clients, queues, messages and flows are as many as before."
        )

    def trial(self, seed: int, folder: Path) -> Verdict:
        """One time of churn."""
        outcome = trial(seed, folder, self.minutes * 60, abandon=True)
        return Verdict(outcome.faults, outcome.figures)
