"""The asked volume is messages a day × peak / 86,400, and what it needs on disk stands beside it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from crep.harness.checks.asked import asked_volume
from crep.harness.checks.evaluate import evaluate
from crep.harness.checks.usage import Sample
from crep.harness.scenario.daily import Daily
from crep.harness.scenario.load import parse_scenario
from crep.harness.scenario.plan import plan
from tests.checks.simulated import SimulatedRun, Site, a_plan
from tests.end_to_end.outside import SMALL

WEEK = {"configuration": {"retention.ms": "604800000"}}


def test_a_day_is_86400_seconds_and_the_peak_a_multiple_of_its_mean() -> None:
    assert Daily(5_000_000, 4).per_s == pytest.approx(231.48, abs=0.01)


def test_the_shortest_retention_says_what_must_be_kept() -> None:
    day = {"configuration": {"retention.ms": "86400000"}}
    found = asked_volume(Daily(5_000_000, 4), 232.0, 1000.0, [WEEK, day], 10**9)
    assert found.needed_bytes == pytest.approx(5e9)
    assert found.carried
    assert "they do not fit" in str(found)
    assert "35.0 GB" in str(asked_volume(Daily(5_000_000, 4), 232.0, 1000.0, [WEEK], 10**11))


@pytest.mark.parametrize("topic", [{}, {"configuration": {"retention.ms": "-1"}}, {"queues": {}}])
def test_what_is_kept_for_nobody_knows_how_long_needs_nobody_knows_how_much(topic: dict[str, object]) -> None:
    found = asked_volume(Daily(1000, 1), 100.0, 100.0, [WEEK, topic], 10**9)
    assert found.needed_bytes is None
    assert "is not known" in str(found)


def test_a_run_below_what_is_asked_has_not_shown_it() -> None:
    found = asked_volume(Daily(86_400_000, 2), 1900.0, 100.0, [WEEK], None)
    assert not found.carried
    assert "2,000.0/s; the run carried 1,900.0/s: not enough" in str(found)


def test_a_scenario_asks_and_its_run_answers() -> None:
    daily = plan(parse_scenario(f"{SMALL}daily: {{messages: 5000000, peak: 4}}\n", Path("small.yaml"))).daily
    assert daily == Daily(5_000_000, 4.0)
    made = replace(a_plan(kill_at_s=None), daily=daily)
    free = tuple(Sample(s, "bus", "kafka-1", 2, 0.1, 1, disk_free=10**12) for s in range(1, 31))
    found = evaluate(SimulatedRun(made, samples=free, sites={"bus": Site(objects={"orders": WEEK})}), made).asked
    assert found is not None
    assert found.carried_per_s == pytest.approx(400, rel=0.01)
    assert found.free_bytes == 10**12
    assert evaluate(SimulatedRun(a_plan()), a_plan()).asked is None
