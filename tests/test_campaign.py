from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crep.harness.campaign import (
    CONTROL,
    Campaign,
    Outcome,
    Part,
    _Brokers,
    deployments_of,
    links_fail,
    require_recordable,
    turns,
)
from crep.harness.checks.results import ExpectationResult, Rule, RunResults, Verdict
from crep.harness.config.errors import UsageError
from crep.harness.config.targets import load_targets
from crep.harness.monitor.live import LiveView
from crep.harness.runs.document import RunDocument
from crep.harness.scenario.binding import Binding
from crep.harness.scenario.library import built_in_scenarios
from crep.harness.scenario.load import load_scenario, load_variants, parse_scenario
from crep.harness.scenario.model import Scenario

DEMO = load_scenario(built_in_scenarios()["demo"])
CLUSTER = Binding({"bus": "kafka-local-3"})
KAFKA, SOLACE = Binding({"bus": "kafka-local"}), Binding({"bus": "solace-emulator"})


def without_timeline(scenario: Scenario) -> Scenario:
    lines = scenario.text.splitlines()
    start = lines.index("timeline:")
    kept = [*lines[:start], *lines[start + 2 :]]
    text = "\n".join(line for line in kept if "outage" not in line and "recovery" not in line)
    return parse_scenario(text.replace(" outside faults", ""), Path("no-faults.yaml"))


def with_link_fault(scenario: Scenario) -> Scenario:
    lines = scenario.text.splitlines()
    start = lines.index("timeline:")
    lines[start + 1] = "  - {at: 6 s, do: latency, of: publishers, add: 20 ms, for: 2 s}"
    text = "\n".join(line for line in lines if "outage" not in line and "recovery" not in line)
    return parse_scenario(text, Path("links.yaml"))


def order(*parts: Part) -> list[tuple[str, str, int]]:
    made = turns(Campaign("test", parts, targets={}))
    return [(turn.scenario.file_name, str(turn.binding), turn.repetition) for turn in made]


def test_brokers_take_turns_after_their_control_runs() -> None:
    assert order(Part(DEMO, (KAFKA, SOLACE), repeat=2)) == [
        ("demo.yaml", "kafka-local", CONTROL),
        ("demo.yaml", "solace-emulator", CONTROL),
        ("demo.yaml", "kafka-local", 1),
        ("demo.yaml", "solace-emulator", 1),
        ("demo.yaml", "kafka-local", 2),
        ("demo.yaml", "solace-emulator", 2),
    ]


def test_a_scenario_without_faults_needs_no_control_run() -> None:
    assert order(Part(without_timeline(DEMO), (KAFKA,), repeat=1)) == [("no-faults.yaml", "kafka-local", 1)]


def test_times_of_more_messages_than_a_person_looks_into_are_not_kept() -> None:
    long = parse_scenario(without_timeline(DEMO).text, Path("no-faults.yaml"), {"rate": "1000000/s"})
    campaign = Campaign("test", (Part(long, (KAFKA,), repeat=1),), targets={}, record=True)
    with pytest.raises(UsageError, match=r"--record: demo on kafka-local, repetition 1 sends [\d,]+ messages"):
        require_recordable(campaign, turns(campaign))
    require_recordable(replace(campaign, record=False), turns(campaign))


def test_a_part_with_fewer_repetitions_ends_earlier() -> None:
    plain = without_timeline(DEMO)
    made = order(Part(plain, (KAFKA,), repeat=1), Part(plain, (SOLACE,), repeat=2))
    assert [(binding, repetition) for _, binding, repetition in made] == [
        ("kafka-local", 1),
        ("solace-emulator", 1),
        ("solace-emulator", 2),
    ]


def test_each_value_of_a_varied_dimension_is_run_side_by_side_on_all_brokers(tmp_path: Path) -> None:
    file = tmp_path / "sizes.yaml"
    file.write_text(without_timeline(DEMO).text + "\nvary: {message.size: [100 B, 10 KiB]}\n")
    variants = load_variants(file)
    made = turns(Campaign("test", tuple(Part(one, (KAFKA, SOLACE), repeat=2) for one in variants), targets={}))
    assert [(turn.scenario.label, str(turn.binding), turn.repetition) for turn in made] == [
        (f"demo@{size}", binding, repetition)
        for repetition in (1, 2)
        for size in ("100 B", "10 KiB")
        for binding in ("kafka-local", "solace-emulator")
    ]
    assert len({turn.pair for turn in made}) == 4


