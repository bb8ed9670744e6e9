"""The emulator's ceiling: messages per second between official clients, and what idle connections take.

It says nothing about Solace: it tells engines that are bound by the emulator from those that are bound by themselves.
Rounds are interleaved. Whatever else the machine does only slows the emulator down, so that the fastest round is the
nearest to the ceiling, and the one that a floor is for.
"""

from __future__ import annotations

import resource
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench import proc, smf
from bench.emulator_client import TOPICS, Client, Task
from bench.figure import Figure
from crep.solace_emulator.smf import assured
from crep.solace_emulator.testing import EmulatorError, EmulatorProcess

DIRECT_FLOOR = 50_000  # messages per second
PERSISTENT_FLOOR = 10_000
CONNECTIONS = 1000
MOST_IDLE_MB = 200.0
_VPN = "default"
_FILES_BESIDE = 200  # that this process needs beside the connections


@dataclass(frozen=True)
class Traffic:
    """One kind of traffic through the emulator: one publisher, and one consumer or (``consumed`` False) none."""

    guaranteed: bool
    consumed: bool
    size: int  # bytes of payload
    count: int  # messages; direct ones fit into a client's egress buffer, so that none is discarded

    @property
    def name(self) -> str:
        """For a person."""
        way = "through" if self.consumed else "into"
        return f"persistent {way} one queue" if self.guaranteed else "direct to one subscriber"

    @property
    def floor(self) -> int:
        """Messages per second that it has to reach."""
        return PERSISTENT_FLOOR if self.guaranteed else DIRECT_FLOOR


TRAFFIC = (
    Traffic(guaranteed=False, consumed=True, size=100, count=200_000),
    Traffic(guaranteed=False, consumed=True, size=1024, count=30_000),
    Traffic(guaranteed=True, consumed=False, size=100, count=40_000),
    Traffic(guaranteed=True, consumed=False, size=1024, count=40_000),
    Traffic(guaranteed=True, consumed=True, size=100, count=40_000),
    Traffic(guaranteed=True, consumed=True, size=1024, count=40_000),
)


@dataclass(frozen=True)
class Passage:
    """One round of one kind of traffic: messages per second, and the emulator's processor time for each, µs."""

    per_s: float
    processor_us: float


@dataclass(frozen=True)
class Ceiling:
    """All rounds of one kind of traffic."""

    traffic: Traffic
    rounds: tuple[Passage, ...]

    @property
    def per_s(self) -> float:
        """Messages per second of the fastest round."""
        return max(passage.per_s for passage in self.rounds)

    @property
    def processor_us(self) -> float:
        """The median of the processor times."""
        return median(passage.processor_us for passage in self.rounds)


@dataclass(frozen=True)
class Speed:
    """What was measured. ``idle_mb`` is the resident memory with so many idle connections."""

    ceilings: tuple[Ceiling, ...]
    connections: int
    idle_mb: float


def measure(numbers: Iterable[int], rounds: int, say: Callable[[str], None], share: int = 1) -> Speed:
    """Measure everything in each round (``numbers``, of so many ``rounds``), with 1/``share`` of the messages.

    Raises :class:`.BrokerError`, :class:`EmulatorError`, :class:`.smf.SmfError` and ``OSError``.
    """
    passages: dict[Traffic, list[Passage]] = {traffic: [] for traffic in TRAFFIC}
    for number in numbers:
        for traffic in TRAFFIC:
            say(f"emulator, round {number + 1} of {rounds}: {traffic.name}, {traffic.size:,} B")
            with _emulator() as emulator:
                passages[traffic].append(pass_through(emulator, traffic, traffic.count // share))
    say(f"emulator: {CONNECTIONS:,} idle connections")
    with _emulator() as emulator:
        idle_mb = idle(emulator, CONNECTIONS)
    return Speed(tuple(Ceiling(each, tuple(found)) for each, found in passages.items()), CONNECTIONS, idle_mb)


@contextmanager
def _emulator() -> Iterator[EmulatorProcess]:
    with tempfile.TemporaryDirectory(prefix="bench-speed-") as name:
        emulator = EmulatorProcess(Path(name), ("--sync", "batch"))
        try:
            yield emulator
        finally:
            emulator.stop()


def pass_through(emulator: EmulatorProcess, traffic: Traffic, count: int) -> Passage:
    """Send so many messages; all of them must be acknowledged, or received where they are consumed."""
    queue = "speed"
    if traffic.guaranteed:
        path = f"config/msgVpns/{_VPN}/queues"
        opened = {"ingressEnabled": True, "egressEnabled": True, "permission": "delete"}
        emulator.semp("POST", path, {"queueName": queue} | opened)
        emulator.semp("POST", f"{path}/{queue}/subscriptions", {"subscriptionTopic": TOPICS})
    with ExitStack() as stack:

        def client(task: Task) -> Client:
            started = Client(task)
            stack.callback(started.end)
            return started

        tasks = [Task("receive", emulator.smf, traffic.guaranteed, queue, count, traffic.size)] * traffic.consumed
        tasks.append(Task("publish", emulator.smf, traffic.guaranteed, queue, count, traffic.size))
        clients = [client(task) for task in tasks]
        before_s = proc.processor_s(emulator.pid)
        times = [result() for result in [each.run() for each in clients]]
        processor_s = proc.processor_s(emulator.pid) - before_s
    first_ns, last_ns = times[-1][0], max(last for _, last in times)
    return Passage(count / ((last_ns - first_ns) / 1e9), processor_s / count * 1e6)


def idle(emulator: EmulatorProcess, connections: int) -> float:
    """Resident memory in MB with so many clients logged in, each with a publisher flow as the official ones have."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(now, connections + _FILES_BESIDE)
    if most != resource.RLIM_INFINITY and most < wanted:
        raise OSError(f"this process may open {most} files; {wanted} are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
    with ExitStack() as stack:
        for number in range(connections):
            connection = stack.enter_context(closing(smf.Connection(emulator.smf, _VPN, f"idle-{number}")))
            connection.ask(assured.OPEN_FLOW, [(assured.WINDOW, bytes((smf.WINDOW,)))])
        there = emulator.semp("GET", f"monitor/msgVpns/{_VPN}")["collections"]["clients"]["count"]
        if there != connections:
            raise EmulatorError(f"{there} of {connections} idle clients are connected")
        return proc.resident_mb(emulator.pid)


def figures(speed: Speed) -> tuple[Figure, ...]:
    """Each kind of traffic and the idle connections, beside their floors."""
    found = []
    for one in speed.ceilings:
        traffic = one.traffic
        rates = ", ".join(f"{passage.per_s:,.0f}" for passage in one.rounds)
        detail = f"rounds {rates}; {one.processor_us:.1f} µs of its processor each"
        name = f"Solace emulator, {traffic.name}, {traffic.size:,} B"
        found.append(Figure(name, one.per_s, "messages/s", traffic.floor, detail=detail))
    name = f"Solace emulator, {speed.connections:,} idle connections: resident memory"
    return (*found, Figure(name, speed.idle_mb, "MB", MOST_IDLE_MB, at_most=True))
