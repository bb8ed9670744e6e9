"""A bridge as its users run it: ``crep bridge run`` as a process of its own, between brokers that can be killed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson
from confluent_kafka.admin import AdminClient, NewTopic

from crep.harness.brokers.contract import BrokerError, Endpoint, Message, Outcome
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


def customers(folder: Path, name: str) -> None:
    """Replace the lookup's file: customers 0 to 9, called by this name and their number."""
    rows = "".join(f"{number},{name}-{number}\n" for number in range(10))
    draft = folder / "customers.tmp"
    draft.write_text("id,name\n" + rows)
    draft.replace(folder / "customers.csv")


def new_topics(endpoint: Endpoint, **settings: Any) -> Callable[..., str]:
    """Makes Kafka topics: ``make(name, partitions)``, with these settings of each."""
    admin = AdminClient({"bootstrap.servers": endpoint.bootstrap})

    def make(name: str, partitions: int = 4) -> str:
        topic = NewTopic(name, partitions, 1, config={key: str(value) for key, value in settings.items()})
        for created in admin.create_topics([topic]).values():
            created.result(30)
        return name

    return make


@dataclass
class Bridge:
    """One process after the other on one bridge file."""

    folder: Path
    instance: str | None = None
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
        name = [] if self.instance is None else ["--instance", self.instance]
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "crep", "bridge", "run", self.file, "--log", "json", *name],
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
        return self._log.read_text()

    @property
    def _log(self) -> Path:
        return self.folder / f"bridge-{self.instance or 'alone'}.log"

    @property
    def runs(self) -> bool:
        """Whether its process has not ended."""
        return self._process is not None and self._process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send its process a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def ended(self, seconds: float) -> int:
        """Wait for it to end by itself; its exit code."""
        assert self._process is not None
        code = self._process.wait(seconds)
        self._process = None
        return code

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

    def has_forwarded(self, count: int, seconds: float) -> None:
        """Wait until it has, also one that is being started; fails when it has not in time."""
        deadline, done = time.monotonic() + seconds, 0.0
        while done < count:
            assert time.monotonic() < deadline, f"{done:g} of {count} messages after {seconds:g} s: {self.log[-500:]}"
            time.sleep(0.1)
            with suppress(httpx.HTTPError):  # its process is not there yet
                done = self.counter("crep_bridge_acknowledged_total") if self.metrics else 0.0


@contextmanager
def bridging(folder: Path, instance: str | None = None) -> Iterator[Bridge]:
    """A bridge that is ended whatever happens."""
    bridge = Bridge(folder, instance)
    try:
        yield bridge
    finally:
        if bridge._process is not None:
            bridge.kill()


class Supervisor(threading.Thread):
    """Starts a bridge again whenever its process has ended, as a service manager does."""

    def __init__(self, bridge: Bridge) -> None:
        super().__init__(name="supervisor", daemon=True)
        self._bridge, self._ending = bridge, threading.Event()
        self.starts = 0

    def run(self) -> None:
        """One that finds its broker away ends with exit code 3, and is started again."""
        while not self._ending.wait(0.1):
            if not self._bridge.runs:
                self.starts += 1
                with suppress(AssertionError):  # it has ended already
                    self._bridge.start()

    def end(self) -> None:
        """From now on nothing is started."""
        self._ending.set()
        self.join(60)


class Feeder(threading.Thread):
    """Publishes numbered orders at a rate, each until it is acknowledged: ``acknowledged`` is what must arrive.

    ``finish`` makes it fewer. ``doubtful`` are the numbers that had to be sent again: the
    source may have them twice, and behind later ones.
    """

    def __init__(self, endpoint: Endpoint, topic: str, count: int, rate: float, broken_every: int = 0) -> None:
        super().__init__(name="feeder", daemon=True)
        self._sink = adapter(endpoint.system).sink(SinkSpec(endpoint, "feeder"))
        self._topic, self.count, self._rate, self._broken_every = topic, count, rate, broken_every
        self._finish = threading.Event()
        self.acknowledged: set[int] = set()
        self.doubtful: set[int] = set()
        self.sent = 0

    def is_broken(self, number: int) -> bool:
        """Whether this one is no JSON."""
        return bool(self._broken_every) and number % self._broken_every == self._broken_every - 1

    @property
    def broken(self) -> frozenset[int]:
        """All that were no JSON."""
        return frozenset(number for number in range(self.count) if self.is_broken(number))

    def finish(self) -> None:
        """Begin nothing new; the thread ends when all is acknowledged, and ``count`` is what it has come to."""
        self._finish.set()

    def _message(self, number: int) -> Message:
        body = {"n": number, "customer_id": number % 10, "region": "eu", "type": "new"}
        payload = b"{broken" if self.is_broken(number) else orjson.dumps(body)
        return Message(self._topic, payload, key=str(number % 10), message_id=f"m-{number}")

    def run(self) -> None:
        """Open loop: a broker that is away makes a backlog here, and nothing is skipped."""
        self._sink.open()
        began, deadline = time.monotonic(), time.monotonic() + 240
        waiting: list[int] = []
        while len(self.acknowledged) < self.count and time.monotonic() < deadline:
            if self._finish.is_set():
                self.count = self.sent
            due = min(self.count, int((time.monotonic() - began) * self._rate) + 1)
            while self.sent < due and self._sink.send(self._message(self.sent), self.sent):
                self.sent += 1
            waiting = [number for number in waiting if not self._sink.send(self._message(number), number)]
            for sent in self._sink.poll(0.005):
                if sent.outcome is Outcome.ACKNOWLEDGED:
                    self.acknowledged.add(sent.token)
                else:
                    self.doubtful.add(sent.token)
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
        settings: dict[str, Any] = {"isolation.level": "read_committed"} if group else {}
        spec = SourceSpec(endpoint, f"collector-{place}", (place,), group, settings)
        self._source = adapter(endpoint.system).source(spec)
        self._stop_it = threading.Event()
        self.collected = Collected()
        self._ids: set[str | None] = set()

    def run(self) -> None:
        """Accept all at once: the test knows what it has read."""
        deadline = time.monotonic() + 60
        while True:
            try:
                self._source.open()
                break
            except BrokerError:  # it may have been killed just now
                if time.monotonic() > deadline:
                    raise
        while not self._stop_it.is_set():
            messages = self._source.receive(500, 0.05)
            self.collected.messages += messages
            self._ids.update(message.message_id for message in messages)
            self._source.accept(messages)
        self._source.close()

    def until(self, count: int, seconds: float) -> Collected:
        """Wait until so many different messages have come, or the time is over; then a moment for what is too much."""
        self.some(count, seconds)
        time.sleep(0.5)
        return self.collected

    def some(self, count: int, seconds: float) -> None:
        """Wait until so many different messages have come, or the time is over."""
        deadline = time.monotonic() + seconds
        while len(self._ids) < count and time.monotonic() < deadline:
            time.sleep(0.05)

    def all(self, count: int, silence_s: float) -> Collected:
        """As ``until``, for as long as something new comes: a busy machine is slow, which is no loss."""
        while len(self._ids) < count:
            before = len(self._ids)
            self.some(before + 1, silence_s)
            if len(self._ids) == before:
                break
        return self.until(count, 0)

    def end(self) -> None:
        """Stop and disconnect."""
        self._stop_it.set()
        self.join(20)
