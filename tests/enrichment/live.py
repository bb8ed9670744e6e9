"""A bridge as its users run it: ``crep bridge run`` as a process of its own, between brokers that can be killed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson

from crep.harness.brokers.contract import Endpoint, Message, Outcome
from crep.harness.brokers.registry import adapter
from crep.harness.brokers.streams import SinkSpec, SourceSpec
from tests.emulator.process import Emulator

PERMISSIVE = {"allowGuaranteedMsgSendEnabled": True, "allowGuaranteedMsgReceiveEnabled": True}


def new_vpn(emulator: Emulator, name: str) -> None:
    """A message VPN in which anybody may do anything."""
    vpn = {"msgVpnName": name, "enabled": True, "authenticationBasicType": "none", "maxMsgSpoolUsage": 1000}
    assert emulator.semp("POST", "config/msgVpns", vpn).status_code == 200
    for path, body in (("clientProfiles/default", PERMISSIVE), ("clientUsernames/default", {"enabled": True})):
        assert emulator.semp("PATCH", f"config/msgVpns/{name}/{path}", body).status_code == 200


def solace(emulator: Emulator, vpn: str, *, smf: str | None = None) -> Endpoint:
    """Where the emulator's message VPN is."""
    return Endpoint("solace", vpn, smf=smf or emulator.ready["smf"], vpn=vpn, username="default")


def target_of(endpoint: Endpoint, semp: str | None = None) -> dict[str, Any]:
    """An entry of a targets file."""
    if endpoint.system == "kafka":
        return {"system": "kafka", "source": "address", "kafka": {"bootstrap": endpoint.bootstrap}}
    return {
        "system": "solace",
        "source": "address",
        "solace": {"smf": endpoint.smf, "semp": semp, "vpn": endpoint.vpn},
    }


@dataclass
class Bridge:
    """One process after the other on one bridge file."""

    folder: Path
    file: str = "bridge.yaml"
    ledger: dict[str, Any] = field(default_factory=dict)
    _process: subprocess.Popen[str] | None = None
    metrics: str = ""

    def write(self, bridge: str, targets: Mapping[str, Any]) -> None:
        """The bridge file, and where its brokers are."""
        (self.folder / self.file).write_text(bridge)
        (self.folder / "crep-targets.yaml").write_text(json.dumps({"targets": dict(targets)}))

    def start(self) -> None:
        """Start and wait for its ready line."""
        with (self.folder / "bridge.log").open("a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "crep", "bridge", "run", self.file, "--log", "json"],
                cwd=self.folder,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, self.log
        self.metrics = json.loads(line)["metrics"]

    @property
    def log(self) -> str:
        """What it has told so far."""
        return (self.folder / "bridge.log").read_text()

    def kill(self) -> None:
        """As a crash does it."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)
        self._process = None

    def stop(self) -> int:
        """In order; keeps the ledger that it prints."""
        if self._process is None:
            return 0
        self._process.send_signal(signal.SIGTERM)
        out, _ = self._process.communicate(timeout=90)
        code = self._process.returncode
        self._process = None
        for line in out.splitlines():
            self.ledger = json.loads(line).get("ledger", self.ledger)
        return code

    def counter(self, name: str) -> float:
        """A metric's sum over its labels."""
        text = httpx.get(f"{self.metrics}/metrics", timeout=10).text
        return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name))


@contextmanager
def bridging(folder: Path) -> Iterator[Bridge]:
    """A bridge that is ended whatever happens."""
    bridge = Bridge(folder)
    try:
        yield bridge
    finally:
        if bridge._process is not None:
            bridge.kill()


class Feeder(threading.Thread):
    """Publishes numbered orders at a rate, each until it is acknowledged: ``acknowledged`` is what must arrive."""

    def __init__(self, endpoint: Endpoint, topic: str, count: int, rate: float, broken_every: int = 0) -> None:
        super().__init__(name="feeder", daemon=True)
        self._sink = adapter(endpoint.system).sink(SinkSpec(endpoint, "feeder"))
        self._topic, self._count, self._rate, self._broken_every = topic, count, rate, broken_every
        self.acknowledged: set[int] = set()
        self.sent = 0

    def is_broken(self, number: int) -> bool:
        """Whether this one is no JSON."""
        return bool(self._broken_every) and number % self._broken_every == self._broken_every - 1

    def _message(self, number: int) -> Message:
        body = {"n": number, "customer_id": number % 10, "region": "eu", "type": "new"}
        payload = b"{broken" if self.is_broken(number) else orjson.dumps(body)
        return Message(self._topic, payload, key=str(number % 10), message_id=f"m-{number}")

    def run(self) -> None:
        """Open loop: a broker that is away makes a backlog here, and nothing is skipped."""
        self._sink.open()
        began, deadline = time.monotonic(), time.monotonic() + 120
        waiting: list[int] = []
        while len(self.acknowledged) < self._count and time.monotonic() < deadline:
            due = min(self._count, int((time.monotonic() - began) * self._rate) + 1)
            while self.sent < due and self._sink.send(self._message(self.sent), self.sent):
                self.sent += 1
            waiting = [number for number in waiting if not self._sink.send(self._message(number), number)]
            for sent in self._sink.poll(0.005):
                if sent.outcome is Outcome.ACKNOWLEDGED:
                    self.acknowledged.add(sent.token)
                else:
                    waiting.append(sent.token)
        self._sink.close()


@dataclass
class Collected:
    """What came out of a place."""

    messages: list[Message] = field(default_factory=list)

    @property
    def numbers(self) -> Counter[int]:
        """How often each order came."""
        return Counter(orjson.loads(message.payload)["n"] for message in self.messages)

    def first_order(self, key: str) -> list[int]:
        """The numbers of a key in the order in which each came first."""
        seen = [orjson.loads(message.payload)["n"] for message in self.messages if message.key == key]
        return list(dict.fromkeys(seen))


class Collector(threading.Thread):
    """Reads a place until told to stop."""

    def __init__(self, endpoint: Endpoint, place: str) -> None:
        super().__init__(name=f"collector-{place}", daemon=True)
        group = f"collector-{place}" if endpoint.system == "kafka" else None
        self._source = adapter(endpoint.system).source(SourceSpec(endpoint, f"collector-{place}", (place,), group))
        self._stop_it = threading.Event()
        self.collected = Collected()

    def run(self) -> None:
        """Accept all at once: the test knows what it has read."""
        self._source.open()
        while not self._stop_it.is_set():
            messages = self._source.receive(500, 0.05)
            self.collected.messages += messages
            self._source.accept(messages)
        self._source.close()

    def until(self, count: int, seconds: float) -> Collected:
        """Wait until so many different messages have come, or the time is over; then a moment for what is too much."""
        deadline = time.monotonic() + seconds
        while len({m.message_id for m in self.collected.messages}) < count and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.5)
        return self.collected

    def end(self) -> None:
        """Stop and disconnect."""
        self._stop_it.set()
        self.join(20)
