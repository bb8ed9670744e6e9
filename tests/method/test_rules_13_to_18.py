"""METHOD rules 13 to 18: faults, provenance, criteria, emulation, one host, mapping."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crep.harness.brokers.contract import NotSupported
from crep.harness.brokers.kafka.layout import channel_layout
from crep.harness.brokers.mapping import load_mapping
from crep.harness.campaign import CONTROL, tells_what_is_usual
from crep.harness.checks.evaluate import evaluate
from crep.harness.checks.results import ExpectationResult, Rule
from crep.harness.cli.judge import contradictions
from crep.harness.config.errors import UsageError
from crep.harness.config.targets import read_targets
from crep.harness.runner.pinning import available_cores, plan_pinning
from crep.harness.runner.processor import ProcessorWatch
from crep.harness.runner.record import CO_LOCATED_CPU, first_document, utc_now
from crep.harness.runs.read import read_run
from crep.harness.scenario.daily import Daily
from crep.harness.scenario.load import load_scenario
from crep.harness.scenario.plan import without_faults
from crep.reports import compile_comparison
from tests.checks.simulated import Fault, SimulatedRun, Site, a_plan
from tests.end_to_end.outside import SMALL
from tests.method.conftest import Made
from tests.reports import factories
from tests.reports.test_judge import A, B, compared, five


def expected(text: str, control: SimulatedRun | None = None, **changes: object) -> ExpectationResult:
    """The verdict of one expectation on a run whose broker is killed at 8 s."""
    plan = a_plan(expect=(text,))
    settings: dict[str, object] = {"plan": plan, "down_s": 8.002, "up_s": 12.5, "faults": (Fault(),)}
    [result] = evaluate(SimulatedRun(**(settings | changes)), plan, control).expectations  # type: ignore[arg-type]
    return result


# 13. Faults.


@pytest.mark.parametrize(
    ("faults", "says"),
    [
        ((), "was not injected"),
        ((Fault(injected_s=9.5),), "was injected 1.5 s late"),
        ((Fault(confirmed_s=None),), "was not confirmed by the probe"),
        ((Fault(healed_s=None),), "the broker did not come back"),
    ],
)
def test_rule_13_a_fault_that_was_not_what_was_declared_makes_the_run_invalid(
    faults: tuple[Fault, ...], says: str
) -> None:
    plan = a_plan()
    results = evaluate(SimulatedRun(plan, faults=faults), plan)
    assert not results.valid
    assert says in next(rule.text for rule in results.rules if rule.name == "faults")


def test_rule_13_without_a_control_run_an_outage_is_not_known() -> None:
    control = SimulatedRun(without_faults(a_plan()))
    assert expected("orders.outage.publish < 60 s", control).verdict == "passed"
    alone = expected("orders.outage.publish < 60 s")
    assert (alone.verdict, "no control run" in alone.reason) == ("no-data", True)


def test_rule_13_an_invalid_control_run_is_no_measure_of_what_is_usual() -> None:
    control = factories.document(CONTROL, kind="control")
    assert tells_what_is_usual(control)
    late = factories.results(rules=(Rule(name="lateness", holds=False, text="41 ms"),))
    assert not tells_what_is_usual(control.model_copy(update={"results": late}))


# 14. Provenance, and missing data.


@pytest.mark.emulator
@pytest.mark.end_to_end
def test_rule_14_a_count_that_was_changed_in_the_record_is_found(made: Made, tmp_path: Path) -> None:
    folder = forged(made, tmp_path, lambda run: run["results"]["readers"][0].update(lost=1))
    done = made.crep("verify", str(made.folder("kept")), str(folder))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "confirmed from the ledger" in done.stdout
    assert done.stdout.count("differs from its own folder: readers") == 1


@pytest.mark.emulator
@pytest.mark.end_to_end
def test_rule_14_a_run_knows_where_it_comes_from(made: Made) -> None:
    run = made.run("kept")
    site = run["sites"]["bus"]
    assert run["scenario"]["sha256"] == hashlib.sha256(run["scenario"]["text"].encode()).hexdigest()
    assert (run["scenario"]["seed"], run["started_utc"] < run["ended_utc"]) == (7, True)
    for known in (run["host"]["cpu"], run["host"]["cores"], run["harness"]["version"], site["facts"]["version"]):
        assert known
    assert site["facts"]["client"]
    assert all(client["settings"] for client in run["clients"])
    assert made.report("kept")["command"].startswith("crep run kept.yaml --on solace-emulator")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("billing.latency.p99.99 < 1 h", "samples are too few"),
        ("billing.latency.p99 < 1 h during faults", "only 0 samples during faults"),
        ("orders.recovery < 1 h", "no fault was injected"),
    ],
)
def test_rule_14_a_threshold_without_data_fails(text: str, why: str) -> None:
    result = expected(text, faults=())
    assert (result.verdict, why in result.reason) == ("no-data", True)
    run = factories.run(1, results=factories.results(expectations=(result.model_copy(update={"kind": "functional"}),)))
    assert compile_comparison([run]).scenarios[0].subjects[0].functional == "failed"


# 15. Criteria before the run.


def test_rule_15_criteria_that_are_dated_after_the_start_bar_the_verdict(tmp_path: Path) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    assert labels_of(path) == []
    tomorrow = time.time() + 86_400
    os.utime(path, (tomorrow, tomorrow))
    assert labels_of(path) == ["late-criteria"]
    result = expected("orders.recovery < 1 h", labels=frozenset({"late-criteria"}))
    assert (result.verdict, "dated after the start" in result.reason) == ("not-judged", True)
    [scenario] = compared(five(A, 9000.0, labels=["late-criteria"]), five(B, 1000.0)).scenarios
    assert scenario.contests == ()
    assert "the scenario is dated after the start of the run" in scenario.performance[1]


def labels_of(scenario: Path) -> list[str]:
    """Of a run that begins now."""
    document = first_document(
        run_id="7f3a0001",
        scenario=load_scenario(scenario),
        campaign="c",
        binding="bus=b",
        repetition=1,
        kind="measured",
        started_utc=utc_now(),
    )
    return [label.code for label in document.labels]


@pytest.mark.emulator
@pytest.mark.end_to_end
def test_rule_15_a_threshold_that_was_eased_after_the_run_is_found(made: Made, tmp_path: Path) -> None:
    """In the text alone; with its check sum; and with what the report says of it."""

    def ease(run: dict[str, Any]) -> None:
        scenario = run["scenario"]
        scenario["text"] = scenario["text"].replace("billing.lost == 0", "billing.lost < 99")

    def hide(run: dict[str, Any]) -> None:
        ease(run)
        run["scenario"]["sha256"] = hashlib.sha256(run["scenario"]["text"].encode()).hexdigest()

    for change, part in ((ease, "scenario text (its SHA-256 is another)"), (hide, "expectations")):
        assert part in contradictions(read_run(forged(made, tmp_path, change)))
    dated = made.run("kept")["scenario"]["dated_utc"]
    assert dated < made.run("kept")["started_utc"]
    assert made.report("kept")["dated_utc"] == dated


def test_rule_15_runs_of_a_changed_scenario_are_not_counted_with_those_before() -> None:
    left, right = five(A, 9000.0), five(B, 1000.0)
    for run in right:
        eased = run.document.scenario.model_copy(update={"sha256": "0" * 64})
        run.document = run.document.model_copy(update={"scenario": eased})
    assert [one.contests for one in compared(left, right).scenarios] == [(), ()]


# 16. Emulated is not measured.


@pytest.mark.emulator
@pytest.mark.end_to_end
def test_rule_16_the_emulators_timings_are_no_verdict_and_its_counts_are(made: Made) -> None:
    run = made.run("kept")
    assert "emulated" in {label["code"] for label in run["labels"]}
    found = {one["text"]: (one["verdict"], one["reason"]) for one in run["results"]["expectations"]}
    assert found["billing.lost == 0"][0] == "passed"
    judged, reason = found["billing.latency.p99 < 1 s"]
    assert (judged, "not a measurement of the product" in reason) == ("not-judged", True)
    [subject] = made.report("kept")["subjects"]
    assert (subject["kind"], subject["standing"]["comparable"]) == ("emulated", False)
    assert "not a measurement of Solace" in subject["standing"]["why"]


def test_rule_16_no_flag_makes_an_emulated_target_genuine(tmp_path: Path) -> None:
    """Not even behind an address: tests/brokers/test_solace_recognition.py."""
    targets = tmp_path / "targets.yaml"
    targets.write_text("targets: {mine: {system: solace, source: embedded, genuineness: genuine}}\n")
    with pytest.raises(UsageError, match="genuineness"):
        read_targets(targets)
    [scenario] = compared(five(A, 9000.0, genuineness="emulated"), five(B, 1000.0)).scenarios
    assert scenario.contests == ()


# 17. One host is a small world. On a busy machine: tests/end_to_end/test_labels.py.


def test_rule_17_a_busy_host_is_seen_and_bars_verdicts_on_rates_alone(tmp_path: Path) -> None:
    stat = tmp_path / "stat"
    stat.write_text("cpu 100 0 100 800 0 0 0 0\n")
    watch = ProcessorWatch(stat)
    stat.write_text("cpu 950 0 150 900 0 0 0 0\n")
    assert (watch.busy() or 0) == pytest.approx(0.9)
    assert (watch.busy() or 0) > CO_LOCATED_CPU
    busy = frozenset({"co-located"})
    assert expected("orders.throughput.sent > 1/s", labels=busy).verdict == "not-judged"
    assert expected("billing.latency.p99 < 1 h", labels=busy).verdict == "passed"
    metrics = {one.metric for one in compared(five(A, 9.0, labels=["co-located"]), five(B, 9.0)).scenarios[0].contests}
    assert "throughput" not in metrics
    assert "latency p99" in metrics


@pytest.mark.emulator
@pytest.mark.end_to_end
def test_rule_17_where_clients_and_broker_keep_to_no_cores_of_their_own_the_run_says_why(made: Made) -> None:
    few = plan_pinning([0, 1], "auto", local_broker=True)
    assert (few.brokers, few.clients, few.text) == ((), (), "not pinned: 2 cores")
    assert made.run("kept")["pinning"] == plan_pinning(available_cores(), "auto", local_broker=True).text


def test_rule_17_a_run_below_the_asked_volume_of_a_day_says_that_it_is_not_enough() -> None:
    plan = replace(a_plan(kill_at_s=None), daily=Daily(messages=34_560_000, peak=4.0))
    asked = evaluate(SimulatedRun(plan), plan).asked
    assert asked is not None
    assert (asked.asked_per_s, asked.carried) == (1600.0, False)
    assert str(asked).startswith("34,560,000 messages a day × 4 = 1,600.0/s; the run carried 400.0/s: not enough")


# 18. The mapping is part of the result.


@pytest.mark.emulator
@pytest.mark.end_to_end
def test_rule_18_profile_quick_is_labelled_and_the_mapping_is_printed(made: Made) -> None:
    run = made.run("kept")
    assert "quick-profile" in {label["code"] for label in run["labels"]}
    mapping = run["sites"]["bus"]["mapping"]
    assert (mapping["name"], mapping["version"]) == ("solace/queue-per-reader", 2)
    page = (made.results / "method" / "report.html").read_text()
    assert "solace/queue-per-reader" in page
    assert "profile quick" in page


def test_rule_18_profile_quick_carries_no_verdict_on_a_genuine_target_either() -> None:
    result = expected("orders.recovery < 1 h", sites={"bus": Site(profile="quick")})
    assert (result.verdict, "profile quick" in result.reason) == ("not-judged", True)
    assert compared(five(A, 9000.0, profile="quick"), five(B, 1000.0)).scenarios[0].contests == ()


def test_rule_18_a_mapping_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UsageError, match="there is no mapping 'kafka/topic-per-chanel'; did you mean"):
        load_mapping("kafka/topic-per-chanel")


def test_rule_18_what_a_mapping_cannot_give_is_not_supported_with_the_reason() -> None:
    [channel] = a_plan().channels["bus"]
    weak = replace(channel, durability=replace(channel.durability, sync="none"))
    with pytest.raises(NotSupported, match="page cache"):
        channel_layout("run", weak, load_mapping("kafka/topic-per-channel").channel, 1)


def forged(made: Made, folder: Path, change: Any) -> Path:
    """A copy of the kept run whose ``run.json`` was changed."""
    copy = folder / f"forged-{len(list(folder.iterdir()))}"
    shutil.copytree(made.folder("kept"), copy)
    document = made.run("kept")
    change(document)
    (copy / "run.json").write_text(json.dumps(document))
    return copy
