"""What the fault proxy costs while it does nothing, and how exactly it does what it is told.

``python -m bench.fault_proxy`` is the node behind it: the first byte of a connection says what it does with the rest,
*echo* it or *swallow* it and answer once at the end. Direct and proxied connections take turns in every round, so that
what else the machine does hits both.
"""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bench.figure import Figure
from bench.summary import Spread
from crep.harness import processes
from crep.harness.config.errors import EnvironmentFailure
from crep.harness.proxy import Effect, Latency, Links, LinkSpec, ProxyProcess, Rule, Stall, port_of

MOST_ADDED_MS = 0.2
LEAST_MB_S = 200.0
LATENCY_S, MOST_LATENCY_ERROR_MS = 0.02, 2.0
STALL_S, MOST_STALL_ERROR_S = 3.0, 0.2

TRIPS, WARM_UP_TRIPS = 2_000, 200
TRIP_BYTES = 100
DELAYED_TRIPS = 50
STREAMED_BYTES = 512 << 20
BEAT_S = 0.002  # from one message to the next while a stall is measured

_ECHO, _SWALLOW = b"e", b"s"
_NODE, _PLANE = "node", "client"
_WITHIN_S = 60.0


@dataclass(frozen=True)
class Idle:
    """One round without a rule: medians and 99th percentiles of a round trip, and one connection's throughput."""

    direct_ms: tuple[float, float]
    proxied_ms: tuple[float, float]
    direct_mb_s: float
    proxied_mb_s: float


@dataclass(frozen=True)
class Told:
    """One round with rules. ``latency_ms``: what a round trip takes longer by `LATENCY_S` one way. ``stall_s``: the
    longest time without a message, and how long the rule was in effect."""

    latency_ms: float
    stall_s: tuple[float, float]


@contextmanager
def proxied(say: Callable[[str], None]) -> Iterator[tuple[int, int, Links]]:
    """A node and a proxy before it: the node's port, the proxy's, and its links.

    Raises:
        EnvironmentFailure: one of them does not start.
    """
    say("starting a node and a fault proxy before it")
    node = processes.spawn([sys.executable, "-m", "bench.fault_proxy"], stdout=processes.PIPE, stdin=processes.PIPE)
    proxy = ProxyProcess()
    try:
        assert node.stdout is not None  # noqa: S101 - asked for above
        line = node.stdout.readline()
        if not line:
            raise EnvironmentFailure("the node behind the fault proxy did not start")
        direct = int(line)
        specs = proxy.start([LinkSpec(_NODE, _PLANE, 0, ("127.0.0.1", direct))])
        yield direct, port_of(specs, _NODE, _PLANE), proxy.links()
    finally:
        proxy.stop()
        node.kill()


