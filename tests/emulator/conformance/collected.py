"""What the conformance tests of a run have shown, gathered from their reports, and its summary at the end.

A plugin of the whole test session (``tests/conftest.py``): with ``pytest -n`` the tests run in processes of their own,
and only their reports come back to the one that has a terminal.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Final

import pytest

from tests.emulator.conformance.features import CLIENTS, FEATURES
from tests.emulator.conformance.summary import Observation, Result, differences, matrix, settled

_RESULT: Final = "conformance result"
_OBSERVATION: Final = "conformance observation"


@dataclass
class Shown:
    """What this run has shown so far; results by the tests' ids."""

    results: dict[str, Result] = field(default_factory=dict)
    observations: dict[tuple[str, int], Observation] = field(default_factory=dict)


def note_result(report: pytest.TestReport, result: Result) -> None:
    """How the test of this report ended."""
    report.user_properties.append((_RESULT, asdict(result)))


def note_observation(item: pytest.Item, observation: Observation) -> None:
    """One look of a running test at an assumption."""
    item.user_properties.append((_OBSERVATION, asdict(observation)))


class Collector:
    """Reads the reports, in whichever process the tests ran."""

    def __init__(self) -> None:
        self.shown = Shown()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take what a test noted."""
        values: list[tuple[str, Any]] = list(report.user_properties)
        for place, (name, value) in enumerate(values):
            if name == _RESULT:
                self.shown.results[report.nodeid] = Result(**{**value, "features": tuple(value["features"])})
            elif name == _OBSERVATION:
                self.shown.observations[report.nodeid, place] = Observation(**value)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the matrix, and what differs."""
        if not self.shown.results:
            return
        results, observations = list(self.shown.results.values()), list(self.shown.observations.values())
        terminalreporter.section("conformance: feature × client")
        for line in matrix(results, FEATURES, CLIENTS):
            terminalreporter.write_line(line)
        terminalreporter.section("conformance: differences")
        for line in [*differences(results, observations), settled(observations)]:
            terminalreporter.write_line(line)


def pytest_configure(config: pytest.Config) -> None:
    """Begin with nothing shown."""
    config.pluginmanager.register(Collector(), "conformance-collector")
