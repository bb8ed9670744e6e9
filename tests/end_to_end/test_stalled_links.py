"""A run whose links are cut, on a real Kafka behind the fault proxy: the results show how long, nothing is lost."""

from __future__ import annotations

import json

import pytest

from tests.end_to_end.outside import Crep

pytestmark = [pytest.mark.kafka, pytest.mark.end_to_end]

SCENARIO = """\
scenario: stalled
durability: {copies: 1, sync: memory}
channels:
  orders:
    topics: "orders/{region:eu,us}"
    keys: 20
    readers:
      billing: {share: group, members: 1}
load:
  - {to: orders, publishers: 1, message: {size: 1 KiB}, rate: {total: [{hold: 500/s, for: 7 s}]}}
timeline:
  - {at: 2 s, do: stall, of: publishers, for: 3 s}
measure: {warm_up: 1 s, drain: 40 s, repeat: 1, lateness: 60 s}
expect:
  - billing.lost == 0
"""

ONE_RUN = """
import sys
from pathlib import Path
from crep.harness.campaign import Campaign, Part, Rounds, turns
from crep.harness.cli.judge import evaluate_folder
from crep.harness.config.targets import load_targets
from crep.harness.monitor.live import LiveView
from crep.harness.runner import Stop
from crep.harness.scenario.binding import Binding
from crep.harness.scenario.load import load_scenario

part = Part(load_scenario(Path("stalled.yaml")), (Binding({"bus": "kafka-local"}),), 1)
campaign = Campaign("stalled", (part,), load_targets(), Path("results"))
with Stop() as stop, LiveView() as view, Rounds(campaign, view, stop, evaluate_folder) as rounds:
    [measured] = [turn for turn in turns(campaign) if turn.kind == "measured"]
    rounds.carry_out(measured, number=1, of=1)
"""
"""`crep run` without the control run, which takes ten seconds."""


def test_a_stall_of_publishers_is_in_the_results_as_long_as_it_was(crep: Crep) -> None:
    crep.scenario(SCENARIO, "stalled.yaml")
    process = crep.start_script(ONE_RUN)
    output, _ = process.communicate(timeout=170)
    [path] = [path for path in (crep.folder / "results").rglob("run.json") if "latest" not in path.parts]
    run = json.loads(path.read_text(encoding="utf-8"))
    assert run["status"] == "complete", output
    [fault] = run["faults"]
    assert fault["subject"] == "publishers to kafka-1"
    assert fault["error"] is None
    assert 0 <= fault["confirmed_s"] - fault["injected_s"] < fault["healed_s"] - fault["injected_s"]
    [analysed] = run["results"]["faults"]
    assert 2.5 < analysed["publish"]["longest_s"] < 9
    assert analysed["publish"]["keys_hit"] == 1.0
    assert analysed["cost"]["lost"] == 0
    [proxy] = [line for line in _lines(run) if line.startswith("client link of kafka-1")]
    assert "port" in proxy
    crep.assert_nothing_runs()


def _lines(data: object) -> list[str]:
    """Every text in a document."""
    if isinstance(data, dict):
        return [line for value in data.values() for line in _lines(value)]
    if isinstance(data, list):
        return [line for value in data for line in _lines(value)]
    return [data] if isinstance(data, str) else []