def idle(direct: int, proxy: int, share: int) -> Idle:
    """Round trips and throughput, directly and through the proxy in turn."""
    trips = [round_trips_ms(port, TRIPS // share) for port in (direct, proxy)]
    rates = [stream_mb_s(port, STREAMED_BYTES // share) for port in (direct, proxy)]
    return Idle(_percentiles(trips[0]), _percentiles(trips[1]), rates[0], rates[1])


def told(proxy: int, links: Links) -> Told:
    """A latency and a stall, as both ends of a connection see them."""
    before = float(np.median(round_trips_ms(proxy, DELAYED_TRIPS, WARM_UP_TRIPS)))
    with _in_effect(links, Latency(LATENCY_S)):
        after = float(np.median(round_trips_ms(proxy, DELAYED_TRIPS, 5)))
    return Told(after - before, _stall(proxy, links))


@contextmanager
def _in_effect(links: Links, effect: Effect) -> Iterator[None]:
    links.apply(Rule("bench", None, frozenset({_NODE}), None, "to-node", effect))
    try:
        yield
    finally:
        links.clear("bench")


def round_trips_ms(port: int, count: int, warm_up: int = WARM_UP_TRIPS) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Milliseconds of each of ``count`` round trips of a small message, after some that are not counted."""
    with _connected(port, _ECHO) as one:
        taken, message = np.empty(count), bytes(TRIP_BYTES)
        for number in range(-warm_up, count):
            begin_ns = time.perf_counter_ns()
            one.sendall(message)
            left = TRIP_BYTES
            while left:
                left -= len(one.recv(left))
            if number >= 0:
                taken[number] = (time.perf_counter_ns() - begin_ns) / 1e6
    return taken


def stream_mb_s(port: int, count: int) -> float:
    """Megabytes (1,000,000 bytes) a second of one connection, until the node says that it has everything."""
    block = bytes(1 << 20)
    with _connected(port, _SWALLOW) as one:
        begin_s = time.perf_counter()
        for _ in range(count // len(block)):
            one.sendall(block)
        one.shutdown(socket.SHUT_WR)
        if one.recv(1) != b"!":
            raise EnvironmentFailure("the node behind the fault proxy ended before it had everything")
        return count / 1e6 / (time.perf_counter() - begin_s)


def _stall(port: int, links: Links) -> tuple[float, float]:
    """The longest gap between messages that come back every `BEAT_S`, and how long the stall was in effect."""
    with _connected(port, _ECHO) as one:
        over = threading.Event()
        beats = threading.Thread(target=_beat, args=(one, over))
        heard = _Heard(one)
        beats.start()
        try:
            time.sleep(0.5)
            begin_s = time.monotonic()
            with _in_effect(links, Stall()):
                time.sleep(STALL_S)
            in_effect_s = time.monotonic() - begin_s
            time.sleep(0.5)
        finally:
            over.set()
            beats.join(_WITHIN_S)
            one.shutdown(socket.SHUT_RDWR)
        return heard.longest_s(), in_effect_s


def _beat(one: socket.socket, over: threading.Event) -> None:
    while not over.wait(BEAT_S):
        one.sendall(b".")


class _Heard:
    """Reads in a thread, and keeps the longest time in which nothing came."""

    def __init__(self, one: socket.socket) -> None:
        self._one, self._longest_s = one, 0.0
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        last_s = time.monotonic()
        while self._one.recv(1 << 16):
            now_s = time.monotonic()
            self._longest_s, last_s = max(self._longest_s, now_s - last_s), now_s

    def longest_s(self) -> float:
        """After the connection has ended."""
        self._thread.join(_WITHIN_S)
        return self._longest_s


def _connected(port: int, what: bytes) -> socket.socket:
    one = socket.create_connection(("127.0.0.1", port), _WITHIN_S)
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    one.sendall(what)
    return one


def _percentiles(trips: np.ndarray[Any, np.dtype[np.float64]]) -> tuple[float, float]:
    return float(np.percentile(trips, 50)), float(np.percentile(trips, 99))


def figures(idles: list[Idle], tolds: list[Told]) -> tuple[Figure, ...]:
    """Added latency, throughput, and the errors of a latency and of a stall."""
    added = Spread.of(one.proxied_ms[0] - one.direct_ms[0] for one in idles)
    rate = Spread.of(one.proxied_mb_s for one in idles)
    latency = Spread.of(abs(one.latency_ms - LATENCY_S * 1e3) for one in tolds)
    stall = Spread.of(abs(one.stall_s[0] - STALL_S) for one in tolds)
    direct = Spread.of(one.direct_mb_s for one in idles)
    directly = "" if direct is None else f"directly {direct.median:,.0f} MB/s"
    return (
        _figure("fault proxy without a rule: added to a round trip, p50", added, "ms", MOST_ADDED_MS, at_most=True),
        _figure("fault proxy without a rule: one connection", rate, "MB/s", LEAST_MB_S, detail=directly),
        _figure(
            f"fault proxy, latency of {LATENCY_S * 1e3:.0f} ms: error",
            latency,
            "ms",
            MOST_LATENCY_ERROR_MS,
            at_most=True,
        ),
        _figure(f"fault proxy, stall of {STALL_S:.0f} s: error", stall, "s", MOST_STALL_ERROR_S, at_most=True),
    )


def _figure(
    name: str, spread: Spread | None, unit: str, floor: float, *, at_most: bool = False, detail: str = ""
) -> Figure:
    if spread is None:
        return Figure(name, None, unit, floor, at_most, detail="not measured")
    span = f"{spread.lowest:.3g}–{spread.highest:.3g} over {spread.rounds} rounds"
    return Figure(name, spread.median, unit, floor, at_most, detail="; ".join(filter(None, (span, detail))))


def measure(
    numbers: Iterable[int], rounds: int, share: int, say: Callable[[str], None]
) -> tuple[tuple[Figure, ...], dict[str, Any]]:
    """Each round (``numbers``, of so many ``rounds``); ``share``: this part of the trips and bytes of an idle one."""
    idles, tolds = [], []
    with proxied(say) as (direct, proxy, links):
        for number in numbers:
            say(f"fault proxy, round {number + 1} of {rounds}")
            idles.append(idle(direct, proxy, share))
            tolds.append(told(proxy, links))
    details = {"idle": [asdict(one) for one in idles], "told": [asdict(one) for one in tolds]}
    return figures(idles, tolds), details


def _serve() -> None:
    """The node: one thread for each connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sys.stdout.write(f"{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        while True:
            one, _ = listener.accept()
            threading.Thread(target=_answer, args=(one,), daemon=True).start()


def _answer(one: socket.socket) -> None:
    buffer = memoryview(bytearray(1 << 20))
    with one:
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        echoes = one.recv(1) == _ECHO
        while got := one.recv_into(buffer):
            if echoes:
                one.sendall(buffer[:got])
        if not echoes:
            one.sendall(b"!")


if __name__ == "__main__":
    _serve()
