"""Synthetic runs: documents as ``run.json`` holds them, counters and histograms as the windows hold them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from crep.harness.checks.results import (
    ChannelLedger,
    Drain,
    ExpectationResult,
    FaultResult,
    LatencySummary,
    Outage,
    ReaderLedger,
    Rule,
    RunResults,
    Throughput,
)
from crep.harness.checks.steady import Second
from crep.harness.metrics.histogram import Histogram
from crep.harness.runs.document import (
    ClientPart,
    FaultEvent,
    Harness,
    Host,
    Label,
    Phase,
    RunDocument,
    ScenarioPart,
    SitePart,
)
from crep.harness.runs.read import State

SCENARIO = """scenario: orders-survive-a-broker-kill
evidences: [INT-N2, INT-N3]
durability: {copies: 1, sync: disk}
channels:
  orders:
    topics: "orders/{region:eu,us,apac}/{type:new,paid,shipped}"
    keys: 200
    readers:
      billing: {share: group, members: 3, delivery: at-least-once, order: per-key}
      screen: {share: all, delivery: at-most-once}
load:
  - {to: orders, publishers: 2, mode: guaranteed, message: {size: 1 KiB}, rate: {total: 2000/s}}
timeline:
  - {at: 8 s, do: kill-broker, restart_after: 1 s}
measure: {warm_up: 3 s, drain: 30 s, repeat: 2, seed: 7}
expect:
  - billing.lost == 0
  - billing.reordered == 0
  - orders.outage.publish < 15 s
