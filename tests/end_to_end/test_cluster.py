"""Stock failures on three real brokers and three controllers, shortened; `make soak` tries all of them, five times."""

from __future__ import annotations

import dataclasses

import pytest

from soak.cluster import STOCK_FAILURES, Seen, StockFailure, seen_in
from tests.end_to_end.outside import Crep

pytestmark = [pytest.mark.kafka, pytest.mark.end_to_end, pytest.mark.timeout(300)]

ONE_RUN = """
import sys
from pathlib import Path
from crep.harness.campaign import Rounds, turns
from crep.harness.cli.inputs import campaign_from
from crep.harness.cli.judge import evaluate_folder
from crep.harness.monitor.live import LiveView
from crep.harness.runner import Stop

campaign = campaign_from(
    (SCENARIO,), bindings=(TARGET,), params=PARAMS, repeat=1, profile="quick", targets=None, out=Path("results"),
    name=None,
)
with Stop() as stop, LiveView() as view, Rounds(campaign, view, stop, evaluate_folder) as rounds:
    [measured] = [turn for turn in turns(campaign) if turn.kind == "measured"]
    rounds.carry_out(measured, number=1, of=1)
"""
"""`crep run` without the control run, which takes twenty seconds."""


def claim(name: str, **times: str) -> StockFailure:
    [found] = [one for one in STOCK_FAILURES if one.name == name]
    return dataclasses.replace(found, params={**found.params, **times})


def run(crep: Crep, stock: StockFailure) -> Seen:
    words = {"SCENARIO": stock.scenario, "TARGET": stock.target}
    words["PARAMS"] = tuple(f"{name}={value}" for name, value in stock.params.items())
    process = crep.start_script("".join(f"{name} = {value!r}\n" for name, value in words.items()) + ONE_RUN)
    process.communicate(timeout=280)
    crep.assert_nothing_runs()
    return seen_in(crep.folder / "results")


def test_a_killed_leader_costs_no_acknowledged_message_and_clients_learn_of_it_at_once(crep: Crep) -> None:
    stock = claim("leader-killed", at="2 s", down="6 s", length="12 s")
    seen = run(crep, stock)
    assert list(stock.broken_by(seen)) == []
    [fault] = seen.faults
    assert fault.detected_by.endswith("was told: disconnected")
    assert fault.detected_s is not None
    assert fault.detected_s < 1.0


def test_what_a_leader_acknowledged_alone_is_lost_found_and_named_as_never_replicated(crep: Crep) -> None:
    stock = claim("leader-cut-off-and-killed-acks-1", cut="2 s", kill="4 s", apart="4 s", down="6 s", length="14 s")
    seen = run(crep, stock)
    assert list(stock.broken_by(seen)) == []
    [expected, _] = seen.results.expectations
    assert (expected.text, expected.verdict) == ("billing.lost == 0", "failed")
