"""The Solace emulator is killed with SIGKILL under load: what it had acknowledged comes, once or flagged, in order."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from soak.claim import Verdict
from tests.emulator.killing import KILLS, PUBLISHERS, trial


@dataclass(frozen=True)
class Journal:
    """Publish and consume, kill and restart at random times, read to the end; what is not synced is lost by turns."""

    name: str
    count: int = 50
    allowed: int = 0

    @property
    def text(self) -> str:
        """The sentence."""
        return (
            f"the Solace emulator, killed with SIGKILL and restarted {KILLS} times at random moments while "
            f"{PUBLISHERS} official clients publish persistent messages with full windows and one consumes, delivers "
            "every acknowledged message, none twice without the redelivered flag, none that was refused or never "
            "sent, and those of each publisher in order; with each `--sync` mode, and with `--sync batch` also when "
            "the bytes after the last sync are cut, zeroed or garbled."
        )

    def trial(self, seed: int, folder: Path) -> Verdict:
        """One trial of the function that the tests use."""
        outcome = trial(seed, folder)
        return Verdict(outcome.faults, outcome.figures)
