"""Marks that a run earns on a machine that is too small for it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from tests.end_to_end.outside import Crep

pytestmark = [pytest.mark.end_to_end, pytest.mark.emulator, pytest.mark.alone]

_BURN = "import os, time\nos.nice(19)\nend = time.monotonic() + 60\nwhile time.monotonic() < end: pass"


@contextmanager
def burning(processes: int) -> Iterator[None]:
    """So many busy processes for a minute at most, at the lowest priority: whoever else wants a core gets it."""
    with ExitStack() as stack:
        for _ in range(processes):
            child = stack.enter_context(subprocess.Popen([sys.executable, "-S", "-c", _BURN]))
            stack.callback(child.kill)  # before the wait of the context
        yield


def only_document(crep: Crep) -> dict[str, Any]:
    [path] = [p for p in (crep.folder / "results").rglob("run.json") if "latest" not in p.parts]
    document: dict[str, Any] = json.loads(path.read_text())
    return document


def test_a_run_on_a_busy_host_is_labelled_co_located(crep: Crep) -> None:
    with burning(os.cpu_count() or 1):
        done = crep("run", crep.scenario(), "--on", "solace-emulator")
    document = only_document(crep)
    assert document["status"] == "complete", done.stdout + done.stderr
    [label] = [label for label in document["labels"] if label["code"] == "co-located"]
    assert "no verdict on rates" in label["text"]
    cores = len(os.sched_getaffinity(0))
    assert document["pinning"].startswith(f"not pinned: {cores} core" if cores < 4 else "brokers on cores ")


BOUND_BY_ITS_WINDOW = """\
targets:
  kafka-slow-client:
    system: kafka
    source: local
    profile: quick
    client: {linger.ms: 50, queue.buffering.max.messages: 500}
"""
FLAT_OUT = """\
scenario: flat-out
durability: {copies: 1, sync: memory}
channels:
  orders:
    topics: "orders/{region:eu,us}"
    keys: 20
    readers:
      billing: {share: group, members: 1, delivery: at-least-once, processing: 100 us}
load:
  - {to: orders, publishers: 1, mode: guaranteed, message: {size: 100 B}, rate: {total: [{hold: 12000/s, for: 3 s}]}}
measure: {warm_up: 1 s, drain: 20 s, repeat: 1, seed: 7, lateness: 20 s, reconnect: {for: 20 s}}
"""


@pytest.mark.kafka
def test_a_run_near_its_clients_ceiling_is_labelled_client_bound(crep: Crep) -> None:
    """500 messages each 50 ms, 100 µs for each: what bounds a client bounds it against a broker and nothing alike."""
    (crep.folder / "crep-targets.yaml").write_text(BOUND_BY_ITS_WINDOW, encoding="utf-8")
    done = crep("run", crep.scenario(FLAT_OUT), "--on", "kafka-slow-client")
    document = only_document(crep)
    assert document["status"] == "complete", done.stdout + done.stderr
    texts = [label["text"] for label in document["labels"] if label["code"] == "client-bound"]
    for who in ("the publishers sent", "the subscribers received"):
        known = rf"{who} [\d,]+ messages/s, \d+% of the [\d,]+ messages/s that the same client reached against a server"
        assert any(re.search(known, text) for text in texts), texts
    [use] = document["results"]["usage"]
    assert use["node"] == "kafka-1"
    assert use["cpu_mean"] > 0
    assert use["collections"] is not None
