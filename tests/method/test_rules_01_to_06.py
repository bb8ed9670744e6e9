"""METHOD rules 1 to 6: time, stamp, clock, histograms, outcomes, durability. Each is broken, and that is seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from crep.harness.brokers.contract import NotSupported, Outcome, Provisioned
from crep.harness.brokers.kafka.layout import channel_layout
from crep.harness.brokers.mapping import load_mapping
from crep.harness.checks.evaluate import evaluate
from crep.harness.checks.latency import summarise
from crep.harness.checks.ledger import ledger
from crep.harness.checks.results import Drain, RunResults
from crep.harness.config.errors import UsageError
from crep.harness.load.stamp import SIZE, Renderer, parse
from crep.harness.metrics.histogram import Histogram
from crep.harness.metrics.history import CORRUPT, FOREIGN, INTACT
from crep.harness.runner.record import UNACKNOWLEDGED, stated_durability
from crep.harness.scenario.load import parse_scenario
from crep.reports import compile_comparison
from tests.checks.honest import T0, copy_of, honest_world
from tests.checks.simulated import MS, SimulatedRun, a_plan
from tests.end_to_end.outside import SMALL
from tests.method.conftest import Made
from tests.reports import factories
from tests.reports.test_judge import A, B, compared, five

CALM = a_plan(kill_at_s=None)


def checked(**changes: object) -> RunResults:
    """The verdicts of a simulated run without faults, with something about it changed."""
    return evaluate(SimulatedRun(CALM, **changes), CALM)  # type: ignore[arg-type]


def broken(results: RunResults) -> dict[str, str]:
    """Rule → its sentence, of those that do not hold."""
    return {rule.name: rule.text for rule in results.rules if not rule.holds}


# 1. Time from the intended send.


def test_rule_01_a_client_that_sends_late_does_not_make_its_broker_look_fast() -> None:
    """All arrives as before, but was sent 0.9 ms late: by the time of sending the broker looks that much faster."""
    medians = {
        (late, one.metric): one.percentiles_ms["50"] or 0.0
        for late in (False, True)
        for one in checked(lateness_ns=9 * MS // 10 if late else 0).latencies
        if one.where in {"orders", "orders.billing"}
    }
    assert medians[True, "lateness"] == pytest.approx(0.9, rel=0.01)
    assert medians[True, "service"] == pytest.approx(medians[False, "service"] - 0.9, rel=0.01)
    assert medians[True, "latency"] == medians[False, "latency"]


@pytest.mark.emulator
@pytest.mark.end_to_end
def test_rule_01_a_client_that_cannot_keep_the_schedule_makes_the_run_invalid(made: Made) -> None:
    assert made.exit_code == 4, made.output
    [rule] = [one for one in made.run("late")["results"]["rules"] if one["name"] == "lateness"]
    assert not rule["holds"]
    assert "could not keep the schedule" in rule["text"]
    report = made.report("late")
    assert [(run["state"], "could not keep the schedule" in run["why"]) for run in report["runs"]] == [
        ("invalid", True)
    ]
    assert report["ledger"] == report["curves"] == report["throughput"] == []
    assert report["subjects"][0]["functional"] == "no-verdict"


# 2. Our own stamp.


def rendered(run: int = 5) -> bytes:
    """One message of 100 B as it travels."""
    columns = (np.uint64(7), np.int64(T0), np.uint32(1), np.uint32(3), np.uint32(100))
    made = Renderer(run=run, publisher=0, seed=1, carrier="payload").render(*(np.array([one]) for one in columns))
    return bytes(made.bodies[0])


def fault_of(body: bytes) -> int:
    """What a receiver of run 5 takes it for."""
    received, flags = np.array([T0 + MS]), np.zeros(1, np.uint8)
    return int(parse([body], None, run=5, received_ns=received, redelivered=flags)["fault"][0])


@pytest.mark.parametrize("place", [0, 8, 16, 24, 28, 36, 99], ids=lambda place: f"byte {place}")
def test_rule_02_a_stamp_or_payload_that_was_changed_on_the_way_is_no_message_of_ours(place: int) -> None:
    """Run, sequence, intended time, key, key sequence, the sum itself, and the last byte of the payload."""
    body = bytearray(rendered())
    assert fault_of(bytes(body)) == INTACT
    body[place] ^= 1
    assert fault_of(bytes(body)) == CORRUPT


def test_rule_02_a_message_of_another_run_is_foreign() -> None:
    assert fault_of(rendered(run=6)) == FOREIGN


def test_rule_02_a_payload_below_the_stamp_is_refused() -> None:
    with pytest.raises(UsageError, match=f"smaller than crep's stamp of {SIZE} B"):
        parse_scenario(SMALL.replace("size: 256 B", f"size: {SIZE - 1} B"), Path("small.yaml"))


# 3. One clock.


def test_rule_03_a_receipt_before_its_send_makes_the_run_invalid_and_is_counted() -> None:
    run = SimulatedRun(CALM)
    run._acknowledged[0] -= 50 * MS
    results = evaluate(run, CALM)
    assert "samples that are 0 or below" in broken(results)["clock"]
    early = {one.where: one.non_positive for one in results.latencies if one.metric == "latency"}
    assert early["orders.billing"] == 6_000  # every measured message of publisher 0


# 4. Whole histograms.


def histogram(values_ms: NDArray[np.float64]) -> Histogram:
    made = Histogram()
    made.record((values_ms * 1e6).astype(np.int64))
    return made


def test_rule_04_percentiles_of_repetitions_are_those_of_all_samples_and_no_average() -> None:
    """One repetition in two is slow: the mean of the two p99 would be 50 ms, and half of the samples take 100."""
    runs = [factories.run(1), factories.run(2)]
    for run, took_ms in zip(runs, (1.0, 100.0), strict=True):
        run.samples = {("latency", "orders", "billing"): {0: histogram(np.full(2_000, took_ms))}}
    [curve] = [one for one in compile_comparison(runs).scenarios[0].curves if one.where == "orders.billing"]
    assert curve.percentiles["99"].value == pytest.approx(100, rel=0.01)
    assert (curve.percentiles["99"].samples, curve.maximum.samples) == (4_000, 4_000)


def test_rule_04_a_percentile_with_fewer_than_ten_samples_beyond_is_not_printed() -> None:
    summary = summarise("latency", "orders.billing", histogram(np.linspace(1, 2, 999)))
    assert summary.percentiles_ms["90"] is not None
    assert summary.percentiles_ms["99"] is None
    assert (summary.samples, summary.max_ms) == (999, pytest.approx(2, rel=0.01))


def test_rule_04_the_worst_sample_is_never_clipped() -> None:
    hours = summarise("latency", "orders.billing", histogram(np.array([1.0, 7_200_000.0])))
    assert hours.max_ms == pytest.approx(7_200_000, rel=0.001)


# 5. Outcomes per send.


def test_rule_05_what_is_missing_after_an_unclean_drain_is_pending_and_the_run_invalid() -> None:
    unclean = Drain(clean=False, reason="the broker still holds 1", backlog={"orders.billing": 1}, duration_s=60)
    for drain, lost, pending in ((None, 0, 1), (unclean, 0, 1), (SimulatedRun(CALM).drain, 1, 0)):
        results = checked(drop={(0, 900)}, drain=drain)
        [billing] = [one for one in results.readers if one.reader == "billing"]
        assert (billing.lost, billing.pending) == (lost, pending)
        assert ("drain" in broken(results)) == bool(pending)


def test_rule_05_each_outcome_is_what_it_is() -> None:
    """One message of each kind: all are received once but the dropped one, and one of them twice."""
    world = honest_world()
    refused, silent, again, dropped = world.messages[10:14]
    refused.outcomes, silent.outcomes = [Outcome.REJECTED], []
    receipts = world.receipts["billing"]
    of = {(one.publisher, one.sequence): one for one in receipts}
    receipts.append(copy_of(of[again.publisher, again.sequence], at_ns=T0 + 900 * MS))
    receipts.remove(of[dropped.publisher, dropped.sequence])
    channel, readers = ledger(world.history(), drain_clean=True, t0_ns=T0)
    [billing] = [one for one in readers if one.reader == "billing"]
    assert (channel.rejected, channel.unknown) == (1, 1)
    assert (billing.rejected_received, billing.unknown_received) == (1, 1)  # received though unknown: no duplicate
    assert (billing.duplicates_unflagged, billing.lost) == (1, 1)


def test_rule_05_nothing_is_lost_of_what_was_never_acknowledged() -> None:
    """A class without acknowledgement: the client library's "delivered" is not believed."""
    plan = a_plan(kill_at_s=None, guaranteed=False, screen="at-least-once")
    results = evaluate(SimulatedRun(plan, drop={(0, 900)}), plan)
    assert results.channels[0].acknowledged == 0
    assert [(one.lost, one.missing_allowed) for one in results.readers] == [(0, 1), (0, 1)]


