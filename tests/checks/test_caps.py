"""Each cap of METHOD rule 12 is found where it is, is not found where it is not, and bars the verdict."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from crep.harness.checks import caps
from crep.harness.checks.caps import ChannelLoad, SiteLimits, find_caps
from crep.harness.checks.evaluate import evaluate
from crep.harness.checks.usage import NodeUse, Sample
from tests.checks.simulated import SimulatedRun, Site, a_plan

LOAD = ChannelLoad(
    site="bus",
    channel="orders",
    messages=100_000,
    size=1000.0,
    lasted_s=100.0,
    intended_per_s=1000.0,
    in_per_s=1000.0,
    out_per_s=2000.0,
    publishers=2,
    consumers=4,
    refusals={},
)
IDLE = NodeUse(
    site="bus",
    node="kafka-1",
    samples=60,
    cores=4,
    cpu_mean=0.4,
    cpu_max=1.0,
    cpu_busy=0.0,
    memory_max_bytes=1 << 30,
    read_per_s=0.0,
    written_per_s=1e6,
    written_max_per_s=2e6,
    collections=3,
    collecting_s=0.02,
    loopback_per_s=3e6,
    disk_busy=0.0,
    disk_free_min_bytes=100 << 30,
)


def site(system: str = "kafka", limits: dict[str, str] | None = None, **topic: Any) -> SiteLimits:
    objects = {"orders": {"partitions": 5, **topic}}
    return SiteLimits(system, {"genuineness": "genuine", "caps": limits or {}}, objects)


def kinds(site: SiteLimits, load: ChannelLoad = LOAD, node: NodeUse = IDLE) -> list[str]:
    return [cap.kind for cap in find_caps({"bus": site}, [load], [node], measured_s=60.0)]


def test_a_run_far_from_every_limit_is_not_capped() -> None:
    wide = {"log.retention.bytes": "-1", "client quota producer_byte_rate (client-id default)": "1e+09"}
    assert kinds(site(limits=wide, configuration={"retention.ms": "604800000", "retention.bytes": "-1"})) == []
    assert kinds(site("solace")) == []


def test_a_plateau_at_the_standard_editions_rate_is_the_licence() -> None:
    plateau = replace(LOAD, intended_per_s=8000.0, in_per_s=5000.0, out_per_s=5000.0)
    assert kinds(site("solace"), plateau) == ["edition"]
    assert kinds(site("kafka"), plateau) == []


@pytest.mark.parametrize(
    "change",
    [{"intended_per_s": 5000.0}, {"in_per_s": 8000.0, "out_per_s": 8000.0}, {"in_per_s": 3000.0, "out_per_s": 3000.0}],
    ids=["it kept up", "it moved more", "it fell short of the limit"],
)
def test_what_is_no_plateau_at_the_limit_is_no_licence(change: dict[str, float]) -> None:
    plateau = replace(LOAD, intended_per_s=8000.0, in_per_s=5000.0, out_per_s=5000.0)
    assert kinds(site("solace"), replace(plateau, **change)) == []  # type: ignore[arg-type]


def test_an_emulator_has_no_edition() -> None:
    emulated = SiteLimits("solace", {"genuineness": "emulated"}, {})
    assert kinds(emulated, replace(LOAD, intended_per_s=8000.0, in_per_s=5000.0, out_per_s=5000.0)) == []


@pytest.mark.parametrize("why", ["SOLCLIENT_SUBCODE_SPOOL_OVER_QUOTA", "Spool Over Quota - Queue or Topic endpoint"])
def test_refusals_of_a_full_spool_are_a_quota(why: str) -> None:
    assert kinds(site("solace"), replace(LOAD, refusals={why: 7})) == ["quota"]


def test_refusals_for_another_reason_are_no_quota() -> None:
    assert kinds(site("solace"), replace(LOAD, refusals={"Publish ACL Denied": 7, "Message Too Long": 1})) == []


@pytest.mark.parametrize(
    ("limit", "allowed", "found"),
    [
        ("producer_byte_rate", 510_000, ["quota"]),  # 1,000/s × 1,000 B over 2 publishers: 500,000 B/s each
        ("producer_byte_rate", 700_000, []),
        ("consumer_byte_rate", 510_000, ["quota"]),  # 2,000/s × 1,000 B over 4 consumers
        ("consumer_byte_rate", 700_000, []),
        ("request_percentage", 1, []),  # of time, not of bytes: shows as throttling, not here
    ],
)
def test_a_client_at_its_byte_rate_is_at_its_quota(limit: str, allowed: int, found: list[str]) -> None:
    assert kinds(site(limits={f"client quota {limit} (client-id default)": str(allowed)})) == found


def test_the_lowest_of_several_quotas_binds() -> None:
    limits = {f"client quota producer_byte_rate ({who})": rate for who, rate in (("a", "9e9"), ("b", "1000"))}
    (cap,) = find_caps({"bus": site(limits=limits)}, [LOAD], [], 60.0)
    assert "1,000 B/s" in cap.text


@pytest.mark.parametrize(
    ("limits", "topic", "found"),
    [
        ({}, {"retention.ms": "99000"}, ["retention"]),  # the run lasts 100 s
        ({}, {"retention.ms": "101000"}, []),
        ({"log.retention.ms": "5000"}, {}, ["retention"]),
        ({"log.retention.ms": "5000"}, {"retention.ms": "604800000"}, []),  # the topic's own setting is in force
        ({}, {"retention.bytes": "19000000"}, ["retention"]),  # 100,000 × 1,000 B in 5 partitions: 20 MB each
        ({}, {"retention.bytes": "21000000"}, []),
        ({}, {"retention.ms": "-1", "retention.bytes": "-1"}, []),
    ],
)
def test_retention_that_would_delete_within_the_run(
    limits: dict[str, str], topic: dict[str, str], found: list[str]
) -> None:
    assert kinds(site(limits=limits, configuration=topic)) == found


def test_a_disk_that_is_nearly_full() -> None:
    assert kinds(site(), node=IDLE.model_copy(update={"disk_free_min_bytes": 1 << 29})) == ["disk space"]
    fast = {"disk_free_min_bytes": 5 << 30, "written_per_s": 200e6}  # 12 GB in 60 s
    assert kinds(site(), node=IDLE.model_copy(update=fast)) == ["disk space"]
    assert kinds(site(), node=IDLE.model_copy(update={"disk_free_min_bytes": 5 << 30})) == []


def test_a_disk_whose_time_is_used_up() -> None:
    assert kinds(site(), node=IDLE.model_copy(update={"disk_busy": 0.5})) == ["disk rate"]
    assert kinds(site(), node=IDLE.model_copy(update={"disk_busy": 0.4})) == []


def test_a_broker_that_uses_all_its_cores() -> None:
    assert kinds(site(), node=IDLE.model_copy(update={"cpu_busy": 0.5})) == ["cpu"]
    assert kinds(site(), node=IDLE.model_copy(update={"cpu_busy": 0.4})) == []


def test_what_is_not_known_caps_nothing() -> None:
    unknown = IDLE.model_copy(update={"disk_busy": None, "disk_free_min_bytes": None, "written_per_s": None})
    assert kinds(SiteLimits("kafka", {}, {}), node=unknown) == []


def test_every_cap_is_named_for_people() -> None:
    for kind in caps._ORDER:
        assert str(caps.Cap(kind=kind, site="bus", text="why")) == f"capped by {kind}: why"


def test_a_capped_number_carries_no_verdict_and_a_count_does() -> None:
    plan = a_plan(
        kill_at_s=None, expect=("billing.latency.p99 < 1 s", "orders.throughput.sent > 1/s", "billing.lost == 0")
    )
    busy = tuple(Sample(at_s=s, site="bus", node="kafka-1", cores=2, cpu=1.9, memory=1) for s in range(1, 31))
    results = evaluate(SimulatedRun(plan, samples=busy), plan)
    assert [one.verdict for one in results.expectations] == ["not-judged", "not-judged", "passed"]
    assert "capped by cpu" in results.expectations[0].reason
    free = evaluate(SimulatedRun(plan), plan)
    assert [one.verdict for one in free.expectations] == ["passed"] * 3
    assert free.caps == ()


def test_another_sites_cap_bars_nothing_here() -> None:
    plan = a_plan(kill_at_s=None, expect=("billing.latency.p99 < 1 s",))
    busy = tuple(Sample(at_s=s, site="external", node="x", cores=2, cpu=1.9, memory=1) for s in range(1, 31))
    run = SimulatedRun(plan, samples=busy, sites={"bus": Site(), "external": Site()})
    assert evaluate(run, plan).expectations[0].verdict == "passed"
