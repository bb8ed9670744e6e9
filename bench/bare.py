"""The same work without crep: the loop that a client program would be, in a process of its own.

``python -m bench.bare`` reads one JSON object ``{"system", "work", "count", "size", "spec"}`` from standard input and
writes ``{"rate": messages per second}``. It uses the client settings that the engine uses (the adapter's own way from a
spec to the library's properties), counts what is acknowledged or received, and does nothing else: no stamp, no
schedule, no record, no histogram, no check. The garbage collector is off as in the engines, so that the ratio is the
cost of the checks and not of the collector.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable
from typing import Any

from pydantic import TypeAdapter

from bench.brokers import KEYS, Channel
from crep.harness import processes
from crep.harness.brokers.contract import BrokerError, PublisherSpec, SubscriberSpec
from crep.harness.config.errors import EnvironmentFailure

WITHIN_S = 240.0
_SPECS: dict[str, TypeAdapter[Any]] = {"publish": TypeAdapter(PublisherSpec), "receive": TypeAdapter(SubscriberSpec)}


def publish(channel: Channel, count: int, size: int) -> float:
    """Messages per second from the first handover to the last acknowledgement, measured in a child process.

    Raises:
        EnvironmentFailure: the child failed, or not every message was acknowledged.
    """
    return _in_child(channel, "publish", count, size, channel.publisher("bare"))


def receive(channel: Channel, count: int, size: int) -> float:
    """Messages per second from the first receipt to the last, measured in a child process.

    Raises:
        EnvironmentFailure: the child failed, or not every message came.
    """
    return _in_child(channel, "receive", count, size, channel.subscriber("bare"))


def _in_child(channel: Channel, work: str, count: int, size: int, spec: PublisherSpec | SubscriberSpec) -> float:
    task = {
        "system": channel.broker.endpoint.system,
        "work": work,
        "count": count,
        "size": size,
        "spec": _SPECS[work].dump_python(spec, mode="json"),
    }
    child = processes.spawn(
        [sys.executable, "-m", "bench.bare"], stdin=processes.PIPE, stdout=processes.PIPE, stderr=processes.STDOUT
    )
    assert child.stdin is not None  # noqa: S101 - asked for
    assert child.stdout is not None  # noqa: S101 - asked for
    try:
        child.stdin.write(json.dumps(task).encode())
        child.stdin.close()
        output = child.stdout.read().decode(errors="replace")
        code = child.wait(WITHIN_S)
    finally:
        child.kill()
        child.stdout.close()
    if code != 0:
        raise EnvironmentFailure(f"the bare {work} loop ended with exit code {code}:\n{output.strip()[-2000:]}")
    return float(json.loads(output.strip().splitlines()[-1])["rate"])


class Clock:
    """Counts events and keeps the times of the first and the last."""

    def __init__(self) -> None:
        self.count = 0
        self.first_ns = self.last_ns = 0

    def start(self) -> None:
        """The first handover."""
        self.first_ns = time.monotonic_ns()

    def rate(self, count: int) -> float:
        """Events per second.

        Raises:
            BrokerError: there are not as many as there should be.
        """
        if self.count != count:
            raise BrokerError(f"{self.count:,} of {count:,} messages came through")
        return count / ((self.last_ns - self.first_ns) / 1e9)


def settle_memory() -> None:
    """As the engines do."""
    gc.collect()
    gc.freeze()
    gc.disable()


def key(number: int) -> int:
    """The key of a message; in turn, as in the engine's schedule."""
    return number % KEYS


def main() -> int:
    """Do the work that standard input asks for."""
    from bench import bare_kafka, bare_solace  # noqa: PLC0415 - client libraries are loaded in the child only

    task = json.loads(sys.stdin.buffer.read())
    loops: dict[tuple[str, str], Callable[[Any, int, int], float]] = {
        ("kafka", "publish"): bare_kafka.publish,
        ("kafka", "receive"): bare_kafka.receive,
        ("solace", "publish"): bare_solace.publish,
        ("solace", "receive"): bare_solace.receive,
    }
    spec = _SPECS[task["work"]].validate_python(task["spec"])
    rate = loops[task["system"], task["work"]](spec, task["count"], task["size"])
    sys.stdout.write(json.dumps({"rate": rate}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
