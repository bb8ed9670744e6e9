"""Clients fail, from outside: what theory demands of a stock scenario, and what Ctrl-C leaves of several faults.

`make soak` makes each of the stock scenarios five times, with its control run.
"""

from __future__ import annotations

import json

import pytest

from crep.harness.brokers.contract import Endpoint
from soak.clients import broken_by, careless_alone_loses
from soak.cluster import seen_in
from soak.healed import interrupted, left_of_it, standing, with_faults
from tests.end_to_end.outside import Crep

pytestmark = [pytest.mark.end_to_end]

ONE_RUN = """
import sys
from pathlib import Path
from crep.harness.campaign import Campaign, Part, Rounds, turns
from crep.harness.cli.judge import evaluate_folder
from crep.harness.config.targets import load_targets
from crep.harness.monitor.live import LiveView
from crep.harness.runner import Stop
from crep.harness.scenario.binding import Binding
from crep.harness.scenario.library import scenario_path
from crep.harness.scenario.load import load_scenario

part = Part(load_scenario(scenario_path("SCENARIO"), PARAMS), (Binding({"bus": "TARGET"}),), 1)
campaign = Campaign("once", (part,), load_targets(), Path("results"))
with Stop() as stop, LiveView() as view, Rounds(campaign, view, stop, evaluate_folder) as rounds:
    [measured] = [turn for turn in turns(campaign) if turn.kind == "measured"]
    rounds.carry_out(measured, number=1, of=1)
sys.exit(rounds.outcome.exit_code)
"""
"""`crep run` without the control run, which takes ten seconds."""


def one_run(scenario: str, target: str, params: dict[str, str] | None = None) -> str:
    return ONE_RUN.replace("SCENARIO", scenario).replace("PARAMS", repr(params or {})).replace("TARGET", target)


@pytest.mark.kafka
def test_who_commits_before_it_has_processed_loses_what_it_held_and_the_partition_still_has_it(
    crep: Crep, kafka_endpoint: Endpoint
) -> None:
    """So long a message takes that a commit every 100 ms has gone out for certain when its reader crashes."""
    client = {"session.timeout.ms": 6000, "auto.commit.interval.ms": 100}
    kafka = {"bootstrap": kafka_endpoint.bootstrap}
    target = {"system": "kafka", "source": "address", "kafka": kafka, "client": client}
    (crep.folder / "crep-targets.yaml").write_text(json.dumps({"targets": {"real": target}}))
    params = {"rate": "1/s", "processing": "3 s", "members": "2", "at": "3 s", "length": "5500 ms"}
    process = crep.start_script(one_run("ext-f4-acknowledged-too-early", "real", params))
    output, _ = process.communicate(timeout=150)
    assert process.returncode == 0, output
    theory = careless_alone_loses({"stored"}, "the reader committed past it before it was processed")
    assert list(broken_by(theory, seen_in(crep.folder / "results"))) == [], output
    assert "missing messages were looked for in the broker's own storage" in output
    crep.assert_nothing_runs()


@pytest.mark.emulator
def test_ctrl_c_in_the_middle_of_several_outages_puts_all_of_them_right(crep: Crep) -> None:
    faults = (
        "do: limit-queue, reader: billing, quota: 1 MB, for: 50 s",
        "do: shut-queue, reader: billing, gate: out, for: 50 s",
        "do: revoke-permission, channel: orders, right: publish, for: 50 s",
        "do: freeze-reader, reader: screen, resume_after: 50 s",
        "do: fill-disk, for: 50 s",  # the last: with a full disk the broker refuses every change of its configuration
    )
    with standing(crep, "solace-emulator"):
        before = set(crep.processes())
        crep.scenario(with_faults(faults), "several.yaml")
        process = crep.start_script(one_run("several.yaml", "solace-emulator"))
        why, _ = interrupted(crep, process, faults=len(faults))
        assert why + left_of_it(crep, before) == []
