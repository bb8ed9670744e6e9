"""What ``crep verify`` holds against a run folder."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from crep.harness.checks.evaluate import evaluate
from crep.harness.checks.results import RunResults
from crep.harness.cli import judge
from crep.harness.metrics.history import DONE, RECEIVED
from crep.harness.runs.document import ScenarioPart
from crep.harness.runs.ledger import LedgerFolder
from crep.harness.runs.read import Run
from tests.checks.simulated import T0
from tests.reports import factories
from tests.runs.appended import Recorded, clients_of, plan_with


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
    document = factories.document(results=results, scenario=scenario, records_kept=False)
    return Run(Path("anywhere"), document, "complete")


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


def test_records_that_were_kept_are_held_against_the_ledger_that_was_made_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_with(guaranteed=True, order="per-key")
    folder = tmp_path / "ledger"
    folder.mkdir()
    for client in clients_of(Recorded(plan, seed=5), folder, None):
        client.write(DONE, mark=True)
    LedgerFolder(folder, plan, T0, keep_records=True).finish()
    recorded = Run(tmp_path, factories.document(t0_ns=T0, records_kept=True, faults=()), "complete")
    results = evaluate(recorded, plan)
    monkeypatch.setattr(judge, "evaluate_folder", lambda _path: results)
    monkeypatch.setattr(judge, "plan_of", lambda _document: plan)
    scenario = run(results).document.scenario
    document = recorded.document.model_copy(update={"results": results, "scenario": scenario})
    claiming = Run(tmp_path, document, "complete")
    assert judge.contradictions(claiming) == ()
    receipts = folder / "reader-orders.billing-1"
    receipts.write_bytes(receipts.read_bytes()[RECEIVED.itemsize :])
    assert judge.contradictions(claiming) == ("ledger (the records of the messages say something else)",)
