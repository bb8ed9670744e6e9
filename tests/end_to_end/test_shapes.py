"""Shapes of load in one small campaign: a varied size, recorded arrivals, unequal keys, a message above the limit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.outside import SMALL, Crep

pytestmark = [pytest.mark.end_to_end, pytest.mark.emulator]

ABOVE_THE_LIMIT = "31 MB"  # Solace takes guaranteed messages of 30,000,000 B


def shapes() -> str:
    text = SMALL.replace("keys: 20", "keys: {count: 20, skew: zipf 1.1}").replace("lateness: 2 s", "lateness: 5 s")
    text = text.replace("{total: [{hold: 200/s, for: 3 s}]}", "{recorded: arrivals.txt}")
    return text + f"vary: {{message.size: [256 B, {ABOVE_THE_LIMIT}]}}\n"


def test_each_value_has_runs_of_its_own_and_what_is_too_large_is_rejected_with_the_reason(crep: Crep) -> None:
    times = [0.0, 0.01, 0.011, 0.5, 0.5, 1.4, 2.2]
    (crep.folder / "arrivals.txt").write_text("".join(f"{time}\n" for time in times))
    done = crep("run", crep.scenario(shapes()), "--on", "solace-emulator")
    runs = (path for path in crep.folder.rglob("run.json") if "latest" not in path.parts)
    found = {path.parents[2].name: path for path in runs}
    assert sorted(found) == ["small@256-B", "small@31-MB"], done.stdout + done.stderr
    small, large = (document(found[name]) for name in sorted(found))
    [channel] = small["results"]["channels"]
    assert channel["acknowledged"] == channel["handed_over"] == len(times) + 2  # 7 in 3 s are 2 in a second of warm-up
    [channel] = large["results"]["channels"]
    assert channel["rejected"] == channel["handed_over"] == len(times) + 2
    assert any("exceeds maximum" in reason for reason in channel["rejection_reasons"])
    assert large["scenario"]["varied"] == {"message.size": ABOVE_THE_LIMIT}
    (crep.folder / "arrivals.txt").unlink()  # a run folder stands alone
    assert (found["small@256-B"].parent / "inputs" / "arrivals.txt").is_file()
    verified = crep("verify", *(str(path.parent) for path in found.values()))
    assert verified.returncode == 0, verified.stdout + verified.stderr
    report = json.loads((crep.folder / "results" / "small" / "report.json").read_text())
    assert [point["value"] for point in report["sweeps"][0]["points"]] == ["256 B", ABOVE_THE_LIMIT]


def document(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(path.read_text())
    return loaded