def run(*, status: str = "complete", kind: str = "measured", valid: bool = True, verdict: Verdict = "passed") -> Any:
    expectation = ExpectationResult(
        text="billing.lost == 0",
        metric="lost",
        kind="functional",
        verdict=verdict,
        value=0,
        unit="messages",
        threshold=0,
        operator="==",
        samples=1,
    )
    results = RunResults(
        rules=(Rule(name="lateness", holds=valid, text=""),),
        channels=(),
        readers=(),
        latencies=(),
        throughput=(),
        faults=(),
        expectations=(expectation,),
    )
    return RunDocument.model_construct(status=status, kind=kind, results=results)


@pytest.mark.parametrize(
    ("runs", "interrupted", "code"),
    [
        ([run(), run()], False, 0),
        ([run(), run(verdict="not-judged")], False, 0),
        ([run(), run(verdict="failed")], False, 1),
        ([run(), run(verdict="no-data")], False, 1),
        ([run(verdict="failed"), run(valid=False)], False, 4),
        ([run(valid=False), run(status="failed")], False, 3),
        ([run(kind="control", status="failed"), run()], False, 3),
        ([run(kind="control")], False, 3),
        ([], False, 3),
        ([run(status="failed"), run(valid=False)], True, 130),
    ],
)
def test_the_exit_code_is_the_first_that_applies(runs: list[RunDocument], interrupted: bool, code: int) -> None:
    assert Outcome(folder=Path("results"), runs=runs, interrupted=interrupted).exit_code == code


def test_links_fail_at_the_site_of_a_network_fault_in_the_control_run_too_and_nowhere_else() -> None:
    failing = turns(Campaign("c", (Part(with_link_fault(DEMO), (KAFKA,), 1),), {}))
    assert [turn.repetition for turn in failing] == [CONTROL, 1]
    assert all(links_fail(turn.timeline, "bus") for turn in failing)
    assert not any(links_fail(turn.timeline, "external") for turn in failing)
    assert not any(links_fail(turn.timeline, "bus") for turn in turns(Campaign("c", (Part(DEMO, (KAFKA,), 1),), {})))


def test_a_target_is_deployed_with_a_proxy_only_for_the_runs_whose_links_fail() -> None:
    parts = (Part(DEMO, (KAFKA, CLUSTER), 1), Part(with_link_fault(DEMO), (KAFKA, CLUSTER), 1))
    wanted = deployments_of(Campaign("c", parts, load_targets()))
    assert sorted(map(str, wanted)) == ["kafka-local", "kafka-local+proxy", "kafka-local-3"]


def test_a_target_with_a_fixed_port_is_deployed_once_because_two_brokers_cannot_have_it() -> None:
    fixed = {name: one.model_copy(update={"port": 21_000}) for name, one in load_targets().items()}
    parts = (Part(DEMO, (KAFKA, SOLACE), 1), Part(with_link_fault(DEMO), (KAFKA,), 1))
    wanted = deployments_of(Campaign("c", parts, fixed))
    assert sorted(map(str, wanted)) == ["kafka-local+proxy", "solace-emulator"]


def test_all_runs_of_such_a_target_use_that_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Answering] = []
    monkeypatch.setattr(
        "crep.harness.campaign.deploy", lambda target, folder, *, proxied: made.append(Answering(proxied)) or made[-1]
    )
    fixed = {name: one.model_copy(update={"port": 21_000}) for name, one in load_targets().items()}
    parts = (Part(DEMO, (KAFKA,), 1), Part(with_link_fault(DEMO), (KAFKA,), 1))
    brokers = _Brokers(Campaign("c", parts, fixed), tmp_path, LiveView())
    assert [one.proxied for one in made] == [True]
    assert brokers.ready("kafka-local", links_fail=False) is brokers.ready("kafka-local", links_fail=True)


class Answering:
    """A deployment all of whose nodes answer."""

    nodes = ("kafka-1",)

    def __init__(self, proxied: bool) -> None:
        self.proxied = proxied

    def probe_node(self, _node: str) -> bool:
        return True
