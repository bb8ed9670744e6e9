"""The bridge between each two brokers, beside a bare forwarder in the same run, and what its parts cost.

Both read the same orders, wait for the same acknowledgements, and take turns at being first. The bridge makes one
lookup in a table and chooses the topic by a template; the bare one only chooses the topic. A rate is of one process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench import bridge_steps
from bench.bare import wait_until_ready
from bench.bare_forwarder import Between
from bench.bridge_load import WHO, Place, place, write_bridge
from bench.bridge_steps import Cost
from bench.brokers import EMULATOR, KAFKA, Broker, running
from bench.figure import Figure
from bench.forwarders import Forwarded, forwarding, result
from bench.summary import Spread, turns

SHARE_OF_BARE = 0.7
KAFKA_PER_S = 50_000
LATENCY_RATE, LATENCY_S = 1_000, 3.0
_WARM_UP = 300
_ROUTES = (("kafka", "kafka"), ("kafka", "solace"), ("solace", "kafka"), ("solace", "solace"))
_COUNTS = {("kafka", "kafka"): 150_000}
_COUNT = 4_000  # where the official Solace library takes part


@dataclass
class Route:
    """From one broker to another: what each forwarder did in each round. ``added_ms``: p50 and p99 at a fixed rate."""

    source: Broker
    sink: Broker
    count: int
    rounds: list[dict[str, Forwarded]] = field(default_factory=list)
    added_ms: tuple[float, ...] = ()

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.source.name} → {self.sink.name}"

    @property
    def between_kafkas(self) -> bool:
        """Whether no emulator takes part."""
        return not (self.source.emulated or self.sink.emulated)

    def spread(self, of: Callable[[dict[str, Forwarded]], float]) -> Spread | None:
        """A figure of each round."""
        return Spread.of(of(one) for one in self.rounds)


def measure(
    numbers: Iterable[int], rounds: int, share: int, say: Callable[[str], None]
) -> tuple[tuple[Figure, ...], dict[str, Any]]:
    """Each round (``numbers``, of so many ``rounds``); ``share``: this part of the messages."""
    say("the bridge's steps and formats")
    costs = bridge_steps.measure()
    with ExitStack() as stack:
        brokers: dict[str, Broker] = {
            target.system: stack.enter_context(running(target, say)) for target in (KAFKA, EMULATOR)
        }
        routes = [
            Route(brokers[source], brokers[sink], _COUNTS.get((source, sink), _COUNT) // share)
            for source, sink in _ROUTES
        ]
        kept = {route.name: stack.enter_context(_filled(route)) for route in routes if route.source is brokers["kafka"]}
        for number in numbers:
            for route in routes:
                say(f"bridge, round {number + 1} of {rounds}: {route.count:,} messages {route.name}")
                route.rounds.append(_round(route, number, kept.get(route.name)))
        for route in routes:
            say(f"bridge, latency added at {LATENCY_RATE:,} messages/s: {route.name}")
            route.added_ms = _latency(route, LATENCY_S / share)
    details = {
        "routes": {
            route.name: {
                "messages": route.count,
                "rounds": [{who: asdict(did) for who, did in one.items()} for one in route.rounds],
                "added_ms": route.added_ms,
            }
            for route in routes
        },
        "costs": [asdict(one) for one in costs],
    }
    return figures(routes, costs), details


@contextmanager
def _filled(route: Route) -> Iterator[Place]:
    """Orders that wait for both forwarders."""
    with place(route.source, WHO) as source:
        source.fill(route.count)
        yield source


def _round(route: Route, number: int, kept: Place | None) -> dict[str, Forwarded]:
    """Both forwarders in turn, from ``kept`` (a topic, read anew) or from queues that are filled for this round."""
    with ExitStack() as stack:
        source = stack.enter_context(_filled(route)) if kept is None else kept
        sink = stack.enter_context(place(route.sink, ("reader",)))
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="bench-")))
        did = {}
        for who in turns(WHO, number):
            between = Between(
                route.source.endpoint, source.reads[who], f"{who}-{number}", route.sink.endpoint, sink.topic
            )
            with forwarding(who, write_bridge(folder, between), between, route.count) as child:
                did[who] = result(child, route.count)
        return did


def _latency(route: Route, seconds: float) -> tuple[float, ...]:
    """Milliseconds from receipt to acknowledgement at `LATENCY_RATE`: p50 and p99."""
    count = round(LATENCY_RATE * seconds)
    with ExitStack() as stack:
        source = stack.enter_context(place(route.source, ("bridge",)))
        sink = stack.enter_context(place(route.sink, ("reader",)))
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="bench-")))
        between = Between(route.source.endpoint, source.reads["bridge"], "bridge", route.sink.endpoint, sink.topic)
        child = stack.enter_context(
            forwarding("bridge", write_bridge(folder, between), between, _WARM_UP + count, _WARM_UP)
        )
        source.fill(_WARM_UP)
        wait_until_ready(child)
        source.fill(count, LATENCY_RATE)
        return result(child, count).added_ms


def figures(routes: Iterable[Route], costs: list[Cost]) -> tuple[Figure, ...]:
    """Of each route the share of the bare forwarder, the rate and the latency added; then what each part costs."""
    found = []
    for route in routes:
        what = f"bridge, {route.name}"
        share = route.spread(lambda one: one["bridge"].per_s / one["bare"].per_s)
        rate = route.spread(lambda one: one["bridge"].per_s)
        found += [
            _figure(f"{what}, one lookup: ÷ bare forwarder", share, "", SHARE_OF_BARE, _side_by_side(route)),
            _figure(
                f"{what}, one lookup: one process", rate, "messages/s", KAFKA_PER_S if route.between_kafkas else None
            ),
        ]
        for rank, value in zip(("p50", "p99"), route.added_ms, strict=False):
            name = f"{what}: latency added at {LATENCY_RATE:,} messages/s, {rank}"
            found.append(Figure(name, value, "ms", detail="from receipt to the sink's acknowledgement"))
    return (*found, *bridge_steps.figures(costs))


def _side_by_side(route: Route) -> str:
    """What the ratio does not tell: the bare rate, and the processor time of both, which a busy machine changes less.

    It is of the whole process: the threads of the client libraries, which share it between more messages when there are
    more at once, are in it.
    """
    parts = []
    if (rate := route.spread(lambda one: one["bare"].per_s)) is not None:
        parts.append(f"bare {rate.median:,.0f}/s")
    for who in WHO:
        if (used := route.spread(lambda one, who=who: one[who].cpu_us)) is not None:  # type: ignore[misc]
            parts.append(f"{who} {used.median:.1f} µs of processor a message")
    return ", ".join(parts)


def _figure(name: str, spread: Spread | None, unit: str, floor: float | None, detail: str = "") -> Figure:
    if spread is None:
        return Figure(name, None, unit, floor, detail="not measured")
    span = f"{spread.lowest:,.3g}–{spread.highest:,.3g} over {spread.rounds} rounds"
    return Figure(name, spread.median, unit, floor, detail="; ".join(filter(None, (span, detail))))
