"""A small campaign on the emulator, made once: one run that keeps the rules that it can, and one that is too late."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.outside import SMALL, Crep

KEPT = SMALL.replace("scenario: small", "scenario: kept") + "  - billing.latency.p99 < 1 s\n"
LATE = SMALL.replace("scenario: small", "scenario: late").replace("lateness: 2 s", "lateness: 1 us")
"""No client can keep to a microsecond."""


@dataclass(frozen=True)
class Made:
    """What the campaign left: ``exit_code`` of the command, its output, and the folder of all results."""

    crep: Crep
    exit_code: int
    output: str
    results: Path

    def folder(self, scenario: str) -> Path:
        """The run folder of a scenario's only repetition."""
        [found] = self.results.glob(f"method/2*/{scenario}/*/1/run.json")
        return found.parent

    def run(self, scenario: str) -> dict[str, Any]:
        """Its ``run.json``."""
        found: dict[str, Any] = json.loads((self.folder(scenario) / "run.json").read_text())
        return found

    def report(self, scenario: str) -> dict[str, Any]:
        """What ``report.json`` says of a scenario."""
        comparison = json.loads((self.results / "method" / "report.json").read_text())
        [found] = [one for one in comparison["scenarios"] if one["name"] == scenario]
        return dict(found)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """``crep run`` of both on the emulator, and its report."""
    crep = Crep(tmp_path_factory.mktemp("method"))
    files = (crep.scenario(KEPT, "kept.yaml"), crep.scenario(LATE, "late.yaml"))
    done = crep("run", *files, "--on", "solace-emulator", "--profile", "quick", "--name", "method")
    yield Made(crep, done.returncode, done.stdout + done.stderr, crep.folder / "results")
    crep.assert_nothing_runs()
