"""One trial of the emulator under churning connections: everything comes and goes, and nothing may stay behind.

:func:`trial` is shared by the test (seconds) and the soak (minutes). :func:`growth` is its pure judge of memory.
"""

from __future__ import annotations

import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final
from urllib.parse import urlsplit

from solace.messaging.config.solace_properties import authentication_properties as authentication
from solace.messaging.config.solace_properties import service_properties as service
from solace.messaging.config.solace_properties import transport_layer_properties as transport
from solace.messaging.errors.pubsubplus_client_error import PubSubPlusClientError
from solace.messaging.messaging_service import MessagingService
from solace.messaging.resources.queue import Queue
from solace.messaging.resources.topic import Topic
from solace.messaging.resources.topic_subscription import TopicSubscription

from tests.emulator.conformance.relay import Relay
from tests.emulator.corpus.files import RECORDED, read
from tests.emulator.messaging import (
    direct_publisher,
    direct_receiver,
    end,
    eventually,
    persistent_publisher,
    receiver,
    send,
)
from tests.emulator.process import Emulator, running

QUEUE: Final = "churned"
_CLIENTS: Final = 2
_RAW_PAUSE_SECONDS: Final = 0.01
_SAMPLE_SECONDS: Final = 1.0
_BACK_SECONDS: Final = 20.0
_BACK_AFTER_ABANDONING_SECONDS: Final = 90.0
"""Temporary queues of clients that have vanished stay for 60 s."""
_LINGER_NOT: Final = struct.pack("ii", 1, 0)
"""SO_LINGER that makes a close a reset."""
_STREAM: Final = ("client-1", "subscription-add-1", "message-direct-1", "assured-open-flow-1", "message-guaranteed-1")
"""What a bare connection sends of, in this order: a login, a subscription, a message, a publisher flow, a message."""
BYTES_PER_CONNECTION: Final = 256
NOISE_BYTES: Final = 4 * 1024 * 1024


@dataclass(frozen=True)
class Held:
    """What the emulator holds at a moment: in the operating system, and of its own objects as SEMP counts them."""

    descriptors: int
    threads: int
    clients: int
    queues: int
    messages: int
    flows: int


@dataclass(frozen=True)
class Outcome:
    """How a trial ended: what must not be, and what was counted."""

    faults: tuple[str, ...]
    figures: Mapping[str, float]


@dataclass
class _Count:
    """Connections made so far, by any thread, and what went wrong in a thread."""

    connections: int = 0
    errors: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def one(self) -> None:
        """Count a connection."""
        with self.lock:
            self.connections += 1


