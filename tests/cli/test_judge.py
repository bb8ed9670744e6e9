"""What ``crep verify`` holds against a run folder."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from crep.harness.checks.results import RunResults
from crep.harness.cli import judge
from crep.harness.runs.document import ScenarioPart
from crep.harness.runs.read import Run
from tests.reports import factories


@pytest.fixture
def truth(monkeypatch: pytest.MonkeyPatch) -> RunResults:
    """What the records say."""
    results: RunResults = factories.results()
    monkeypatch.setattr(judge, "evaluate_folder", lambda _path: results)
    return results


def run(results: RunResults | None, text: str = factories.SCENARIO, hashed: str = factories.SCENARIO) -> Run:
    scenario: ScenarioPart = factories.document().scenario
    digest = hashlib.sha256(hashed.encode()).hexdigest()
    scenario = scenario.model_copy(update={"text": text, "sha256": digest})
    return Run(Path("anywhere"), factories.document(results=results, scenario=scenario), "complete")


def test_a_run_that_says_what_its_records_say_is_confirmed(truth: RunResults) -> None:
    assert judge.contradictions(run(truth)) == ()


@pytest.mark.usefixtures("truth")
def test_the_part_that_was_changed_is_named() -> None:
    better: RunResults = factories.results(readers=(factories.reader(lost=0, received=66_001),))
    assert judge.contradictions(run(better)) == ("readers",)


def test_a_threshold_that_was_changed_after_the_run_is_found(truth: RunResults) -> None:
    changed = factories.SCENARIO.replace("15 s", "60 s")
    assert judge.contradictions(run(truth, text=changed)) == ("scenario text (its SHA-256 is another)",)


def test_a_run_without_claims_contradicts_nothing() -> None:
    assert judge.contradictions(run(None)) == ()
