"""One dimension varied: variants stay apart, and lie side by side in one figure and one table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from crep.harness.checks.results import Rule, Steadiness
from crep.harness.metrics.histogram import Histogram
from crep.reports import Comparison, compile_comparison, render, summary_lines
from crep.reports.blocks import Picture, Table
from crep.reports.figures import figures
from crep.reports.story import story
from crep.reports.sweep import number_of, sweep_name
from crep.reports.wording import counted_line, steady
from tests.reports import factories

RATES = ("20000/s", "500/s", "2000/s")


def variant(number: int, rate: str, binding: str = "bus=kafka-local") -> factories.FakeRun:
    scenario = factories.document().scenario.model_copy(update={"params": {"rate": rate}, "varied": {"rate": rate}})
    identity = {"run_id": f"{number:08x}", "started_utc": f"2026-11-24T21:{number:02}:05Z"}
    return factories.run(1, binding, scenario=scenario, **identity)


@pytest.fixture(scope="module")
def swept() -> Comparison:
    return compile_comparison([variant(number, rate) for number, rate in enumerate(RATES)])


def test_each_value_is_a_scenario_of_its_own_and_all_are_one_sweep(swept: Comparison) -> None:
    name = "orders-survive-a-broker-kill"
    assert [scenario.label for scenario in swept.scenarios] == [f"{name}@{rate}" for rate in RATES]
    [sweep] = swept.sweeps
    assert (sweep.dimension, [point.value for point in sweep.points]) == ("rate", ["500/s", "2000/s", "20000/s"])
    assert [point.number for point in sweep.points] == [500, 2000, 20_000]
    assert "-p rate" not in swept.scenarios[0].command  # the file itself names all values


def test_latency_is_drawn_against_the_value_and_stands_in_a_table(swept: Comparison, tmp_path: Path) -> None:
    [sweep] = swept.sweeps
    blocks = story(swept)
    [picture] = [one for one in blocks if isinstance(one, Picture) and one.name == sweep_name(sweep)]
    assert "500/s, 2000/s and 20000/s" in picture.alt
    table = next(one for one in blocks if isinstance(one, Table) and one.columns[0].title == "rate")
    firsts = [row[0].text for row in table.rows if isinstance(row, tuple)]
    assert firsts[:3] == ["500/s", "2000/s", "20000/s"]
    assert {one.name for one in blocks if isinstance(one, Picture)} == set(figures(swept))
    for file in render(swept, tmp_path):
        assert file.stat().st_size > 1000


def test_a_sweep_with_too_few_samples_for_a_median_is_not_drawn(tmp_path: Path) -> None:
    few = [factories.FakeRun(variant(number, rate).document) for number, rate in enumerate(RATES)]
    comparison = compile_comparison(few)
    assert sweep_name(comparison.sweeps[0]) not in figures(comparison)
    assert render(comparison, tmp_path)


def test_one_value_alone_is_no_sweep() -> None:
    assert compile_comparison([variant(1, "500/s")]).sweeps == ()


@pytest.mark.parametrize(
    ("value", "number"), [("60/min", 1), ("1 KiB", 1024), ("5 ms", 0.005), ("4", 4), ("payload", None)]
)
def test_a_value_has_a_number_where_it_is_a_quantity(value: str, number: float | None) -> None:
    assert number_of(value) == number


def test_control_runs_are_named_apart_from_the_measured_ones() -> None:
    runs = [factories.run(1), factories.run(2), factories.run(0, kind="control")]
    assert counted_line(compile_comparison(runs)) == "2 of 2 measured runs counted, 1 control run"
    assert counted_line(compile_comparison(runs[:1])) == "1 of 1 measured run counted"


def test_the_summary_names_the_invalid_run_and_why() -> None:
    late = Rule(name="lateness", holds=False, text="the clients could not keep the schedule")
    runs = [factories.run(1), factories.run(2, results=factories.results(rules=(late,)))]
    lines = summary_lines(compile_comparison(runs))
    assert "1 run counted, 1 invalid" in lines[0]
    assert "repetition 2 INVALID: lateness: the clients could not keep the schedule" in lines[1]
    assert len(lines) <= 10


def steadiness(verdict: str, text: str = "", warm_up_s: float | None = None) -> Steadiness:
    known = {"verdict": verdict, "text": text, "warm_up_s": warm_up_s}
    return Steadiness.model_validate({**known, "declared_warm_up_s": 10, "measured_s": 30})


def test_the_report_says_which_runs_were_steady_and_after_which_warm_up() -> None:
    seen = [
        steadiness("steady", warm_up_s=5),
        steadiness("steady", warm_up_s=10),
        steadiness("never-steady", "it grew"),
    ]
    runs = [factories.run(n, results=factories.results(steadiness=one)) for n, one in enumerate(seen, 1)]
    [scenario] = compile_comparison(runs).scenarios
    title = scenario.subjects[0].title
    assert (
        steady(scenario) == f"{title}: steady in 2 of 3 runs, at the latest 10 s after the first send; {title}: it grew"
    )
    [unknown] = compile_comparison([factories.run(1)]).scenarios
    assert steady(unknown) == "not judged"


def test_a_run_with_a_handful_of_messages_has_its_table_and_no_curve(tmp_path: Path) -> None:
    run = factories.run(1)
    few = Histogram()
    few.record(np.full(7, 2_000_000))
    run.samples = {key: {0: few} for key in run.samples}
    comparison = compile_comparison([run])
    pictures = {one.name for one in story(comparison) if isinstance(one, Picture)}
    assert pictures == set(figures(comparison))
    assert not any(name.endswith("latency") for name in pictures)
    assert render(comparison, tmp_path)
