"""``python -m soak [--only NAME]… [--count N] [--minutes M] [--page]``: go on with the trials of this commit.

Each trial that ends is one line of ``results/soak/<commit>.jsonl``; Ctrl-C loses the running one only. What a trial
that did not hold has left is kept under ``results/soak/failed``.

Exit codes: 0 every claim held in all trials on record for this commit, but for as many as it allows; 1 one did not; 3 a
trial could not be made; 130 interrupted.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import chain, zip_longest
from pathlib import Path

from rich.console import Console

from crep.harness.config.errors import CrepError
from crep.harness.runs.provenance import harness, host
from soak.claim import Claim
from soak.claims import CLAIMS
from soak.lies import children_find_the_broker
from soak.page import page
from soak.trials import FOLDER, Trial, append, file_of, missing, read

PAGE = Path("docs/soak.md")
CHECKOUT = Path(__file__).parents[1]


def main(arguments: list[str] | None = None) -> int:
    """Make the trials that are missing, then write the page."""
    chosen = _parse(arguments)
    console = Console(highlight=False)
    claims = [claim for claim in CLAIMS if not chosen.only or claim.name in chosen.only]
    children_find_the_broker(CHECKOUT)
    code = 0
    tried = commit()
    path = file_of(FOLDER, tried)
    if not chosen.page:
        try:
            _make(claims, tried, chosen.count, chosen.minutes, console)
        except KeyboardInterrupt:
            console.print("interrupted; what has ended is on record", style="red")
            code = 130
        except CrepError as error:
            console.print(f"a trial could not be made: {error}", style="red", markup=False)
            code = error.exit_code
    everything = list(chain.from_iterable(read(file) for file in sorted(FOLDER.glob("*.jsonl"))))
    earlier = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    PAGE.write_text(page(CLAIMS, everything, earlier), encoding="utf-8")
    console.print(f"written: {PAGE}")
    return code or int(any(broken(claim, read(path)) for claim in CLAIMS))


def broken(claim: Claim, trials: Sequence[Trial]) -> bool:
    """Whether more trials of the claim did not hold than it allows."""
    return sum(trial.claim == claim.name and not trial.held for trial in trials) > claim.allowed


def commit() -> str:
    """The commit that is tried, told apart from one with changes."""
    tried = harness()
    return (tried.commit or "no-checkout") + ("-modified" if tried.modified else "")


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="soak", description="try crep's claims often; resumable")
    names = [claim.name for claim in CLAIMS]
    parser.add_argument("--only", action="append", choices=names, help="this claim; repeat it")
    parser.add_argument("--count", type=int, help="trials of each claim, instead of its own count")
    parser.add_argument("--minutes", type=float, help="start no trial after so many minutes")
    parser.add_argument("--page", action="store_true", help="only write the page from what is on record")
    chosen = parser.parse_args(arguments)
    if chosen.count is not None and chosen.count < 1:
        parser.error("--count: at least 1")
    return chosen


def in_turn(claims: Sequence[Claim], done: Sequence[Trial], count: int | None) -> list[tuple[Claim, int]]:
    """What is to be tried, one of each claim after the other, so that a short soak tries them all."""
    columns = [[(claim, seed) for seed in missing(done, claim.name, count or claim.count)] for claim in claims]
    return [entry for row in zip_longest(*columns) for entry in row if entry is not None]


def _make(claims: Sequence[Claim], tried: str, count: int | None, minutes: float | None, console: Console) -> None:
    machine, path, begun = host(), file_of(FOLDER, tried), time.monotonic()
    todo = in_turn(claims, read(path), count)
    for number, (claim, seed) in enumerate(todo, 1):
        if minutes is not None and time.monotonic() - begun > minutes * 60:
            console.print(f"time is up, {len(todo) - number + 1} trials are left")
            return
        folder = Path(tempfile.mkdtemp(prefix=f"soak-{claim.name}-{seed}-"))
        started = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        since = time.monotonic()
        try:
            verdict = claim.trial(seed, folder)
            seconds = round(time.monotonic() - since, 1)
            if not verdict.held:
                _keep(folder, FOLDER / "failed" / f"{tried}-{claim.name}-{seed}")
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        words = f"{machine.cpu}, {machine.cores} cores"
        trial = Trial(
            claim.name, seed, verdict.held, list(verdict.why), dict(verdict.figures), started, seconds, tried, words
        )
        append(path, trial)
        outcome = "held" if verdict.held else "DID NOT HOLD: " + "; ".join(verdict.why)
        console.print(f"{number}/{len(todo)} {claim.name}, seed {seed}, {seconds:.0f} s: {outcome}", markup=False)


def _keep(folder: Path, kept: Path) -> None:
    shutil.rmtree(kept, ignore_errors=True)
    kept.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(folder, kept, ignore_dangling_symlinks=True, symlinks=True)


if __name__ == "__main__":
    sys.exit(main())
