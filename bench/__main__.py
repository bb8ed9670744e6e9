"""``python -m bench [--quick] [--rounds N] [--only SECTION]``: measure, print, write into ``results/bench/``.

``bench.json`` lists every figure with its floor; ``<section>.json`` holds all that a section's figures were computed
from. Exit codes: 0 all was measured and meets its floor; 1 a floor was missed; 3 something could not be measured; 130
interrupted.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.figure import Figure, show
from bench.sections import FAILURES, SECTIONS, Measured, Session, share_of_time, too_late
from bench.session import ROUNDS
from crep.harness.runs.provenance import harness, host

FOLDER = Path("results/bench")
_WIDTH = 120  # columns that the tables need


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="bench", description="crep's engines and emulator against their floors")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"interleaved rounds, default {ROUNDS}")
    parser.add_argument("--quick", action="store_true", help="one round, little work: does it work at all?")
    parser.add_argument("--only", choices=SECTIONS, help="measure this section alone")
    chosen = parser.parse_args(arguments)
    if chosen.rounds < 1:
        parser.error("--rounds: at least 1")
    console = Console()
    console.width = max(console.width, _WIDTH)
    started_utc = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    session = Session(chosen.rounds, chosen.quick, console, host(), harness(), started_utc)
    figures: list[Figure] = []
    begin_s = time.monotonic()
    try:
        for name in [chosen.only] if chosen.only else SECTIONS:
            if chosen.only:
                measured = _section(name, session)
            elif too_late(name, time.monotonic() - begin_s):
                measured = _not_measured(name, "the machine is too busy: no time is left for it", session)
            else:
                measured = _section(name, replace(session, until_s=begin_s + share_of_time(name)))
            figures += measured.figures
            _write(FOLDER / f"{name}.json", dict(measured.details))
            _write(FOLDER / "bench.json", [one.to_json() for one in figures])  # an interrupted session keeps these
    except KeyboardInterrupt:
        console.print(f"interrupted: {FOLDER}/bench.json holds the sections that have ended", style="red")
        return 130
    show("All figures", figures, console)
    console.print(f"written: {FOLDER}/bench.json", highlight=False)
    if any(one.value is None for one in figures):
        return 3
    return 0 if all(one.ok for one in figures) else 1


def _section(name: str, session: Session) -> Measured:
    before_s = time.monotonic()
    try:
        measured = SECTIONS[name].measure(session)
    except FAILURES as error:
        measured = _not_measured(name, str(error), session)
    took_s = time.monotonic() - before_s
    session.say(f"{name}: {took_s:.0f} s; {SECTIONS[name].takes_s:.0f} s on a machine that does nothing else")
    return measured


def _not_measured(name: str, why: str, session: Session) -> Measured:
    session.console.print(f"not measured: {name}: {why}", style="red", highlight=False, markup=False)
    return Measured((Figure(name, None, "", detail=f"not measured: {why.splitlines()[0]}"),), {"failure": why})


def _write(path: Path, content: dict[str, Any] | list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
