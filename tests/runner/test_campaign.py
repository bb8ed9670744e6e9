"""What a whole campaign comes to: its exit code, and which control runs it believes."""

from __future__ import annotations

from pathlib import Path

import pytest

from crep.harness.campaign import Outcome, tells_what_is_usual
from crep.harness.checks.results import Rule, RunResults
from crep.harness.runs.document import RunDocument
from tests.reports import factories

VALID: RunResults = factories.results()
INVALID: RunResults = factories.results(rules=(Rule(name="lateness", holds=False, text="late"),))
NOT_MET: RunResults = factories.results(
    expectations=(factories.expectation("billing.lost == 0", 3.0, "failed", reason="3 lost"),)
)


def run(results: RunResults | None = VALID, kind: str = "measured", status: str = "complete") -> RunDocument:
    made: RunDocument = factories.document(0 if kind == "control" else 1, results=results, kind=kind, status=status)
    return made


@pytest.mark.parametrize(
    ("runs", "interrupted", "code"),
    [
        ([run()], False, 0),
        ([run(NOT_MET)], False, 1),
        ([run(NOT_MET), run(INVALID)], False, 4),
        ([run(None)], False, 4),
        ([run(INVALID), run(status="failed")], False, 3),
        ([run(INVALID), run(status="failed")], True, 130),
        ([], False, 3),
        ([run(kind="control", status="failed"), run()], False, 3),
        ([run(INVALID, kind="control"), run()], False, 4),
        ([run(INVALID, kind="control"), run(NOT_MET)], False, 4),
        ([run(None, status="not-supported")], False, 0),
        ([run(None, status="not-supported", kind="control")], False, 0),
        ([run(None, status="not-supported"), run()], False, 0),
        ([run(None, status="not-supported"), run(NOT_MET)], False, 1),
        ([run(None, status="not-supported"), run(INVALID)], False, 4),
        ([run(None, status="not-supported"), run(status="failed")], False, 3),
        ([run(None, status="not-supported")], True, 130),
    ],
)
def test_the_exit_code_is_the_first_that_applies(
    runs: list[RunDocument], interrupted: bool, code: int, tmp_path: Path
) -> None:
    assert Outcome(tmp_path, runs, interrupted).exit_code == code


@pytest.mark.parametrize(
    ("runs", "code"),
    [
        ([run(None, status="not-supported"), run()], 1),
        ([run(None, status="not-supported", kind="control")], 1),
        ([run(None, status="not-supported"), run(INVALID)], 4),
        ([run()], 0),
    ],
)
def test_what_is_not_supported_is_a_failed_check_only_where_strict(
    runs: list[RunDocument], code: int, tmp_path: Path
) -> None:
    assert Outcome(tmp_path, runs, strict=True).exit_code == code


def test_only_a_valid_control_run_is_taken_off_an_outage() -> None:
    assert tells_what_is_usual(run(kind="control"))
    assert not tells_what_is_usual(run(INVALID, kind="control"))
    assert not tells_what_is_usual(run(None, kind="control"))
    assert not tells_what_is_usual(run(kind="control", status="interrupted"))
    assert not tells_what_is_usual(run(kind="control", status="failed"))
    assert not tells_what_is_usual(run())
