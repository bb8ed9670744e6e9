"""A forwarder at work in a process of its own: the bridge as ``crep bridge run`` has it, or a bare one.

``python -m bench.forwarders`` reads one JSON object ``{"who", "file", "between", "count", "warm_up"}`` from standard
input, and writes ``{"first_ns", "last_ns", "cpu_s", "added_ms"}`` at the end: CLOCK_MONOTONIC of the first receipt and
of the last acknowledgement, its processor time between the two, and of the bridge the latency that it added (receipt to
acknowledgement). Of the latter the first ``warm_up`` messages are left out; a bridge says ``ready`` when it has
forwarded them.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

from bench.bare import WITHIN_S, Clock, say_ready
from bench.bare_forwarder import Between, forward
from crep.enrichment.load import load_bridge
from crep.enrichment.log import Log
from crep.enrichment.service import BridgeService
from crep.harness import processes
from crep.harness.brokers.contract import BrokerError, Endpoint
from crep.harness.config.errors import EnvironmentFailure

_LOOK_S = 0.01
_PERCENTILES = (50, 99)


@dataclass(frozen=True)
class Forwarded:
    """What a forwarder did: messages a second, processor µs a message, added latency p50 and p99 (bridge alone)."""

    per_s: float
    cpu_us: float
    added_ms: tuple[float, ...] = ()


@contextmanager
def forwarding(who: str, file: Path, between: Between, count: int, warm_up: int = 0) -> Iterator[processes.Child]:
    """A forwarder, which has begun to start. It ends when it has forwarded ``count`` messages, or with the block."""
    task = {"who": who, "file": str(file), "between": asdict(between), "count": count, "warm_up": warm_up}
    child = processes.spawn(
        [sys.executable, "-m", "bench.forwarders"],
        stdin=processes.PIPE,
        stdout=processes.PIPE,
        stderr=processes.STDOUT,
    )
    assert child.stdin is not None  # noqa: S101 - asked for
    assert child.stdout is not None  # noqa: S101 - asked for
    try:
        child.stdin.write(json.dumps(task).encode())
        child.stdin.close()
        yield child
    finally:
        child.kill()
        child.stdout.close()


def result(child: processes.Child, count: int) -> Forwarded:
    """Wait until a forwarder has done its work.

    Raises:
        EnvironmentFailure: it failed, or forwarded less.
    """
    assert child.stdout is not None  # noqa: S101 - asked for
    output = child.stdout.read().decode(errors="replace")
    code = child.wait(WITHIN_S)
    if code != 0:
        raise EnvironmentFailure(f"a forwarder ended with exit code {code}:\n{output.strip()[-2000:]}")
    did: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
    taken_s = (did["last_ns"] - did["first_ns"]) / 1e9
    return Forwarded(count / taken_s, did["cpu_s"] / count * 1e6, tuple(did.get("added_ms", ())))


def _bridge(file: Path, between: Between, count: int, warm_up: int) -> dict[str, Any]:
    """One route of the service that ``crep bridge run`` starts, until its ledger has so many acknowledged."""
    said, clock, done = StringIO(), Clock(), threading.Event()
    with load_bridge(file, {"from": between.source.system, "to": between.sink.system}) as bridge:  # type: ignore[dict-item]
        endpoints = {"from": between.source, "to": between.sink}
        service = BridgeService(bridge, endpoints, "bench", Log("bench", json=True, stream=said))
        [flow] = service.flows.values()
        thread = threading.Thread(target=service.run, args=(done.is_set,))
        thread.start()
        deadline = time.monotonic() + WITHIN_S
        while not flow.ledger.received and thread.is_alive() and time.monotonic() < deadline:
            time.sleep(_LOOK_S)
        clock.start()
        if warm_up:
            while flow.ledger.acknowledged < warm_up and thread.is_alive() and time.monotonic() < deadline:
                time.sleep(_LOOK_S)
            flow.added_ns.clear()
            say_ready()
        while flow.ledger.acknowledged < count and thread.is_alive() and time.monotonic() < deadline:
            time.sleep(_LOOK_S)
        clock.last_ns, clock.count = time.monotonic_ns(), flow.ledger.acknowledged
        if clock.count != count:
            done.set()
            raise BrokerError(f"{clock.count:,} of {count:,} messages were forwarded: {said.getvalue()[-2000:]}")
        did: dict[str, Any] = clock.did(count)
        did["added_ms"] = [float(one) / 1e6 for one in np.percentile(list(flow.added_ns), _PERCENTILES)]
        done.set()
        thread.join()
    return did


def main() -> int:
    """Do the work that standard input asks for."""
    task = json.loads(sys.stdin.buffer.read())
    ends = {end: Endpoint(**task["between"][end]) for end in ("source", "sink")}
    between = Between(**(task["between"] | ends))
    if task["who"] == "bare":
        did = forward(between, task["count"])
    else:
        did = _bridge(Path(task["file"]), between, task["count"], task["warm_up"])
    sys.stdout.write(json.dumps(did) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
