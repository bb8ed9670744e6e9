"""What a report may say: who is judged, who is compared, who wins."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crep.harness.checks.results import FaultResult, Rule, RunResults, Throughput
from crep.harness.runs.document import Label, RunDocument
from crep.reports import Comparison, compile_comparison, render, summary_lines
from crep.reports.story import story
from tests.reports import factories
from tests.reports.factories import FakeRun

A, B = "kafka-a", "kafka-b"
positive = st.floats(1e-3, 1e6)


def measured(
    binding: str,
    repetition: int,
    rate: float,
    *,
    genuineness: str = "genuine",
    profile: str = "default",
    sync: str = "disk",
    labels: Sequence[str] = (),
    outage_s: float = 1.0,
    recover_s: float | None = 2.0,
    p99_ms: float = 10.0,
    intended: float = 5000.0,
    start: str | None = None,
) -> FakeRun:
    """A run whose performance numbers are given; without windows, since verdicts come from the results."""
    fault: FaultResult = factories.fault(outage_s, recover_s)
    throughput = Throughput(
        channel="orders",
        intended_per_s=intended,
        sent_per_s=intended,
        acknowledged_per_s=rate,
        received_per_s={"billing": rate},
    )
    made: RunResults = factories.results(
        throughput=(throughput,), latencies=(factories.latency(p99_ms / 5, p99_ms),), faults=(fault,)
    )
    document: RunDocument = factories.document(
        repetition,
        binding,
        run_id=f"{binding}-{start}-{repetition}",
        campaign_started_utc=start,
        sites={"bus": factories.site("kafka", genuineness, profile, sync)},
        labels=tuple(Label(code=code, text=code) for code in labels),
        results=made,
    )
    return FakeRun(document)


def compared(left: Sequence[FakeRun], right: Sequence[FakeRun]) -> Comparison:
    return compile_comparison([*left, *right])


def winners(comparison: Comparison) -> set[str]:
    return {c.winner for s in comparison.scenarios for c in s.contests if c.winner}


def five(binding: str, rate: float, **more: object) -> list[FakeRun]:
    return [measured(binding, r, rate * (1 + 0.01 * r * (-1) ** r), **more) for r in range(1, 6)]  # type: ignore[arg-type]


def test_five_clear_repetitions_name_a_winner() -> None:
    comparison = compared(five(A, 4000.0), five(B, 1000.0))
    throughput = next(c for c in comparison.scenarios[0].contests if c.metric == "throughput")
    assert throughput.winner == A
    assert throughput.low is not None
    assert throughput.low > 1
    assert "is better in throughput" in comparison.scenarios[0].performance[0]


def test_less_is_better_for_times() -> None:
    slow = [measured(A, r, 1000.0, p99_ms=50.0 + r) for r in range(1, 6)]
    fast = [measured(B, r, 1000.0, p99_ms=10.0 + 0.1 * r) for r in range(1, 6)]
    contests = compared(slow, fast).scenarios[0].contests
    assert next(c for c in contests if c.metric == "latency p99").winner == B


@pytest.mark.parametrize("repetitions", [1, 2, 3, 4])
def test_below_five_repetitions_there_is_no_interval_and_no_winner(repetitions: int) -> None:
    comparison = compared(five(A, 4000.0)[:repetitions], five(B, 1000.0)[:repetitions])
    scenario = comparison.scenarios[0]
    assert scenario.contests
    assert all(c.low is None and c.high is None and c.winner is None for c in scenario.contests)
    assert scenario.performance[0] == "No winner."
    assert scenario.performance[-1].endswith("below 5 there is neither an interval nor a winner.")


def test_an_interval_that_contains_one_names_no_winner() -> None:
    rates = (900.0, 1100.0, 950.0, 1060.0, 1000.0)
    left = [measured(A, r, 1000.0) for r in range(1, 6)]
    right = [measured(B, r, rate) for r, rate in enumerate(rates, start=1)]
    comparison = compared(left, right)
    assert winners(comparison) == set()
    assert "no difference is certain enough" in comparison.scenarios[0].performance[0]


def test_a_repetition_without_a_value_is_not_left_out_of_a_comparison() -> None:
    """Leaving out the one that never recovered would make its target the winner."""
    left = [measured(A, r, 1000.0, recover_s=None if r == 3 else 1.0) for r in range(1, 6)]
    right = [measured(B, r, 1000.0, recover_s=9.0 + 0.1 * r) for r in range(1, 6)]
    scenario = compared(left, right).scenarios[0]
    recovery = next(c for c in scenario.contests if c.metric == "time to recover")
    assert recovery.winner is None
    assert recovery.statement == "not compared: no value in 1 of 5 pairs"
    summary = next(f for f in scenario.fault_summaries if f.subject == A)
    assert summary.time_to_recover.value is None
    assert summary.time_to_recover.note == "in 1 of 5 runs: the backlog stayed above its baseline"


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.tuples(positive, positive, positive), min_size=5, max_size=7),
    st.sampled_from(["emulated", "mock"]),
    st.sampled_from(["default", "quick"]),
)
def test_an_emulated_target_is_never_compared_and_never_wins(
    numbers: list[tuple[float, float, float]], genuineness: str, profile: str
) -> None:
    left = [
        measured(A, r, rate, outage_s=outage, p99_ms=p99, genuineness=genuineness, profile=profile)
        for r, (rate, outage, p99) in enumerate(numbers, start=1)
    ]
    right = [measured(B, r, 1000.0 + r) for r in range(1, len(numbers) + 1)]
    scenario = compared(left, right).scenarios[0]
    assert scenario.contests == ()
    assert scenario.performance[0] == "No performance verdict: only Apache Kafka 4.1.0 may be compared."
    assert "not a measurement of Kafka" in scenario.performance[1]
    cells = [row.cells[0] for row in scenario.expectations if row.kind == "performance"]
    assert [cell.verdict for cell in cells] == ["not-judged"]


def test_the_verdict_of_an_emulated_run_is_overruled_even_if_its_file_says_passed() -> None:
    results = factories.results()
    assert next(e for e in results.expectations if e.kind == "performance").verdict == "passed"
    run = factories.run(1, "bus=solace-emulator", results=results)
    rows = compile_comparison([run]).scenarios[0].expectations
    assert {row.kind: row.cells[0].verdict for row in rows} == {"functional": "passed", "performance": "not-judged"}


@pytest.mark.parametrize(
    "changed",
    [{"profile": "quick"}, {"labels": ["client-bound"]}, {"labels": ["capped"]}, {"sync": "memory"}],
    ids=lambda changed: str(next(iter(changed.values()))),
)
def test_unequal_conditions_are_not_compared(changed: dict[str, object]) -> None:
    comparison = compared(five(A, 9000.0, **changed), five(B, 1000.0))
    assert comparison.scenarios[0].contests == ()
    assert comparison.scenarios[0].performance[0].startswith("No performance verdict")


def test_a_shared_busy_host_bars_verdicts_on_throughput_alone() -> None:
    metrics = {c.metric for c in compared(five(A, 9000.0, labels=["co-located"]), five(B, 10.0)).scenarios[0].contests}
    assert "throughput" not in metrics
    assert "latency p99" in metrics


def test_an_invalid_run_is_listed_and_enters_no_number() -> None:
    broken = Rule(name="lateness", holds=False, text="lateness p99 41 ms, limit 5 ms")
    bad = factories.run(2, results=factories.results(rules=(broken,), readers=(factories.reader(lost=999),)))
    good = factories.run(1)
    both, alone = compile_comparison([good, bad]).scenarios[0], compile_comparison([good]).scenarios[0]
    row = next(r for r in both.runs if r.run_id == bad.document.run_id)
    assert (row.state, row.why) == ("invalid", "lateness: lateness p99 41 ms, limit 5 ms")
    assert both.ledger == alone.ledger
    assert both.curves == alone.curves
    assert both.series == alone.series
    assert both.throughput == alone.throughput
    assert both.fault_summaries == alone.fault_summaries
    assert both.subjects[0].functional == "passed"
    assert [shown.run_id for shown in both.uncounted] == [bad.document.run_id]


def test_only_invalid_runs_give_no_verdict() -> None:
    broken = Rule(name="drain", holds=False, text="the backlog did not end")
    scenario = compile_comparison([factories.run(1, results=factories.results(rules=(broken,)))]).scenarios[0]
    assert scenario.subjects[0].functional == "no-verdict"
    assert scenario.subjects[0].functional_text == "none of 1 run could be counted"
    assert scenario.ledger == ()


def test_one_failed_repetition_fails_the_target() -> None:
    lost = factories.results(
        expectations=(factories.expectation("billing.lost == 0", 3.0, "failed"),), readers=(factories.reader(lost=3),)
    )
    scenario = compile_comparison([factories.run(1), factories.run(2, results=lost)]).scenarios[0]
    assert scenario.subjects[0].functional == "failed"
    row = next(r for r in scenario.expectations if r.text == "billing.lost == 0")
    assert row.cells[0].verdict == "failed"
    assert [result.value for result in row.cells[0].results] == [0.0, 3.0]


def test_a_failed_performance_expectation_stands_beside_passed_functional_ones(tmp_path: Path) -> None:
    """Exit code 1 comes of either kind, so a bare "passed" would contradict it."""
    slow = factories.expectation("orders.outage.publish < 15 s", 21.0, "failed", "performance", reason="too long")
    results = factories.results(expectations=(factories.expectation("billing.lost == 0", 0.0, "passed"), slow))
    run = factories.run(1, results=results, labels=(), sites={"bus": factories.site(profile="default")})
    comparison = compile_comparison([run])
    subject = comparison.scenarios[0].subjects[0]
    assert (subject.functional, subject.performance_failed) == ("passed", 1)
    assert "functional passed, 1 performance expectation failed;" in "\n".join(summary_lines(comparison))
    (page,) = render(comparison, tmp_path, ("html",))
    assert "✗ 1 performance expectation failed" in page.read_text()


def test_a_performance_expectation_that_is_not_judged_has_not_failed() -> None:
    subjects = compile_comparison(factories.demo()).scenarios[0].subjects
    assert [subject.performance_failed for subject in subjects] == [0, 0]


def refused(binding: str = B, repetition: int = 1, **changed: object) -> FakeRun:
    """A run that ended before any load, because its target cannot do what the scenario asks."""
    why = "channel 'orders' asks for 3 copies and the cluster has 1 broker(s)\n  take a larger cluster"
    fields = {"status": "not-supported", "failure": why, "results": None, "sites": {}, "run_id": "refused"}
    return FakeRun(factories.document(repetition, binding, **(fields | changed)), "not-supported")


def test_what_a_target_does_not_support_is_a_row_with_its_reason_and_no_failure(tmp_path: Path) -> None:
    comparison = compile_comparison([*five(A, 1000.0), refused()])
    scenario = comparison.scenarios[0]
    ran, not_run = scenario.subjects
    assert (ran.functional, not_run.functional) == ("passed", "not-supported")
    assert not_run.functional_text.startswith("channel 'orders' asks for 3 copies and the cluster has 1 broker(s).")
    assert scenario.durability == ran.durability
    row = next(r for r in scenario.runs if r.run_id == "refused")
    assert (row.state, "take a larger cluster" in row.why) == ("not-supported", True)
    assert not any("repetitions counted: below" in sentence for sentence in scenario.performance)
    pdf, page = render(comparison, tmp_path, ("pdf", "html"))
    text = page.read_text()
    assert "1 run not counted: 1 not supported" in text
    assert "kafka-b: does not support the scenario" in text
    assert "FAILED" not in text
    assert pdf.stat().st_size > 10_000


def test_a_control_run_that_is_refused_speaks_for_the_repetitions_that_were_left_out() -> None:
    comparison = compile_comparison([refused(repetition=0, kind="control")])
    scenario = comparison.scenarios[0]
    assert scenario.subjects[0].functional == "not-supported"
    assert all(block.rows for block in story(comparison) if block.kind == "table")
    assert scenario.performance == ("No performance verdict: no target supports the scenario.",)


def test_a_target_that_was_set_up_since_is_judged_by_what_it_did_since() -> None:
    early = "2026-11-24T20:00:00Z"
    scenario = compile_comparison([refused(A, started_utc=early), *five(A, 1000.0)]).scenarios[0]
    assert scenario.subjects[0].functional == "passed"
    broken = factories.results(rules=(Rule(name="drain", holds=False, text="5 held"),))
    invalid = FakeRun(factories.document(2, A, results=broken))
    scenario = compile_comparison([refused(A, started_utc=early), invalid]).scenarios[0]
    assert scenario.subjects[0].functional == "no-verdict"


def test_missing_data_fails() -> None:
    none = factories.results(expectations=(factories.expectation("billing.lost == 0", None, "no-data"),))
    scenario = compile_comparison([factories.run(1, results=none)]).scenarios[0]
    assert scenario.subjects[0].functional == "failed"


def test_control_runs_enter_no_number() -> None:
    demo = factories.demo()
    without = [run for run in demo if run.document.kind == "measured"]
    assert compile_comparison(demo).scenarios[0].curves == compile_comparison(without).scenarios[0].curves


def test_a_comparison_with_a_winner_prints_its_interval_and_its_winner(tmp_path: Path) -> None:
    comparison = compared(five(A, 4000.0), five(B, 1000.0))
    pdf, page = render(comparison, tmp_path, ("pdf", "html"))
    text = page.read_text()
    assert "Performance compared" in text
    assert "Apache Kafka 4.1.0 (kafka-a) is better in throughput, orders" in text
    throughput = next(c for c in comparison.scenarios[0].contests if c.metric == "throughput")
    assert f"{throughput.low:.2f} to {throughput.high:.2f}" in text
    assert pdf.stat().st_size > 10_000


def test_targets_that_both_carried_the_load_are_not_compared_by_it() -> None:
    """Five times 0.02 % more, by which messages the end of the phase cut off, is certain and means nothing."""
    left = [measured(A, r, 1999.9 + 0.001 * r, intended=2000) for r in range(1, 6)]
    right = [measured(B, r, 1999.5 + 0.001 * r, intended=2000) for r in range(1, 6)]
    contests = compared(left, right).scenarios[0].contests
    throughput = next(c for c in contests if c.metric == "throughput")
    assert throughput.winner is None
    assert "carried the whole load" in throughput.statement


@pytest.mark.parametrize(("slower_s", "wins"), [(4.004, False), (5.0, True)])
def test_a_second_is_no_difference_where_seconds_are_counted(slower_s: float, wins: bool) -> None:
    """2.99 s and 3.01 s end in different whole seconds, five times out of five."""
    left = [measured(A, r, 1000.0, recover_s=2.998 + 0.001 * r) for r in range(1, 6)]
    right = [measured(B, r, 1000.0, recover_s=slower_s + 0.001 * r) for r in range(1, 6)]
    contests = compared(left, right).scenarios[0].contests
    recovery = next(c for c in contests if c.metric == "time to recover")
    assert recovery.winner == (A if wins else None)


def test_only_runs_of_one_start_are_paired() -> None:
    """The second start of the same campaign has the same repetitions: none may stand in for one of the first."""
    left = [measured(A, r, 1000.0, start=start) for start in ("t1", "t2") for r in range(1, 6)]
    right = [measured(B, r, 2000.0, start="t1") for r in range(1, 6)]
    throughput = next(c for c in compared(left, right).scenarios[0].contests if c.metric == "throughput")
    assert throughput.repetitions == 5
    right += [measured(B, r, 2000.0, start="t2") for r in range(1, 6)]
    throughput = next(c for c in compared(left, right).scenarios[0].contests if c.metric == "throughput")
    assert throughput.repetitions == 10


def test_an_invalid_control_run_is_called_invalid() -> None:
    broken = factories.results(rules=(Rule(name="drain", holds=False, text="5 held"),))
    runs = [measured(A, 1, 1000.0), FakeRun(factories.document(0, A, kind="control", results=broken))]
    rows = {row.repetition: row for row in compile_comparison(runs).scenarios[0].runs}
    assert rows[0].state == "invalid"
    assert rows[0].why == "control run, used for no outage: drain: 5 held"


def test_a_verdict_from_some_of_the_runs_says_so() -> None:
    broken = factories.results(rules=(Rule(name="drain", holds=False, text="5 held"),))
    runs = [measured(A, 1, 1000.0), FakeRun(factories.document(2, A, results=broken))]
    subject = compile_comparison(runs).scenarios[0].subjects[0]
    assert subject.functional == "passed"
    assert subject.functional_text.endswith("met in 1 run (1 of 2 could not be counted)")
