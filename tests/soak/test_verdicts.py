"""The verdict path on simulated campaigns: who wins where nothing differs, and where 5 ms do; and what lies between."""

from __future__ import annotations

import socket
import statistics
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from crep.harness.checks.latency import summarise
from crep.harness.config.targets import Target
from crep.harness.deployment.kafka import KafkaProduct
from crep.harness.deployment.ports import LOOPBACK, free_port
from crep.harness.deployment.product import NodePlan, Prepared
from crep.harness.metrics.histogram import Histogram
from crep.reports import compile_comparison
from soak import two_doors
from soak.delay import delayed
from soak.verdicts import judged
from tests.reports.factories import FakeRun
from tests.reports.test_judge import measured

CAMPAIGNS = 120


def campaign(seed: int, *, delay_ms: float) -> dict[str, Any]:
    """Five repetitions of two targets, as ``report.json`` has them: 3 ms, 20 % noise between runs, more within."""
    chance = np.random.default_rng(seed)
    runs = [
        repetition(chance, name, number, delay_ms if name == "other" else 0.0)
        for number in range(1, 6)
        for name in ("near", "other")
    ]
    found: dict[str, Any] = compile_comparison(runs).scenarios[0].model_dump()
    return found


def repetition(chance: np.random.Generator, target: str, number: int, delay_ms: float) -> FakeRun:
    """2,000 messages; every run of a target has a day of its own."""
    run = measured(f"bus={target}", number, 500.0, intended=500.0)
    latencies = []
    for metric, where in (("latency", "orders.billing"), ("acknowledge", "orders")):
        day = chance.lognormal(0.0, 0.2)
        histogram = Histogram()
        histogram.record(((delay_ms + 3.0 * day * chance.lognormal(0.0, 0.4, 2_000)) * 1e6).astype(np.int64))
        latencies.append(summarise(metric, where, histogram))
    results = run.document.results
    assert results is not None
    changed = results.model_copy(update={"latencies": tuple(latencies), "faults": ()})
    run.document = run.document.model_copy(update={"results": changed})
    return run


def test_a_target_against_itself_names_no_winner_in_ninety_five_of_a_hundred_campaigns() -> None:
    found = [judged(campaign(seed, delay_ms=0), delayed=False) for seed in range(CAMPAIGNS)]
    assert {why for one in found for why in one.why if "wins" not in why} == set()
    assert sum(one.held for one in found) >= 0.95 * CAMPAIGNS


def test_five_milliseconds_are_found_in_every_campaign() -> None:
    found = [judged(campaign(seed, delay_ms=5), delayed=True) for seed in range(CAMPAIGNS // 3)]
    assert [one.why for one in found if not one.held] == []


def test_a_trial_fails_by_a_wrong_winner_a_missing_one_and_a_repetition_that_did_not_count() -> None:
    same, apart = campaign(1, delay_ms=0), campaign(1, delay_ms=5)
    assert "near wins" in " ".join(judged(apart, delayed=False).why).replace("bus=", "")
    assert "near does not win latency p50" in judged(same, delayed=True).why
    turned = {**apart, "contests": [{**one, "winner": "bus=other"} for one in apart["contests"]]}
    assert any("other wins" in why for why in judged(turned, delayed=True).why)
    fewer = {**apart, "subjects": [{**one, "counted": one["counted"][:4]} for one in apart["subjects"]]}
    assert "bus=near: 4 of 5 repetitions counted" in judged(fewer, delayed=True).why
    assert "nothing was compared" in judged({**apart, "contests": []}, delayed=True).why


def echo(listener: socket.socket) -> None:
    """Answer one client byte for byte, until it goes."""
    with listener.accept()[0] as client:
        while data := client.recv(4096):
            client.sendall(data)


def round_trips_ms(port: int, bursts: Sequence[bytes]) -> tuple[list[float], bytes]:
    """Send each, wait for its answer; the times and all that came."""
    took, came = [], b""
    with socket.create_connection((LOOPBACK, port), timeout=10) as client:
        for burst in bursts:
            since, answer = time.monotonic(), b""
            client.sendall(burst)
            while len(answer) < len(burst):
                answer += client.recv(4096)
            took.append((time.monotonic() - since) * 1000)
            came += answer
    return took, came


def test_the_proxy_delays_every_answer_and_changes_nothing() -> None:
    bursts = [bytes([number]) * (1 + 100 * number) for number in range(20)]
    with socket.create_server((LOOPBACK, 0)) as listener:
        server = threading.Thread(target=echo, args=(listener,), daemon=True)
        server.start()
        port = free_port()
        with delayed(port, listener.getsockname()[1], 0.05):
            took, came = round_trips_ms(port, bursts)
        server.join(5)
    assert came == b"".join(bursts)
    assert min(took) >= 50
    assert statistics.median(took) < 100  # once, not in both directions


def test_who_comes_in_by_the_second_listener_is_sent_to_the_proxy(tmp_path: Path, monkeypatch: Any) -> None:
    plain = (
        "advertised.listeners=CLIENT://127.0.0.1:1\n"
        "listener.security.protocol.map=CLIENT:PLAINTEXT\n"
        "listeners=CLIENT://127.0.0.1:1\n"
        "node.id=1\n"
    )
    (tmp_path / "kafka-1.properties").write_text(plain)
    made = Prepared((NodePlan("kafka-1", (), {"client": 1}),), {})
    monkeypatch.setattr(KafkaProduct, "prepare", lambda *_: made)
    doors = two_doors.TwoDoors()
    prepared = doors.prepare(Target(name="t", system="kafka", source="local"), tmp_path, lambda _line: None)
    settings = dict(line.split("=", 1) for line in (tmp_path / "kafka-1.properties").read_text().splitlines())
    assert settings["listeners"] == f"CLIENT://127.0.0.1:1,FAR://127.0.0.1:{doors.far}"
    assert settings["advertised.listeners"] == f"CLIENT://127.0.0.1:1,FAR://127.0.0.1:{doors.told}"
    assert settings["listener.security.protocol.map"] == "CLIENT:PLAINTEXT,FAR:PLAINTEXT"
    assert settings["node.id"] == "1"
    assert prepared.nodes[0].ports == {"client": 1, "far": doors.far}
