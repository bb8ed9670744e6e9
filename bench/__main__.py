"""``python -m bench [--quick] [--rounds N] [--only SECTION]``: measure, print, write into ``results/``.

Sections: ``engines`` (crep's engines, ``bench.json``) and ``emulator-depth`` (a deep queue on the emulator,
``bench-emulator-depth.json``). Exit codes: 0 all was measured; 1 a floor was missed; 3 something could not be measured;
130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from bench import emulator_depth
from bench.session import ROUNDS, measure
from bench.smf import SmfError
from bench.table import show, to_json
from crep.harness.runs.provenance import harness, host
from crep.solace_emulator.testing import EmulatorError

WRITTEN = Path("results/bench.json")
DEPTH_WRITTEN = Path("results/bench-emulator-depth.json")
SECTIONS = ("engines", "emulator-depth")
_WIDTH = 120  # columns that the tables need
_QUICK_DEPTH = 50_000  # messages


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="bench", description="crep's engines against bare client loops")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"interleaved rounds, default {ROUNDS}")
    parser.add_argument("--quick", action="store_true", help="one round, a shallow queue: does it work at all?")
    parser.add_argument("--only", choices=SECTIONS, help="measure this section alone")
    chosen = parser.parse_args(arguments)
    if chosen.rounds < 1:
        parser.error("--rounds: at least 1")
    console = Console()
    console.width = max(console.width, _WIDTH)
    codes = [0]
    try:
        if chosen.only in (None, "engines"):
            codes.append(_engines(1 if chosen.quick else chosen.rounds, console))
        if chosen.only in (None, "emulator-depth"):
            codes.append(_depth(_QUICK_DEPTH if chosen.quick else emulator_depth.MESSAGES, console))
    except KeyboardInterrupt:
        console.print("interrupted: nothing is reported of a session that did not end", style="red")
        return 130
    return max(codes)


def _engines(rounds: int, console: Console) -> int:
    started_utc = _now_utc()
    place = host(), harness()
    bench = measure(rounds, lambda text: console.print(text, style="dim"))
    show(bench, *place, started_utc, console)
    _write(WRITTEN, to_json(bench, *place, started_utc), console)
    return 3 if bench.failures else 0


def _depth(messages: int, console: Console) -> int:
    started_utc = _now_utc()
    place = host(), harness()
    try:
        depth = emulator_depth.measure(messages, emulator_depth.SIZE, lambda text: console.print(text, style="dim"))
    except (EmulatorError, SmfError, OSError) as error:
        console.print(f"not measured: the emulator's deep queue: {error}", style="red", highlight=False, markup=False)
        return 3
    emulator_depth.show(depth, console)
    _write(DEPTH_WRITTEN, emulator_depth.to_json(depth, *place, started_utc), console)
    return 1 if depth.missed else 0


def _now_utc() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _write(path: Path, content: dict[str, object], console: Console) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    console.print(f"written: {path}", highlight=False)


if __name__ == "__main__":
    sys.exit(main())
