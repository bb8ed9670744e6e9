"""One trial of the emulator's durability: killed under windowed load and consumption, and judged by what came.

:func:`trial` is shared by the test and the soak. :func:`faults` is its pure judge.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from solace.messaging.config.solace_properties import authentication_properties as authentication
from solace.messaging.config.solace_properties import service_properties as service
from solace.messaging.config.solace_properties import transport_layer_properties as transport
from solace.messaging.messaging_service import MessagingService
from solace.messaging.resources.topic import Topic

from tests.emulator.forgetful import UNSYNCED
from tests.emulator.messaging import Collector, Receipts, end, eventually, persistent_publisher, receiver
from tests.emulator.process import MODULE, Emulator, running

PUBLISHERS: Final = 2
KILLS: Final = 2
QUEUE: Final = "load"
_TOPIC: Final = "load/x"
_PAUSE_SECONDS: Final = 0.001  # between two messages of a publisher: some 1,500/s of both
_LATEST_KILL_SECONDS: Final = 1.2
_LONGEST_DOWN_SECONDS: Final = 0.3
_LOAD_AFTER_SECONDS: Final = 0.2
_SETTLED_SECONDS: Final = 40.0
_SHOWN: Final = 5


@dataclass(frozen=True)
class Crash:
    """How the emulator syncs, and what a kill leaves of the bytes that were not synced; ``kept`` as a kill does."""

    sync: str
    unsynced: str

    def __str__(self) -> str:
        return f"--sync {self.sync}, unsynced bytes {self.unsynced}"


CRASHES: Final = (
    Crash("always", "kept"),
    Crash("batch", "kept"),
    Crash("never", "kept"),
    Crash("batch", "cut"),
    Crash("batch", "zeroed"),
    Crash("batch", "garbled"),
)


@dataclass(frozen=True)
class Outcome:
    """How a trial ended: what must not be, and what was counted."""

    faults: tuple[str, ...]
    figures: Mapping[str, float]


def faults(
    sent: Mapping[str, int], acknowledged: Sequence[str], refused: Sequence[str], received: Sequence[tuple[str, bool]]
) -> list[str]:
    """Return what broke the promise, the first few of each kind. Pure.

    ``sent`` is the count of each publisher, whose messages are ``publisher:0``, ``publisher:1`` …; ``received`` are
    (message, flagged as redelivered) in order of arrival. Allowed: a message again with the flag; a message that was
    not acknowledged, there or not. Never: an acknowledged one lost, one twice without the flag, one that was refused
    or never sent, a first arrival before that of an earlier message of its publisher.
    """
    known = {f"{publisher}:{number}" for publisher, count in sent.items() for number in range(count)}
    firsts = list(dict.fromkeys(message for message, _ in received))
    seen: set[str] = set()
    unflagged = []
    for message, redelivered in received:
        if message in seen and not redelivered:
            unflagged.append(message)
        seen.add(message)
    overtaken = []
    highest: dict[str, int] = {}
    for message in firsts:
        publisher, _, number = message.partition(":")
        if int(number) < highest.get(publisher, -1):
            overtaken.append(message)
        highest[publisher] = max(highest.get(publisher, -1), int(number))
    kinds = {
        "acknowledged and lost": [message for message in acknowledged if message not in seen],
        "twice without the flag": unflagged,
        "out of order": overtaken,
        "refused and delivered": [message for message in refused if message in seen],
        "never sent": sorted(seen - known),
    }
    return [f"{len(which)} {kind}: {', '.join(which[:_SHOWN])}" for kind, which in kinds.items() if which]


class _Load:
    """A publisher that sends until it is told to stop, with a full window."""

    def __init__(self, name: str, messaging: Any) -> None:
        self.name = name
        self.sent = 0
        self.receipts = Receipts()
        self._publisher = persistent_publisher(messaging)
        self._publisher.set_message_publish_receipt_listener(self.receipts)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        topic = Topic.of(_TOPIC)
        while not self._over.is_set():
            message = f"{self.name}:{self.sent}"
            self._publisher.publish(bytearray(message.encode()), topic, user_context=message)
            self.sent += 1
            time.sleep(_PAUSE_SECONDS)

    def stop(self) -> None:
        """Send no more."""
        self._over.set()
        self._thread.join(_SETTLED_SECONDS)

    @property
    def told(self) -> bool:
        """Every message has its receipt."""
        return self.receipts.count == self.sent


def trial(seed: int, folder: Path, crash: Crash | None = None) -> Outcome:
    """Kill and restart at random times under load, then read everything. ``crash`` is by turns unless it is given."""
    chance = random.Random(f"kill {seed}")
    crash = crash or CRASHES[seed % len(CRASHES)]
    waits = [round(chance.uniform(0.05, _LATEST_KILL_SECONDS), 3) for _ in range(KILLS)]
    downs = [round(chance.uniform(0.0, _LONGEST_DOWN_SECONDS), 3) for _ in range(KILLS)]
    module = MODULE if crash.unsynced == "kept" else "tests.emulator.forgetful"
    environment = {UNSYNCED: crash.unsynced}
    with (
        running(folder / "data", "--sync", crash.sync, module=module, environment=environment) as emulator,
        ExitStack() as clients,
    ):
        emulator.queue(QUEUE, "load/>")
        source = receiver(_connected(emulator, "in", clients), QUEUE)
        collector = Collector(source)
        source.receive_async(collector)
        loads = [_Load(f"p{number}", _connected(emulator, f"out-{number}", clients)) for number in range(PUBLISHERS)]
        for wait, down in zip(waits, downs, strict=True):
            time.sleep(wait)
            emulator.kill()
            time.sleep(down)
            emulator.start()
        time.sleep(_LOAD_AFTER_SECONDS)
        for load in loads:
            load.stop()
        told = eventually(lambda: all(load.told for load in loads), _SETTLED_SECONDS)
        acknowledged = [one for load in loads for one in sorted(load.receipts.acknowledged)]
        eventually(lambda: set(acknowledged) <= set(collector.payloads), _SETTLED_SECONDS)
        emptied = eventually(lambda: emulator.depth(QUEUE) == 0, _SETTLED_SECONDS)
        end(source)
    received = list(collector.received)
    refused = [one for load in loads for one in sorted(load.receipts.refused)]
    found = faults({load.name: load.sent for load in loads}, acknowledged, refused, received)
    found += [] if told else ["messages without a receipt"]
    found += [] if emptied else ["messages left in the queue"]
    figures = {
        "killed at s": waits[0],
        "acknowledged": float(len(acknowledged)),
        "refused": float(len(refused)),
        "again and flagged": float(len(received) - len({message for message, _ in received})),
    }
    where = f"{crash}, killed after {', '.join(map(str, waits))} s"
    return Outcome(tuple(f"{where}: {fault}" for fault in found), figures)


def _connected(emulator: Emulator, name: str, clients: ExitStack) -> Any:
    properties = {
        transport.HOST: emulator.ready["smf"],
        transport.RECONNECTION_ATTEMPTS: 300,
        transport.RECONNECTION_ATTEMPTS_WAIT_INTERVAL: 100,
        service.VPN_NAME: "default",
        authentication.SCHEME_BASIC_USER_NAME: "default",
        authentication.SCHEME_BASIC_PASSWORD: "any",
    }
    built = MessagingService.builder().from_properties(properties).build(name)
    built.connect()
    clients.callback(built.disconnect)
    return built
