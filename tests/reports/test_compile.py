"""Every number of a comparison says where it is from; percentiles come from merged histograms."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pydantic import BaseModel

from crep.harness.config.errors import UsageError
from crep.harness.metrics.histogram import Histogram
from crep.reports import Comparison, compile_comparison, summary_lines
from crep.reports.comparison import Quantity
from crep.reports.story import story
from tests.reports import factories
from tests.reports.factories import FakeRun


def quantities(part: object) -> Iterator[Quantity]:
    if isinstance(part, Quantity):
        yield part
    elif isinstance(part, BaseModel):
        for name in type(part).model_fields:
            yield from quantities(getattr(part, name))
    elif isinstance(part, dict):
        for item in part.values():
            yield from quantities(item)
    elif isinstance(part, tuple):
        for item in part:
            yield from quantities(item)


def test_every_number_carries_its_runs_kind_class_and_samples(comparison: Comparison) -> None:
    found = list(quantities(comparison))
    assert len(found) > 40
    counted = {run.run_id for run in comparison.scenarios[0].runs if run.state == "counted"}
    for quantity in found:
        assert quantity.runs
        assert set(quantity.runs) <= counted
        assert quantity.durability == "1 copy, sync disk"
        assert quantity.samples is not None
        assert (quantity.value is not None) or quantity.note
    assert {quantity.kind for quantity in found} == {"measured", "emulated"}


def test_percentiles_are_those_of_the_merged_samples_not_a_mean_of_percentiles() -> None:
    fast, slow = factories.run(1), factories.run(2)
    samples = np.arange(1, 10_001, dtype=np.int64) * 1_000
    for run, values in ((fast, samples), (slow, samples * 10)):
        histogram = Histogram()
        histogram.record(values)
        run.samples = {("latency", "orders", "billing"): {0: histogram}}
    (curve,) = compile_comparison([fast, slow]).scenarios[0].curves
    expected = np.percentile(np.concatenate([samples, samples * 10]) / 1e6, 99, method="inverted_cdf")
    assert curve.percentiles["99"].value == pytest.approx(expected, rel=2e-3)
    assert curve.maximum.value == pytest.approx(100.0, rel=2e-3)
    assert curve.maximum.samples == 20_000


@pytest.mark.parametrize(("samples", "printed"), [(999, {"50", "90"}), (1000, {"50", "90", "99"})])
def test_a_percentile_with_fewer_than_ten_samples_beyond_it_is_not_printed(samples: int, printed: set[str]) -> None:
    run = factories.run()
    histogram = Histogram()
    histogram.record(np.arange(1, samples + 1, dtype=np.int64) * 1_000_000)
    run.samples = {("latency", "orders", "billing"): {0: histogram}}
    (curve,) = compile_comparison([run]).scenarios[0].curves
    assert {p for p, quantity in curve.percentiles.items() if quantity.value is not None} == printed
    assert curve.points[-1][0] <= 100.0 * (1 - 10 / samples) + 1e-6


def test_warm_up_and_drain_are_outside_the_latency() -> None:
    run = factories.run()
    outside = Histogram()
    outside.record(np.full(1_000, 10**12, np.int64))
    for second in (-1, 30):
        run.samples[("latency", "orders", "billing")][second] = outside
    curve = next(c for c in compile_comparison([run]).scenarios[0].curves if c.where == "orders.billing")
    assert curve.maximum.value is not None
    assert curve.maximum.value < 100_000


def test_counts_are_added_up_over_the_counted_runs() -> None:
    runs = [factories.run(1), factories.run(2)]
    row = next(r for r in compile_comparison(runs).scenarios[0].ledger if r.reader == "billing")
    assert row.counts["expected"] == 132_000
    assert row.counts["duplicates_flag_not_offered"] == 682
    assert row.runs == tuple(run.document.run_id for run in runs)


def test_runs_of_another_scenario_text_or_parameter_stand_apart() -> None:
    first, second = factories.run(1), factories.run(2)
    scenario = second.document.scenario.model_copy(update={"params": {"rate": "500/s"}})
    second.document = second.document.model_copy(update={"scenario": scenario})
    comparison = compile_comparison([first, second])
    assert [len(s.runs) for s in comparison.scenarios] == [1, 1]
    assert comparison.scenarios[1].command.endswith("--on kafka-local --profile quick -p rate=500/s --repeat 2")


def test_a_run_that_is_named_twice_counts_once() -> None:
    runs = factories.demo()
    assert compile_comparison([*runs, *runs]) == compile_comparison(runs)


def test_no_run_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="no run"):
        compile_comparison([])


def test_a_run_without_samples_has_no_curve_and_no_figure() -> None:
    scenario = compile_comparison([FakeRun(factories.document())]).scenarios[0]
    assert scenario.curves == ()
    assert scenario.series == ()
    assert [b for b in story(compile_comparison([FakeRun(factories.document())])) if b.kind == "picture"] == []


def test_the_summary_has_at_most_ten_lines_and_says_who_is_emulated(comparison: Comparison) -> None:
    lines = summary_lines(comparison, [Path(f"results/report.{name}") for name in ("pdf", "html", "json")])
    text = "\n".join(lines)
    assert len(lines) <= 10
    assert "lost 0" in text
    assert "emulated" in text
    assert "outage 1.82 s, of receipts 3.20 s, recovered after 3.00 s" in text
    assert "functional passed; 2 functional expectations met" in text
    assert lines[-1] == "Report: results/report.pdf (and .html, .json beside it)"


def test_the_summary_names_what_faults_of_one_kind_acted_on_and_who_waited_longer(comparison: Comparison) -> None:
    [scenario, *_] = comparison.scenarios
    first = next(fault for fault in scenario.fault_summaries if fault.publish_outage.value)
    long = first.publish_outage.model_copy(update={"value": 7.0})
    links = [
        first.model_copy(update={"acted_on": (side,), "receive_outages": {"orders.billing": outage}})
        for side, outage in (("publishers | kafka-1", first.publish_outage), ("subscribers | kafka-1", long))
    ]
    several = comparison.model_copy(
        update={"scenarios": (scenario.model_copy(update={"fault_summaries": tuple(links)}),)}
    )
    text = "\n".join(summary_lines(several))
    assert f"{first.action} of publishers | kafka-1: outage 1.82 s, recovered" in text
    assert f"{first.action} of subscribers | kafka-1: outage 1.82 s, of receipts 7.00 s, recovered" in text


def test_the_summary_announces_what_was_written_and_no_more(comparison: Comparison) -> None:
    assert summary_lines(comparison, [Path("out/report.html")])[-1] == "Report: out/report.html"
    assert not any("report." in line for line in summary_lines(comparison))


def test_a_summary_of_many_scenarios_is_cut_and_says_so() -> None:
    runs = []
    for number in range(6):
        run = factories.run(1)
        scenario = run.document.scenario.model_copy(update={"name": f"scenario-{number}"})
        run.document = run.document.model_copy(update={"scenario": scenario, "run_id": f"run-{number}"})
        runs.append(run)
    lines = summary_lines(compile_comparison(runs))
    assert len(lines) == 10
    assert "more lines in the report" in lines[-1]