def growth(samples: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Return (bytes, connections) between the second quarter and the last of samples (connections, resident bytes).

    The first quarter is the warm-up: caches fill and the allocator takes its arenas. Medians, so that a peak is none.
    """
    quarter = len(samples) // 4
    early, late = samples[quarter : 2 * quarter], samples[-quarter:]
    if not early:
        return 0, 0
    grown = median(rss for _, rss in late) - median(rss for _, rss in early)
    made = median(count for count, _ in late) - median(count for count, _ in early)
    return int(grown), int(made)


def is_flat(grown: int, connections: int) -> bool:
    """Memory that grows by less than a small object for each connection, above the allocator's noise, is flat."""
    return grown <= NOISE_BYTES + BYTES_PER_CONNECTION * connections


def held(emulator: Emulator) -> Held:
    """Ask the operating system (Linux) and SEMP."""
    process = Path(f"/proc/{emulator.pid}")
    vpn = emulator.semp("GET", "monitor/msgVpns/default").json()["collections"]
    queue = emulator.semp("GET", f"monitor/msgVpns/default/queues/{QUEUE}").json()["collections"]
    return Held(
        descriptors=len(list((process / "fd").iterdir())),
        threads=len(list((process / "task").iterdir())),
        clients=vpn["clients"]["count"],
        queues=vpn["queues"]["count"],
        messages=queue["msgs"]["count"],
        flows=queue["txFlows"]["count"],
    )


def resident_bytes(emulator: Emulator) -> int:
    """The emulator's resident memory (Linux)."""
    for line in Path(f"/proc/{emulator.pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "VmRSS":
            return int(value.split()[0]) * 1024
    raise RuntimeError(f"no VmRSS of process {emulator.pid}")


def trial(seed: int, folder: Path, seconds: float, *, abandon: bool) -> Outcome:
    """Churn for a time, then see that everything is gone. ``abandon``: some clients vanish and never come back."""
    with running(folder / "data", "--sync", "batch", "--log-level", "error") as emulator:
        emulator.queue(QUEUE, "churned/>")
        _once(emulator, random.Random(f"warm {seed}"), _Count(), abandon=False)  # so that threads are there that stay
        _emptied(emulator)
        before = held(emulator)
        count = _Count()
        samples = _churn(emulator, seed, seconds, count, abandon=abandon)
        patience = _BACK_AFTER_ABANDONING_SECONDS if abandon else _BACK_SECONDS

        def back() -> bool:
            _emptied(emulator)
            return held(emulator) == before

        returned = eventually(back, patience)
        after = held(emulator)
    grown, made = growth(samples)
    found = list(dict.fromkeys(count.errors))
    if not returned:
        found.append(f"before {before}, afterwards {after}")
    if not is_flat(grown, made):
        found.append(f"resident memory grew by {grown} bytes over {made} connections")
    figures = {
        "connections": float(count.connections),
        "resident MB at the end": round(samples[-1][1] / 1e6, 1) if samples else 0.0,
        "grown MB after warm-up": round(grown / 1e6, 2),
    }
    return Outcome(tuple(found), figures)


def _emptied(emulator: Emulator) -> None:
    emulator.semp("PUT", f"action/msgVpns/default/queues/{QUEUE}/deleteMsgs", {})


def _churn(emulator: Emulator, seed: int, seconds: float, count: _Count, *, abandon: bool) -> list[tuple[int, int]]:
    """Run the churning threads for a time; return (connections so far, resident bytes), sampled meanwhile."""
    over = threading.Event()

    def repeat(name: str, once: Callable[[random.Random], None]) -> None:
        chance = random.Random(f"churn {seed} {name}")
        while not over.is_set():
            try:
                once(chance)
            except (AssertionError, OSError, PubSubPlusClientError) as error:
                count.errors.append(f"{name}: {type(error).__name__}: {str(error)[:200]}")
                return

    jobs: dict[str, Callable[[random.Random], None]] = {"raw": lambda chance: _raw(emulator, chance, count)}
    for number in range(_CLIENTS):
        jobs[f"client {number}"] = lambda chance: _once(emulator, chance, count, abandon=abandon)
    threads = [threading.Thread(target=repeat, args=job, daemon=True) for job in jobs.items()]
    for thread in threads:
        thread.start()
    samples = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not count.errors:
        time.sleep(_SAMPLE_SECONDS)
        samples.append((count.connections, resident_bytes(emulator)))
        _emptied(emulator)
    over.set()
    for thread in threads:
        thread.join(_BACK_SECONDS)
        if thread.is_alive():
            count.errors.append("a churning client does not end")
    return samples


def _raw(emulator: Emulator, chance: random.Random, count: _Count) -> None:
    """Connect, send a part of what a client sends, often half a frame at the end, and close or reset."""
    stream = b"".join(read(RECORDED / f"{name}.hex") for name in _STREAM)
    parts = urlsplit(emulator.ready["smf"])
    with socket.create_connection((parts.hostname, parts.port), 5) as connection:
        count.one()
        with suppress(ConnectionError):  # a login by the same name elsewhere ends this one
            for part in _cut(stream[: chance.randint(0, len(stream))], chance):
                connection.sendall(part)
                time.sleep(chance.choice((0.0, 0.002)))
        if chance.random() < 0.5:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
    time.sleep(_RAW_PAUSE_SECONDS)


def _cut(stream: bytes, chance: random.Random) -> list[bytes]:
    at = chance.randint(0, len(stream))
    return [stream[:at], stream[at:]]


def _once(emulator: Emulator, chance: random.Random, count: _Count, *, abandon: bool) -> None:
    """One life of an official client: connect, use everything, perhaps lose the connection, come back or not, end."""
    with closing(Relay(emulator.ready["smf"])) as relay:
        messaging = _connected(relay.host)
        count.one()
        try:
            direct = direct_receiver(messaging, f"churned/{chance.randrange(100)}", "direct/>")
            direct_publisher(messaging).publish(bytearray(b"x"), Topic.of("direct/x"))
            source = receiver(messaging, QUEUE)
            builder = messaging.create_persistent_message_receiver_builder()
            builder.with_subscriptions([TopicSubscription.of("temporary/>")])
            temporary = builder.build(Queue.non_durable_exclusive_queue())
            temporary.start()
            publisher = persistent_publisher(messaging)
            for topic in ("churned/x", "temporary/x"):
                send(publisher, topic, "x" * chance.randrange(2000))
            fate = chance.random()
            if abandon and fate < 0.1:
                relay.close()
                return
            if fate < 0.5:
                relay.cut()
                count.one()
                send(publisher, "churned/x", "back again")
            message = source.receive_message(5000)
            if message is not None:
                source.ack(message)
            if chance.random() < 0.5:
                end(direct)
                end(source)
            end(temporary)
        finally:
            messaging.disconnect()


def _connected(host: str) -> Any:
    properties = {
        transport.HOST: host,
        transport.RECONNECTION_ATTEMPTS: 100,
        transport.RECONNECTION_ATTEMPTS_WAIT_INTERVAL: 100,
        service.VPN_NAME: "default",
        authentication.SCHEME_BASIC_USER_NAME: "default",
        authentication.SCHEME_BASIC_PASSWORD: "any",
    }
    built = MessagingService.builder().from_properties(properties).build()
    built.connect()
    return built
