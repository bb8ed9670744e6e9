"""What is said of whole runs: outage, recovery, rules and expectations, on simulated runs with a known truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from crep.harness.checks.detection import Sign
from crep.harness.checks.evaluate import evaluate
from crep.harness.checks.results import Drain, ExpectationResult, FaultResult, RunResults
from crep.harness.metrics.history import OUTCOME, RECEIVED, Records
from crep.harness.scenario.plan import without_faults
from tests.checks.simulated import Fault, SimulatedRun, Site, a_plan


def killed(**changes: object) -> SimulatedRun:
    """Dead from 8.002 s, back at 12.5 s, caught up half a second later."""
    settings: dict[str, object] = {"plan": a_plan(), "down_s": 8.002, "up_s": 12.5, "faults": (Fault(),)}
    return SimulatedRun(**(settings | changes))  # type: ignore[arg-type]


def control() -> SimulatedRun:
    return SimulatedRun(without_faults(a_plan()))


def only_fault(results: RunResults) -> FaultResult:
    (fault,) = results.faults
    return fault


def expected(text: str, run: SimulatedRun, compared: SimulatedRun | None = None) -> ExpectationResult:
    plan = replace(run.plan, expectations=a_plan(expect=(text,)).expectations)
    (result,) = evaluate(run, plan, compared).expectations
    return result


def broken(results: RunResults) -> dict[str, str]:
    return {rule.name: rule.text for rule in results.rules if not rule.holds}


def test_an_undisturbed_run_is_valid_and_clean() -> None:
    run = SimulatedRun(a_plan(kill_at_s=None))
    results = evaluate(run, run.plan)
    assert results.valid, broken(results)
    assert results.faults == ()
    (channel,) = results.channels
    assert channel.acknowledged == channel.handed_over == 400 * 33
    for reader in results.readers:
        assert reader.received == reader.expected == 400 * 33
        assert reader.lost == reader.reordered == reader.unexpected == 0
    (throughput,) = results.throughput
    assert throughput.intended_per_s == throughput.sent_per_s == pytest.approx(400)
    assert throughput.received_per_s["billing"] == pytest.approx(400, rel=0.01)
    summaries = {(one.metric, one.where): one for one in results.latencies}
    assert summaries["latency", "orders.billing"].samples == 12_000  # the warm-up is not among them
    assert summaries["service", "orders.billing"].samples == 12_000
    latency = summaries["latency", "orders.billing"].percentiles_ms
    service = summaries["service", "orders.billing"].percentiles_ms
    assert latency["50"] == pytest.approx((service["50"] or 0) + 0.02, rel=0.01)
    assert latency["99.99"] is None


def test_an_outage_is_as_long_as_the_broker_was_silent() -> None:
    fault = only_fault(evaluate(killed(), a_plan(), control()))
    assert fault.publish is not None
    assert fault.publish.longest_s == pytest.approx(4.5, abs=0.1)
    assert fault.publish.control_s == pytest.approx(0.002, abs=0.001)
    assert fault.publish.outage_s == pytest.approx(4.5, abs=0.1)
    assert fault.publish.keys_hit == 1.0
    assert fault.publish.from_s == pytest.approx(8.0, abs=0.11)
    assert fault.publish.to_s == pytest.approx(12.5, abs=0.51)
    assert {one.where for one in fault.receive} == {"orders.billing", "orders.screen"}


def test_only_the_keys_of_the_dead_node_are_hit() -> None:
    fault = only_fault(evaluate(killed(keys_hit=10), a_plan(), control()))
    assert fault.publish is not None
    assert fault.publish.keys_hit == pytest.approx(10 / 40)
    assert fault.publish.longest_s == pytest.approx(4.5, abs=0.15)
    assert fault.recovered_s == pytest.approx(13.0, abs=0.002)


def test_recovery_waits_for_acknowledges_in_time_and_a_backlog_that_is_gone() -> None:
    fault = only_fault(evaluate(killed(), a_plan(), control()))
    assert fault.recovered_s == pytest.approx(13.0, abs=0.002)
    assert fault.time_to_recover_s == pytest.approx(13.0 - 8.002, abs=0.002)
    assert fault.not_recovered_because is None
    assert fault.baseline == "control run without faults, 12 s"


def test_recovery_is_not_before_the_last_silence_has_ended() -> None:
    """Back at 12.1 s: second 12 is good by its shares and medians, but it began in silence."""
    fault = only_fault(evaluate(killed(up_s=12.1, catch_up_s=0.0), a_plan(), control()))
    assert fault.publish is not None
    assert fault.recovered_s is not None
    assert fault.recovered_s >= fault.publish.to_s
    assert fault.recovered_s == pytest.approx(12.1, abs=0.11)  # a key is due every 0.1 s


def test_without_a_control_run_the_part_before_the_fault_is_the_baseline_and_the_outage_stays_unknown() -> None:
    fault = only_fault(evaluate(killed(), a_plan()))
    assert fault.baseline.startswith("this run before its first fault, warm-up included, 11.0 s")
    assert fault.recovered_s == pytest.approx(13.0, abs=0.002)
    assert fault.publish is not None
    assert fault.publish.control_s is None
    assert fault.publish.outage_s is None
    assert fault.publish.keys_hit == 1.0


def test_too_short_a_baseline_gives_no_recovery_time() -> None:
    plan = a_plan(warm_up_s=1)
    fault = only_fault(evaluate(killed(plan=plan), plan))
    assert fault.recovered_s is None
    assert "no baseline" in (fault.not_recovered_because or "")


def test_a_broker_that_stays_slow_has_not_recovered() -> None:
    fault = only_fault(evaluate(killed(slow_after_s=12.5), a_plan(), control()))
    assert fault.recovered_s is None
    assert "second 29: latency of orders.billing was more than 2 times" in (fault.not_recovered_because or "")


def test_a_broker_that_never_comes_back_is_silent_to_the_end_of_the_schedule() -> None:
    run = killed(up_s=200.0)
    fault = only_fault(evaluate(run, a_plan(), control()))
    assert fault.recovered_s is None
    assert "fewer than 95% of the intended sends of orders" in (fault.not_recovered_because or "")
    assert fault.publish is not None
    assert fault.publish.longest_s > 21


def test_a_fault_near_the_end_cannot_be_called_recovered() -> None:
    late = Fault(declared_s=27, injected_s=27.0, confirmed_s=27.1, heal_started_s=27.2, healed_s=27.3)
    fault = only_fault(evaluate(killed(down_s=27, up_s=27.2, faults=(late,)), a_plan(kill_at_s=27), control()))
    assert fault.not_recovered_because == "only 3 whole seconds were measured after it; 5 are needed"


def test_detection_is_the_first_sign_after_the_injection() -> None:
    told = (
        Sign(2.0, "publisher-0", "publisher", "orders", "down"),
        Sign(3.0, "publisher-0", "publisher", "orders", "reconnected"),
        Sign(8.052, "publisher-0", "publisher", "orders", "down"),
    )
    fault = only_fault(evaluate(killed(signs=told), a_plan(), control()))
    assert (fault.detected_s, fault.detected_by) == (pytest.approx(0.05), "a publisher was told: down")


def test_without_a_word_from_a_client_the_first_unusual_silence_is_the_detection() -> None:
    fault = only_fault(evaluate(killed(), a_plan(), control()))
    assert fault.detected_by == "no acknowledgement of orders for 0.1 s"
    assert fault.detected_s == pytest.approx(0.1, abs=0.005)  # the first silent send was due at the injection


def test_the_cost_counts_what_was_lost_around_the_fault_and_nothing_else() -> None:
    sends = killed().sent(0)
    at_s = (sends["intended_ns"] - killed().sent(0)["intended_ns"][0]) / 1e9 - 3
    early, late = int((at_s < 5).sum()), int((at_s < 9).sum())
    results = evaluate(killed(drop={(0, early), (0, late)}), a_plan(), control())
    nothing = {"lost": 0, "pending": 0, "duplicates": 0, "reordered": 0, "unknown": 0, "rejected": 0}
    assert only_fault(results).cost == nothing | {"lost": 1}
    assert results.outside_faults == nothing | {"lost": 1}
    assert results.control_cost == nothing


@pytest.mark.parametrize(
    ("run", "rule", "says"),
    [
        (killed(lateness_ns=7_000_000), "lateness", "could not keep the schedule outside faults: orders p99 7"),
        (killed(cut_off=3), "schedule", "never handed over: 3 of orders"),
        (killed(drain=None), "drain", "ended before it was drained"),
        (
            killed(drain=Drain(clean=False, reason="backlog 7", backlog={}, duration_s=60)),
            "drain",
            "with messages on their way, so loss is not known: backlog 7",
        ),
        (killed(faults=()), "faults", "kill-broker at 8 s was not injected"),
        (killed(faults=(Fault(confirmed_s=None),)), "faults", "was not confirmed by the probe"),
        (killed(faults=(Fault(injected_s=9.5, confirmed_s=9.6),)), "faults", "was injected 1.5 s late"),
        (killed(faults=(Fault(healed_s=None),)), "faults", "the broker did not come back"),
        (killed(faults=(Fault(error="no such process"),)), "faults", "no such process"),
        (killed(unrecorded=3), "records", "orders.screen counted "),
        (killed(lateness_ns=-3_000_000, failure="x"), "completed", "the run was cut short: x"),
    ],
)  # fmt: skip
def test_a_broken_rule_makes_the_run_invalid_and_says_why(run: SimulatedRun, rule: str, says: str) -> None:
    results = evaluate(run, run.plan, control())
    assert not results.valid
    assert says in broken(results)[rule]


def test_a_receipt_before_its_send_breaks_the_clock() -> None:
    run = killed()
    run._acknowledged[0] -= 50_000_000
    assert "of latency of orders.billing" in broken(evaluate(run, run.plan))["clock"]


def test_lateness_while_the_broker_is_down_is_not_the_clients_fault() -> None:
    run = killed()
    for sent in run._sent.values():
        during = (sent["intended_ns"] - 900 * 10**9 > 8 * 10**9) & (sent["intended_ns"] - 900 * 10**9 < 12 * 10**9)
        sent["sent_ns"][during] += 10**9
    assert "lateness" not in broken(evaluate(run, run.plan, control()))


def test_thresholds_are_held_against_the_results() -> None:
    assert expected("billing.lost == 0", killed(), control()).verdict == "passed"
    assert expected("orders.outage.publish < 5 s", killed(), control()).verdict == "passed"
    failed = expected("orders.outage.publish < 4 s", killed(), control())
    assert failed.verdict == "failed"
    assert failed.value == pytest.approx(4.5, abs=0.1)
    assert expected("orders.recovery < 6 s", killed(), control()).verdict == "passed"
    assert expected("orders.recovery < 4 s", killed(), control()).verdict == "failed"
    assert expected("billing.latency.p99 < 10 ms outside faults", killed(), control()).verdict == "passed"
    assert expected("billing.latency.p99 < 10 ms during faults", killed(), control()).verdict == "failed"
    assert expected("billing.latency.p99 < 10 ms", killed(), control()).verdict == "failed"
    assert expected("orders.throughput.acknowledged > 390/s", killed(), control()).verdict == "passed"
    assert expected("screen.missing < 1", killed(), control()).verdict == "failed"


@pytest.mark.parametrize(
    ("text", "run", "reason"),
    [
        ("orders.outage.publish < 5 s", killed(), "there was no control run"),
        ("orders.outage.publish < 5 s", killed(faults=()), "no fault was injected"),
        ("orders.recovery < 60 s", killed(slow_after_s=12.5), "not recovered: second 29"),
        ("billing.latency.p99 < 1 s during faults", killed(faults=()), "only 0 samples during faults"),
        ("billing.latency.p99.99 < 1 s", killed(), "12,000 samples are too few for p99.99"),
        ("orders.throughput.sent > 1/s during faults", killed(faults=()), "no second lies during faults"),
        (
            "billing.lost == 0",
            killed(drop={(0, 900)}, drain=Drain(clean=False, reason="", backlog={}, duration_s=60)),
            "1 messages are pending",
        ),
    ],
)
def test_missing_data_fails_and_says_what_is_missing(text: str, run: SimulatedRun, reason: str) -> None:
    result = expected(text, run)
    assert result.verdict == "no-data"
    assert reason in result.reason


@pytest.mark.parametrize(
    ("site", "labels", "text", "reason"),
    [
        (Site("solace-emulator", "emulated"), (), "orders.outage.publish < 1 s", "solace-emulator is emulated"),
        (Site("mock", "mock"), (), "billing.latency.p99 < 1 ms", "mock is mock"),
        (Site(profile="quick"), (), "orders.recovery < 1 s", "profile quick of kafka-local"),
        (Site(), ("co-located",), "orders.throughput.sent > 1000/s", "shared a busy host"),
        (Site(), ("client-bound",), "billing.latency.p99 < 1 ms", "near its own limit"),
    ],
)
def test_no_performance_verdict_where_the_method_bars_it(
    site: Site, labels: tuple[str, ...], text: str, reason: str
) -> None:
    result = expected(text, killed(sites={"bus": site}, labels=frozenset(labels)), control())
    assert result.verdict == "not-judged"
    assert reason in result.reason


def test_an_emulated_broker_that_loses_a_message_fails_all_the_same() -> None:
    run = killed(sites={"bus": Site("solace-emulator", "emulated")}, drop={(0, 900)})
    result = expected("billing.lost == 0", run)
    assert (result.verdict, result.value) == ("failed", 1)
    assert result.reason == "orders.billing: lost is 1"


def test_a_run_that_never_began_is_judged_without_an_exception() -> None:
    run = SimulatedRun(a_plan(expect=("billing.lost == 0", "billing.latency.p99 < 1 s")), t0_ns=None, drain=None)
    for number in run._sent:
        run._sent[number] = run._sent[number][:0]
        run._acknowledged[number] = run._acknowledged[number][:0]
    results = evaluate(run, run.plan)
    assert [one.verdict for one in results.expectations] == ["no-data", "no-data"]
    assert {"lateness", "schedule", "drain", "faults"} <= set(broken(results))


def test_a_profile_that_ends_within_a_second_has_the_rate_that_it_was_sent_at() -> None:
    run = SimulatedRun(a_plan(kill_at_s=None, measured_s=20.25))
    (throughput,) = evaluate(run, run.plan).throughput
    assert throughput.intended_per_s == throughput.sent_per_s == pytest.approx(400)
    assert throughput.acknowledged_per_s == pytest.approx(400, rel=0.001)


class NothingComesBack(SimulatedRun):
    """A broker that takes everything, says nothing and delivers nothing."""

    def outcomes(self, publisher: int) -> Records:
        return np.empty(0, OUTCOME)

    def receipts(self, channel: str, reader: str, member: int) -> Records:
        return np.empty(0, RECEIVED)


def test_no_loss_is_claimed_where_nothing_was_acknowledged() -> None:
    run = NothingComesBack(a_plan(kill_at_s=None))
    assert expected("billing.lost == 0", run).verdict == "no-data"
    assert expected("orders.unknown == 0", run).verdict == "failed"


@pytest.mark.parametrize("metric", ["reordered", "duplicates", "corrupt", "foreign", "unexpected"])
def test_nothing_is_said_of_receipts_where_there_are_none(metric: str) -> None:
    run = NothingComesBack(a_plan(kill_at_s=None))
    result = expected(f"billing.{metric} == 0", run)
    assert result.verdict == "no-data"
    assert "nothing was received" in result.reason
