"""METHOD rules 7 to 12: equal load, client ceiling, steady state, repetitions, one dimension, caps."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from crep.harness.campaign import Campaign, Part, turns
from crep.harness.checks.evaluate import evaluate
from crep.harness.checks.results import Verdict
from crep.harness.checks.statistics import paired_ratio
from crep.harness.checks.usage import Sample
from crep.harness.config.errors import UsageError
from crep.harness.load.ceiling.cache import Ceiling
from crep.harness.runner.ceiling import Work, bound
from crep.harness.runner.processor import WorkerLoad
from crep.harness.runner.record import CLIENT_BOUND_CPU
from crep.harness.scenario.binding import Binding
from crep.harness.scenario.load import parse_scenario
from crep.reports.comparison import Contest
from tests.checks.simulated import SimulatedRun, a_plan
from tests.end_to_end.outside import SMALL
from tests.reports.factories import FakeRun
from tests.reports.test_judge import A, B, compared, five, measured, winners


def contest(metric: str, left: Sequence[FakeRun], right: Sequence[FakeRun]) -> Contest:
    """How the report decides one metric."""
    [found] = [one for one in compared(left, right).scenarios[0].contests if one.metric == metric]
    return found


def verdict(text: str, *labels: str, samples: Sequence[Sample] = ()) -> tuple[Verdict, str]:
    """Of one expectation on a genuine target, and the reason."""
    plan = a_plan(kill_at_s=None, expect=(text,))
    run = SimulatedRun(plan, labels=frozenset(labels), samples=tuple(samples))
    [result] = evaluate(run, plan).expectations
    return result.verdict, result.reason


# 7. Equal load for latency.


@pytest.mark.parametrize(("carried", "compared"), [(1000.0, True), (985.0, True), (975.0, False), (300.0, False)])
def test_rule_07_latency_is_compared_at_equal_load_only(carried: float, compared: bool) -> None:
    """A target that lets less through has less to wait for: it must not win by that."""
    whole = [measured(A, r, 1000.0, p99_ms=50.0 + r) for r in range(1, 6)]
    part = [measured(B, r, carried, p99_ms=10.0 + 0.1 * r) for r in range(1, 6)]
    found = contest("latency p99", whole, part)
    assert found.winner == (B if compared else None)
    if not compared:
        assert found.statement == (
            f"not compared: 1,000 and {carried:,.0f} msg/s were carried, and latency is compared at equal load only"
        )
        assert found.ratio is None


def test_rule_07_latency_at_an_unknown_load_is_not_compared() -> None:
    runs = five(A, 1000.0), five(B, 1000.0)
    for run in runs[1]:
        results = run.document.results
        assert results is not None
        nothing = results.model_copy(update={"throughput": ()})
        run.document = run.document.model_copy(update={"results": nothing})
    assert "is not known" in contest("latency p99", *runs).statement


# 8. Client ceiling. On a real Kafka: tests/end_to_end/test_labels.py.


@pytest.mark.parametrize(("work", "who"), [("sent", "the publishers sent"), ("received", "the subscribers received")])
def test_rule_08_clients_at_seventy_percent_of_their_ceiling_are_client_bound(work: Work, who: str) -> None:
    ceiling = Ceiling(per_s=100_000.0, clients=2)
    assert bound(work, 69_900.0, ceiling) is None
    text = bound(work, 70_000.0, ceiling) or ""
    assert text.startswith(f"{who} 70,000 messages/s, 70% of the 100,000 messages/s")


def test_rule_08_a_client_at_its_cores_limit_is_the_one_that_decides() -> None:
    load = WorkerLoad(measured_s=10.0)
    for second in range(10):
        load.used("idle", second, 100_000_000)
        load.used("busy", second, 900_000_000)
    client, share = load.busiest()
    assert client == "busy"
    assert share > CLIENT_BOUND_CPU


def test_rule_08_what_is_client_bound_carries_no_verdict_on_the_broker() -> None:
    found, reason = verdict("billing.latency.p99 < 1 s", "client-bound")
    assert (found, "near its own limit" in reason) == ("not-judged", True)
    assert verdict("billing.lost == 0", "client-bound") == ("passed", "")  # it counts as well as ever
    assert compared(five(A, 9000.0, labels=["client-bound"]), five(B, 1000.0)).scenarios[0].contests == ()


# 9. Warm up until steady.


def test_rule_09_a_run_that_never_became_steady_says_so() -> None:
    plan = a_plan(kill_at_s=None)
    found = evaluate(SimulatedRun(plan, slow_after_s=15), plan).steadiness
    assert found is not None
    assert (found.verdict, found.disturbed) == ("never-steady", True)  # what labels a run not-steady
    assert (found.declared_warm_up_s, found.measured_s) == (3, 30)


# 10. Repeat, interleaved and paired.


def test_rule_10_four_repetitions_name_no_winner_however_clear() -> None:
    comparison = compared(five(A, 9000.0)[:4], five(B, 10.0)[:4])
    assert winners(comparison) == set()
    assert all(one.low is None for one in comparison.scenarios[0].contests)
    assert "below 5 there is neither an interval nor a winner" in comparison.scenarios[0].performance[-1]
    assert winners(compared(five(A, 9000.0), five(B, 10.0))) == {A}


def test_rule_10_an_invalid_repetition_does_not_make_up_the_five() -> None:
    left, right = five(A, 9000.0), five(B, 10.0)
    results = left[0].document.results
    assert results is not None
    late = results.rules[0].model_copy(update={"holds": False})
    left[0].document = left[0].document.model_copy(update={"results": results.model_copy(update={"rules": (late,)})})
    assert winners(compared(left, right)) == set()


def test_rule_10_brokers_take_turns() -> None:
    scenario = parse_scenario(SMALL, Path("small.yaml"))
    bindings = (Binding({"bus": "a"}), Binding({"bus": "b"}))
    order = turns(Campaign("c", (Part(scenario, bindings, 3),), targets={}))
    assert [(str(one.binding), one.repetition) for one in order] == [
        (str(binding), repetition) for repetition in (1, 2, 3) for binding in bindings
    ]


def test_rule_10_runs_that_did_not_stand_side_by_side_are_no_pair() -> None:
    left = [measured(A, r, 9000.0 + r, start="monday") for r in range(1, 6)]
    right = [measured(B, r, 10.0 + r, start="tuesday") for r in range(1, 6)]
    assert contest("throughput", left, right).statement == "not compared: no repetition was counted on both"


def test_rule_10_a_difference_among_many_comparisons_must_be_more_certain() -> None:
    """1 to 10 % in one of several metrics: the interval leaves 1 out, and a test of its own would name a winner."""
    gains = (1.01, 1.10, 1.05, 1.02, 1.08)
    alone = paired_ratio(gains, [1.0] * 5)
    assert alone.differs
    assert alone.p_value is not None
    assert alone.p_value < 0.05
    chance = random.Random(4)
    left = [measured(A, r, 3000.0 * gain, p99_ms=10 * chance.uniform(0.9, 1.1)) for r, gain in enumerate(gains, 1)]
    right = [measured(B, r, 3000.0, p99_ms=10 * chance.uniform(0.9, 1.1)) for r in range(1, 6)]
    found = contest("throughput", left, right)
    assert found.low is not None
    assert found.low > 1
    assert found.winner is None
    assert found.statement == "no winner: not certain enough after correction for the number of comparisons"


# 11. One dimension at a time.


def test_rule_11_two_dimensions_at_once_are_refused() -> None:
    two = SMALL + "vary: {message.size: [256 B, 1 KiB], measure.warm_up: [1 s, 2 s]}\n"
    with pytest.raises(UsageError, match="vary: must have at most 1 entry"):
        parse_scenario(two, Path("small.yaml"))


def test_rule_11_a_sweep_of_runs_with_other_parameters_is_another_sweep() -> None:
    """Two parameters that differ make two scenarios of a report: their numbers never stand in one comparison."""
    left, right = five(A, 9000.0), five(B, 10.0)
    for run in right:
        other = run.document.scenario.model_copy(update={"params": {"rate": "10/s"}})
        run.document = run.document.model_copy(update={"scenario": other})
    scenarios = compared(left, right).scenarios
    assert [len(one.subjects) for one in scenarios] == [1, 1]
    assert all(one.contests == () for one in scenarios)


# 12. Detect caps.


def test_rule_12_a_number_that_a_cap_bounds_is_named_so_and_carries_no_verdict() -> None:
    busy = [Sample(at_s=s, site="bus", node="kafka-1", cores=2, cpu=1.9, memory=1) for s in range(1, 31)]
    found, reason = verdict("orders.throughput.sent > 1/s", samples=busy)
    assert found == "not-judged"
    assert reason.startswith("capped by cpu: ")
    assert verdict("billing.lost == 0", samples=busy) == ("passed", "")
    assert compared(five(A, 9000.0, labels=["capped"]), five(B, 1000.0)).scenarios[0].contests == ()