def test_rule_05_two_outcomes_of_one_message_make_the_run_invalid() -> None:
    run = SimulatedRun(CALM)
    told = run.outcomes(0)
    twice = np.concatenate([told, told[:1]])
    twice["outcome"][-1] = Outcome.REJECTED
    run.outcomes = lambda publisher: twice if publisher == 0 else told  # type: ignore[method-assign]
    assert "contradicting outcomes: 1 on orders" in broken(evaluate(run, CALM))["outcomes"]


# 6. Equal durability class.


def test_rule_06_a_class_that_a_target_cannot_reach_is_refused() -> None:
    """Before any load, seen from outside: tests/end_to_end/test_not_supported.py."""
    [channel] = CALM.channels["bus"]
    twice = replace(channel, durability=replace(channel.durability, copies=2))
    with pytest.raises(NotSupported, match="asks for 2 copies and the cluster has 1 broker"):
        channel_layout("run", twice, load_mapping("kafka/topic-per-channel").channel, 1)


def test_rule_06_unequal_classes_are_not_compared_and_stand_with_their_numbers() -> None:
    [scenario] = compared(five(A, 9000.0, sync="memory"), five(B, 1000.0)).scenarios
    assert scenario.contests == ()
    assert scenario.performance[0] == "No performance verdict: the durability classes differ."
    assert scenario.durability == "1 copy, sync memory; 1 copy, sync disk"
    assert {row.subject: row.rates["acknowledged"].durability for row in scenario.throughput} == {
        A: "1 copy, sync memory",
        B: "1 copy, sync disk",
    }


def test_rule_06_what_nobody_acknowledges_has_no_class_whatever_its_topic_could_do() -> None:
    made = Provisioned("run", "m", {}, {"orders": {"copies": 3, "sync": "disk", "known": "configured"}})
    assert stated_durability(made, a_plan(guaranteed=False)) == {"orders": UNACKNOWLEDGED}