"""
WHO = ["second", "client", "role", "channel", "reader", "publisher", "member"]


@dataclass
class FakeRun:
    """A run as ``runs.read`` gives it; ``samples``: (metric, channel, reader) → second → histogram."""

    document: RunDocument
    state: State = "complete"
    counters: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=WHO))
    samples: dict[tuple[str, str, str | None], dict[int, Histogram]] = field(default_factory=dict)

    def histogram(
        self, metric: str, channel: str, reader: str | None = None, seconds: Collection[int] | None = None
    ) -> Histogram:
        merged = Histogram()
        for second, part in self.samples.get((metric, channel, reader), {}).items():
            if seconds is None or second in seconds:
                merged.merge(part)
        return merged

    def by_second(self, channel: str, reader: str) -> dict[int, Second]:
        return {
            second: Second(part.count, part)
            for second, part in self.samples.get(("latency", channel, reader), {}).items()
        }


def site(system: str = "kafka", genuineness: str = "genuine", profile: str = "quick", sync: str = "disk") -> SitePart:
    kafka = system == "kafka"
    return SitePart(
        target="kafka-local" if kafka else "solace-emulator",
        system=system,
        source="local" if kafka else "embedded",
        profile=profile,
        genuineness=genuineness,  # type: ignore[arg-type]
        facts={
            "product": "Apache Kafka" if kafka else "crep-emulator",
            "version": "4.1.0" if kafka else "0.1.0",
            "edition": None,
            "recognised_by": "cluster id and API versions" if kafka else "SEMP about/api says platform crep-emulator",
            "configuration": {"flush.messages": "1", "min.insync.replicas": "1"} if kafka else {"spool sync": "always"},
            "caps": {},
            "client": "confluent-kafka 2.16.1, librdkafka 2.16.1" if kafka else "solace-pubsubplus 1.11.0",
        },
        mapping={
            "name": "kafka/topic-per-channel" if kafka else "solace/queue-per-reader",
            "version": 1,
            "summary": "one topic per channel, records keyed by the message key"
            if kafka
            else "one durable queue per reader, its filter as queue subscription",
            "channel": {"partitions": 4, "replication": 1} if kafka else {"access": "non-exclusive"},
            "publisher": {"acks": "all", "enable.idempotence": True, "linger.ms": 5},
            "subscriber": {"auto.offset.reset": "earliest"},
        },
        durability={"orders": {"copies": 1, "sync": sync, "known": "configured"}},
        objects={"orders": {"topic": "crep-7f3a-orders"}},
        deployment={"java": "25.0.2", "jar lock": "sha256 9b1f…", "started by": "crep"} if kafka else {"pid": "4242"},
    )


def expectation(
    text: str, value: float | None, verdict: str, kind: str = "functional", **more: Any
) -> ExpectationResult:
    fields = {
        "text": text,
        "metric": text.split(maxsplit=1)[0].split(".", 1)[1],
        "kind": kind,
        "verdict": verdict,
        "value": value,
        "unit": "" if kind == "functional" else "s",
        "threshold": 0.0 if kind == "functional" else 15.0,
        "operator": "==" if kind == "functional" else "<",
        "samples": 60_000,
        "evidences": ("INT-N2",),
    }
    return ExpectationResult(**(fields | more))


def reader(name: str = "billing", **changed: Any) -> ReaderLedger:
    guaranteed = name != "screen"
    fields = {
        "channel": "orders",
        "reader": name,
        "share": "group" if guaranteed else "all",
        "delivery": "at-least-once" if guaranteed else "at-most-once",
        "members": 3 if guaranteed else 1,
        "expected": 66_000,
        "received": 66_000 if guaranteed else 63_410,
        "lost": 0,
        "pending": 0,
        "missing_allowed": 0 if guaranteed else 2_590,
        "missing_unknown": 0,
        "unknown_received": 12 if guaranteed else 0,
        "rejected_received": 0,
        "duplicates_flagged": 0,
        "duplicates_unflagged": 0,
        "duplicates_flag_not_offered": 341 if guaranteed else 0,
        "reordered": 0,
        "reordered_allowed": 96 if guaranteed else 0,
        "corrupt": 0,
        "foreign": 0,
        "unexpected": 0,
        "receipts": 66_341 if guaranteed else 63_410,
    }
    return ReaderLedger(**(fields | changed))


def fault(outage_s: float = 1.82, recover_s: float | None = 3.0, **changed: Any) -> FaultResult:
    fields: dict[str, Any] = {
        "index": 0,
        "action": "kill-broker",
        "node": "kafka-1",
        "declared_s": 8.0,
        "injected_s": 8.01,
        "confirmed_s": 8.06,
        "heal_started_s": 9.01,
        "healed_s": 9.72,
        "detected_s": 0.05,
        "publish": Outage(
            where="orders",
            longest_s=outage_s + 0.12,
            control_s=0.12,
            outage_s=outage_s,
            keys_hit=1.0,
            from_s=7.98,
            to_s=7.98 + outage_s + 0.12,
        ),
        "receive": (
            Outage(
                where="orders.billing", longest_s=3.4, control_s=0.2, outage_s=3.2, keys_hit=1.0, from_s=8.0, to_s=11.4
            ),
        ),
        "recovered_s": None if recover_s is None else 8.01 + recover_s,
        "time_to_recover_s": recover_s,
        "not_recovered_because": "the backlog stayed above its baseline" if recover_s is None else None,
        "baseline": "control run, 12 s",
        "cost": {"lost": 0, "duplicates": 341, "reordered": 0, "unknown": 12},
    }
    return FaultResult(**(fields | changed))


def latency(p50: float, p99: float, where: str = "orders.billing") -> LatencySummary:
    return LatencySummary(
        metric="latency",
        where=where,
        samples=60_000,
        non_positive=0,
        percentiles_ms={"50": p50, "90": p99 / 2, "99": p99, "99.9": p99 * 2, "99.99": None},
        mean_ms=p50,
        max_ms=p99 * 3,
    )


def results(**changed: Any) -> RunResults:
    fields: dict[str, Any] = {
        "rules": (Rule(name="lateness", holds=True, text="lateness p99 0.4 ms, limit 5 ms"),),
        "channels": (
            ChannelLedger(
                channel="orders",
                handed_over=66_000,
                acknowledged=65_988,
                rejected=0,
                unknown=12,
                sent=0,
                unscheduled=0,
            ),
        ),
        "readers": (reader(), reader("screen")),
        "latencies": (latency(2.1, 14.0),),
        "throughput": (
            Throughput(
                channel="orders",
                intended_per_s=2000.0,
                sent_per_s=2000.0,
                acknowledged_per_s=1999.6,
                received_per_s={"billing": 2010.4, "screen": 1913.7},
            ),
        ),
        "faults": (fault(),),
        "expectations": (
            expectation("billing.lost == 0", 0.0, "passed"),
            expectation("billing.reordered == 0", 0.0, "passed"),
            expectation("screen.corrupt == 0", 0.0, "passed"),
            expectation("orders.rejected == 0", 0.0, "passed", evidences=("INT-N2", "EXT-F4")),
            expectation("orders.outage.publish < 15 s", 1.82, "passed", "performance"),
        ),
    }
    return RunResults(**(fields | changed))


def document(repetition: int = 1, binding: str = "bus=kafka-local", **changed: Any) -> RunDocument:
    kafka = "kafka" in binding
    fields: dict[str, Any] = {
        "status": "complete",
        "run_id": f"{0x7F3A00 + repetition + (0 if kafka else 16):08x}",
        "campaign": "demo",
        "binding": binding,
        "repetition": repetition,
        "kind": "measured",
        "started_utc": f"2026-11-24T21:{10 + 2 * repetition + (0 if kafka else 1):02}:05Z",
        "ended_utc": f"2026-11-24T21:{10 + 2 * repetition + (0 if kafka else 1):02}:58Z",
        "t0_utc": None,
        "scenario": ScenarioPart(
            name="orders-survive-a-broker-kill",
            file="orders-survive-a-broker-kill.yaml",
            text=SCENARIO,
            sha256="3c9a" * 16,
            params={},
            evidences=("INT-N2", "INT-N3"),
            seed=7,
        ),
        "harness": Harness(version="0.1.0", commit="7ed1c2c0f1d2", modified=False),
        "host": Host(
            system="Linux", kernel="6.1.0", cpu="AMD EPYC 7B13", cores=2, memory_bytes=8 * 2**30, python="3.11.9"
        ),
        "sites": {"bus": site() if kafka else site("solace", "emulated")},
        "clients": tuple(
            ClientPart(
                name=f"{role}-{i}",
                role=role,  # type: ignore[arg-type]
                channel="orders",
                reader="billing" if role == "subscriber" else None,
                publisher=i if role == "publisher" else None,
                member=None,
                settings={"acks": "all", "enable.idempotence": "true", "linger.ms": "5"},
            )
            for role, i in (("publisher", 1), ("publisher", 2), ("subscriber", 1), ("subscriber", 2))
        ),
        "t0_ns": 1,
        "warm_up_s": 3.0,
        "measured_s": 30.0,
        "phases": (Phase(name="measure", start_s=0.0, end_s=30.0),),
        "faults": (FaultEvent(index=0, action="kill-broker", site="bus", node="n", declared_s=8.0),),
        "drain": Drain(clean=True, reason="backlog 0 and 3 s of quiet", backlog={"orders.billing": 0}, duration_s=3.2),
        "labels": (Label(code="quick-profile", text="short time-outs for tests and demonstrations"),),
        "results": results(),
    }
    return RunDocument(**(fields | changed))


def fill(run: FakeRun, seed: int, seconds: int = 30, slow: float = 1.0, rate: int = 2000) -> FakeRun:
    """Counters and histograms of a run whose broker is gone from second 8 to 10."""
    rng = np.random.default_rng(seed)
    rows: list[dict[str, object]] = []
    for second in range(-3, seconds):
        down = second in (8, 9)
        acknowledged = 60 if down else rate * 2 if second == 10 else rate + int(rng.normal(0, 15))
        received = {8: 60, 9: 60, 11: rate * 2}.get(second, rate + int(rng.normal(0, 25)))
        counts = {"intended": rate, "acknowledged": acknowledged}
        rows.append(_row(second, "publisher-1", "publisher", None) | counts)
        rows.append(_row(second, "billing-1", "subscriber", "billing") | {"received": received})
        rows.append(_row(second, "screen-1", "subscriber", "screen") | {"received": 60 if down else rate})
        for metric, name, base in (
            ("latency", "billing", 2.4),
            ("latency", "screen", 1.6),
            ("acknowledge", None, 1.9),
            ("lateness", None, 0.12),
        ):
            wait = 1.6e9 * rng.random(rate // 10) if down and metric != "lateness" else np.zeros(rate // 10)
            samples = rng.lognormal(np.log(base * slow * 1e6), 0.45, rate // 10) + wait
            histogram = Histogram()
            histogram.record(samples.astype(np.int64))
            run.samples.setdefault((metric, "orders", name), {})[second] = histogram
    run.counters = pd.DataFrame(rows).fillna({"intended": 0, "acknowledged": 0, "received": 0})
    return run


def _row(second: int, client: str, role: str, reader: str | None) -> dict[str, object]:
    return dict(zip(WHO, (second, client, role, "orders", reader, None, None), strict=True))


def run(repetition: int = 1, binding: str = "bus=kafka-local", *, state: State = "complete", **changed: Any) -> FakeRun:
    """One run with windows."""
    made = FakeRun(document(repetition, binding, **changed), state)
    return fill(made, repetition, slow=1.0 if "kafka" in binding else 1.8)


def emulated_results() -> RunResults:
    """What the checks say of a run on the emulator."""
    return results(
        expectations=(
            expectation("billing.lost == 0", 0.0, "passed"),
            expectation("billing.reordered == 0", 0.0, "passed"),
            expectation(
                "orders.outage.publish < 15 s",
                1.31,
                "not-judged",
                "performance",
                reason="emulator, not a measurement of Solace",
            ),
        ),
        faults=(fault(1.31, 2.0, node="solace-1"),),
    )


def demo() -> list[FakeRun]:
    """What ``make demo`` leaves: two targets, two repetitions, a control run each."""
    runs = []
    for repetition in (1, 2):
        runs.append(run(repetition))
        runs.append(run(repetition, "bus=solace-emulator", results=emulated_results()))
    for binding in ("bus=kafka-local", "bus=solace-emulator"):
        control = run(0, binding, kind="control")
        control.document = control.document.model_copy(update={"results": results(faults=())})
        runs.append(control)
    return runs
