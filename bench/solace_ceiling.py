"""Solace's two client libraries against a server that does nothing: what one process can do at most (METHOD rule 8).

Four paths, each in a process of its own with the garbage collector off as in the engines. Receiving checks every
message as an engine does (``stamp.parse``: check sum, run, version) and acknowledges what came from a queue; sending
offers batches that were rendered before and waits for every outcome. Rounds are interleaved, ratios taken within one.

``python -m bench.solace_ceiling`` is the child: it reads one JSON task from standard input and writes one answer.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import numpy as np

from bench.figure import Figure
from crep.harness import processes
from crep.harness.brokers.contract import Batch, BulkPublisher, Endpoint, PublisherSpec, ReaderSpec, SubscriberSpec
from crep.harness.brokers.registry import adapter
from crep.harness.config.errors import EnvironmentFailure
from crep.harness.load.stamp import Renderer, parse
from crep.harness.metrics.history import INTACT

SIZE = 100  # bytes of payload
RUN = 7
_BATCH = 512
_WITHIN_S = 120.0
_READER = {"direct": "screen", "queue": "billing"}
_OBJECTS: dict[str, Any] = {
    "topic_prefix": "ceiling",
    "queues": {"billing": {"name": "billing", "access": "non-exclusive"}},
    "direct": {"screen": {"subscription": "ceiling/>", "share_name": None}},
    "key_property": None,
}


@dataclass(frozen=True)
class Path:
    """One way through the client, and what the native one is held to (messages per second)."""

    work: str  # publish | receive
    mode: str  # direct | guaranteed | queue
    floor: float
    count: int  # messages of the native client
    count_api: int  # messages of the public API


PATHS = (
    Path("publish", "direct", 1_000_000, 3_000_000, 30_000),
    Path("publish", "guaranteed", 100_000, 400_000, 10_000),
    Path("receive", "direct", 400_000, 1_500_000, 30_000),
    Path("receive", "queue", 200_000, 700_000, 20_000),
)


@dataclass(frozen=True)
class Rate:
    """Messages per second, and the share of one core that the client took for it."""

    per_s: float
    processor: float


@dataclass(frozen=True)
class Pair:
    """One round of one path."""

    native: Rate
    api: Rate


def measure(path: Path, share: int = 1) -> Pair:
    """One path on both libraries in turn, with the ``share``-th part of its messages.

    Raises:
        EnvironmentFailure: a message is missing somewhere.
    """
    return Pair(_run(path, "native", path.count // share), _run(path, "api", path.count_api // share))


def figure(path: Path, pairs: list[Pair]) -> Figure:
    """The native client's median rate beside its floor; the public API's, and the ratio, beside it."""
    native, api = median(one.native.per_s for one in pairs), median(one.api.per_s for one in pairs)
    ratio = median(one.native.per_s / one.api.per_s for one in pairs)
    processor = median(one.native.processor for one in pairs)
    return Figure(
        f"Solace C library, no-op server: {path.work} {path.mode}, {SIZE} B",
        native,
        "messages/s",
        path.floor,
        detail=f"{processor:.0%} of one core; public API {api:,.0f}/s, ratio {ratio:,.0f}; {len(pairs)} rounds",
    )


def _run(path: Path, client: str, count: int) -> Rate:
    task = {"work": path.work, "mode": path.mode, "client": client, "count": count}
    with _no_op_server(count if path.work == "receive" else 0) as smf:
        child = processes.spawn(
            [sys.executable, "-m", "bench.solace_ceiling"],
            stdin=processes.PIPE,
            stdout=processes.PIPE,
            stderr=processes.STDOUT,
        )
        assert child.stdin is not None  # noqa: S101 - asked for
        assert child.stdout is not None  # noqa: S101 - asked for
        try:
            child.stdin.write(json.dumps(task | {"smf": smf}).encode())
            child.stdin.close()
            output = child.stdout.read().decode(errors="replace").strip()
            code = child.wait(_WITHIN_S)
        finally:
            child.kill()
            child.stdout.close()
    if code != 0:
        raise EnvironmentFailure(f"{client} {path.work} {path.mode} ended with exit code {code}: {output[-500:]}")
    return Rate(**json.loads(output.splitlines()[-1]))


@contextmanager
def _no_op_server(deliver: int) -> Iterator[str]:
    command = [sys.executable, "-m", "crep.harness.load.ceiling.smf", "--deliver", str(deliver)]
    server = processes.spawn(
        [*command, "--size", str(SIZE), "--run", str(RUN)], stdin=processes.PIPE, stdout=processes.PIPE
    )
    assert server.stdin is not None  # noqa: S101 - asked for
    assert server.stdout is not None  # noqa: S101 - asked for
    try:
        line = server.stdout.readline()
        if not line:
            raise EnvironmentFailure("the no-op SMF server did not start")
        yield str(json.loads(line)["smf"])
    finally:
        server.stdin.close()
        server.kill()
        server.stdout.close()


def publish(endpoint: Endpoint, mode: str, client: str, count: int) -> Rate:
    """From the first handover to the last outcome.

    Raises:
        EnvironmentFailure: a message has no outcome in time.
    """
    spec = PublisherSpec(
        endpoint, "ceiling", "orders", _OBJECTS, ("eu", "us"), mode == "guaranteed", {"client": client}, 60.0
    )
    publisher = adapter("solace").publisher(spec)
    publisher.open()
    batches = _rendered(20)
    _settle_memory()
    start_s, start_cpu_s = time.monotonic(), time.process_time()
    outcomes = 0
    for number in range(count // _BATCH):
        outcomes += _send(publisher, batches[number % len(batches)], start_s)
    sent = count // _BATCH * _BATCH
    while outcomes < sent and time.monotonic() - start_s < _WITHIN_S:
        outcomes += len(publisher.drain(1.0).sequence)
    rate = _rate(sent, start_s, start_cpu_s)
    publisher.close()
    if outcomes != sent:
        raise EnvironmentFailure(f"{outcomes:,} of {sent:,} messages have an outcome")
    return rate


def _send(publisher: BulkPublisher, batch: Batch, start_s: float) -> int:
    """Offer until all is taken; the number of outcomes that came meanwhile."""
    at = outcomes = 0
    while at < _BATCH:
        taken = publisher.send_batch(batch, at)
        at += taken
        outcomes += len(publisher.poll(0.0 if taken else 0.001).sequence)
        if not taken and time.monotonic() - start_s > _WITHIN_S:
            raise EnvironmentFailure("the server takes nothing more")
    return outcomes


def _rendered(batches: int) -> list[Batch]:
    renderer = Renderer(run=RUN, publisher=0, seed=1, carrier="payload")
    random = np.random.default_rng(1)
    made = []
    for number in range(batches):
        sequence = np.arange(number * _BATCH, (number + 1) * _BATCH)
        keys, zeros = sequence.astype(np.uint32), np.zeros(_BATCH, np.uint32)
        sizes = np.full(_BATCH, SIZE, np.uint32)
        rendered = renderer.render(sequence.astype(np.uint64), sequence.astype(np.int64), keys, zeros, sizes)
        topics = random.integers(0, 2, _BATCH).astype(np.uint32)
        made.append(Batch(sequence.astype(np.uint64), rendered.bodies, topics, keys))
    return made


def receive(endpoint: Endpoint, mode: str, client: str, count: int) -> Rate:
    """From the first receipt to the last, every message checked and, from a queue, acknowledged.

    Raises:
        EnvironmentFailure: not every message came intact.
    """
    reader = ReaderSpec(_READER[mode], "group", 1, "at-most-once" if mode == "direct" else "at-least-once")
    spec = SubscriberSpec(endpoint, "ceiling", "orders", reader, 0, _OBJECTS, {"client": client}, 60.0)
    subscriber = adapter("solace").subscriber(spec)
    subscriber.open()
    subscriber.ready(30.0)
    _settle_memory()
    intact, opened_s, start_s, start_cpu_s = 0, time.monotonic(), 0.0, 0.0
    while intact < count and time.monotonic() - opened_s < _WITHIN_S:
        came = subscriber.receive(1000, 0.1)
        if not len(came):
            continue
        if not start_s:
            start_s, start_cpu_s = time.monotonic(), time.process_time()
        records = parse(came.bodies, None, run=RUN, received_ns=came.received_ns, redelivered=came.redelivered)
        intact += int(np.count_nonzero(records["fault"] == INTACT))
        subscriber.acknowledge(came)
    rate = _rate(count, start_s, start_cpu_s)
    subscriber.close()
    if intact != count:
        raise EnvironmentFailure(f"{intact:,} of {count:,} messages came intact")
    return rate


def _rate(count: int, start_s: float, start_cpu_s: float) -> Rate:
    took_s = time.monotonic() - start_s
    return Rate(count / took_s, (time.process_time() - start_cpu_s) / took_s)


def _settle_memory() -> None:
    gc.collect()
    gc.freeze()
    gc.disable()


def main() -> int:
    """Do the work that standard input asks for."""
    task = json.loads(sys.stdin.buffer.read())
    endpoint = Endpoint("solace", "no-op", smf=task["smf"])
    works = {"publish": publish, "receive": receive}
    rate = works[task["work"]](endpoint, task["mode"], task["client"], task["count"])
    sys.stdout.write(json.dumps(asdict(rate)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
