"""``python -m bench [--quick] [--rounds N]``: measure, print, write ``results/bench.json``.

Exit codes: 0 all was measured; 3 something could not be; 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from bench.session import ROUNDS, measure
from bench.table import show, to_json
from crep.harness.runs.provenance import harness, host

WRITTEN = Path("results/bench.json")
_WIDTH = 120  # columns that the tables need


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="bench", description="crep's engines against bare client loops")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"interleaved rounds, default {ROUNDS}")
    parser.add_argument("--quick", action="store_true", help="one round: does it work at all?")
    chosen = parser.parse_args(arguments)
    if chosen.rounds < 1:
        parser.error("--rounds: at least 1")
    console = Console()
    console.width = max(console.width, _WIDTH)
    started_utc = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    place = host(), harness()
    try:
        bench = measure(1 if chosen.quick else chosen.rounds, lambda text: console.print(text, style="dim"))
    except KeyboardInterrupt:
        console.print("interrupted: nothing is reported of a session that did not end", style="red")
        return 130
    show(bench, *place, started_utc, console)
    WRITTEN.parent.mkdir(parents=True, exist_ok=True)
    WRITTEN.write_text(json.dumps(to_json(bench, *place, started_utc), indent=1) + "\n", encoding="utf-8")
    console.print(f"written: {WRITTEN}", highlight=False)
    return 3 if bench.failures else 0


if __name__ == "__main__":
    sys.exit(main())
