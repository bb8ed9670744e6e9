"""The summary of a conformance run, on results written by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.emulator.conformance.collected import Collector, note_observation, note_result
from tests.emulator.conformance.features import CLIENTS, FEATURES, misnamed
from tests.emulator.conformance.summary import Observation, Outcome, Result, differences, matrix, settled


def result(outcome: Outcome, *features: str, client: str = "one", reason: str = "") -> Result:
    return Result("test_it", features, client, outcome, reason)


def test_the_matrix_counts_each_feature_for_each_client_and_shows_what_nobody_tested() -> None:
    results = [
        result("passed", "a"),
        result("passed", "a", "b"),
        result("failed", "a"),
        result("skipped", "b", client="two"),
    ]
    assert matrix(results, ["a", "b", "c"], ["one", "two"]) == [
        "feature  one                 two",
        "-------  ------------------  ---------",
        "a        2 passed, 1 failed  –",
        "b        1 passed            1 skipped",
        "c        –                   –",
    ]


def test_an_assumption_that_does_not_hold_and_a_test_that_fails_are_differences() -> None:
    results = [result("passed", "a"), result("failed", "a", reason="AssertionError: 3 != 4")]
    observations = [Observation("the number", "3", "4"), Observation("the name", "x", "x")]
    assert differences(results, observations) == [
        "what        expected here  seen there",
        "----------  -------------  ----------------------",
        "the number  3              4",
        "test_it     passed         AssertionError: 3 != 4",
    ]
    assert settled(observations) == "1 of 2 assumptions seen to hold"


def test_without_a_difference_the_table_says_so() -> None:
    assert differences([result("passed", "a"), result("skipped", "b")], [Observation("x", "1", "1")]) == [
        "no differences"
    ]


def test_a_long_reason_does_not_tear_the_table() -> None:
    *_, row = differences([result("failed", "a", reason="x" * 500)], [])
    assert len(row) < 200


@pytest.mark.parametrize(
    ("names", "client", "wrong"),
    [
        (FEATURES[:2], CLIENTS[0], ""),
        ((), CLIENTS[0], "no feature"),
        (("direct: telepathy",), CLIENTS[0], "unknown feature 'direct: telepathy'"),
        (FEATURES[:1], "carrier pigeon", "unknown client 'carrier pigeon'"),
    ],
)
def test_a_marker_names_features_and_clients_that_exist(names: tuple[str, ...], client: str, wrong: str) -> None:
    assert misnamed(names, client) == wrong


def test_the_matrix_in_the_documentation_has_every_feature_in_its_order() -> None:
    document = (Path(__file__).parents[2] / "docs" / "emulator.md").read_text()
    rows = [line.strip() for line in document.splitlines() if line.startswith("    ")]
    found = [name for row in rows for name in FEATURES if row.startswith(f"{name}  ")]
    assert found == list(FEATURES)


def test_results_and_observations_travel_in_the_reports_of_tests_that_ran_elsewhere(
    request: pytest.FixtureRequest,
) -> None:
    item = request.node
    before = list(item.user_properties)
    note_observation(item, Observation("the number", "3", "4"))
    report = pytest.TestReport(
        "a::test_it", ("a", 1, "test_it"), {}, "passed", None, "call", user_properties=item.user_properties
    )
    item.user_properties = before  # this test is itself one of a run whose summary must not show it
    note_result(report, result("passed", "a"))
    collector = Collector()
    collector.pytest_runtest_logreport(pytest.TestReport._from_json(report._to_json()))
    assert collector.shown.results == {"a::test_it": result("passed", "a")}
    assert list(collector.shown.observations.values()) == [Observation("the number", "3", "4")]
