"""The record: one JSON line per trial, appended when it has ended, one file per commit. A rerun goes on from it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

FOLDER = Path("results/soak")


@dataclass(frozen=True)
class Trial:
    """One trial that has ended."""

    claim: str
    seed: int
    held: bool
    why: list[str]
    figures: dict[str, float]
    started_utc: str
    seconds: float
    commit: str
    host: str


def file_of(folder: Path, commit: str) -> Path:
    """Where the trials of a commit are kept."""
    return folder / f"{commit}.jsonl"


def append(path: Path, trial: Trial) -> None:
    """Add one line, safe on disk when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torn = path.exists() and not path.read_bytes().endswith(b"\n") and path.stat().st_size > 0
    with path.open("a", encoding="utf-8") as file:
        file.write(("\n" if torn else "") + json.dumps(asdict(trial)) + "\n")
        file.flush()
        os.fsync(file.fileno())


def read(path: Path) -> list[Trial]:
    """Every trial of a file; a line that was cut off by a kill is passed over, its trial will be made again."""
    if not path.exists():
        return []
    trials = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            trials.append(Trial(**json.loads(line)))
        except json.JSONDecodeError:
            continue
    return trials


def missing(trials: Iterable[Trial], claim: str, count: int) -> list[int]:
    """Seeds 1…``count`` of a claim that have not been tried."""
    tried = {trial.seed for trial in trials if trial.claim == claim}
    return [seed for seed in range(1, count + 1) if seed not in tried]
