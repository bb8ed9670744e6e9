"""Network faults on a real proxy between real processes: each step is true when it says so, for its parties only."""

from __future__ import annotations

import os
import queue
import socket
import sys
import textwrap
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest

from crep.harness import processes
from crep.harness.brokers.contract import NotSupported
from crep.harness.faults.contract import Stage
from crep.harness.faults.registry import FAULTS, make_fault
from crep.harness.faults.timeline import Injection, Scheduled, Timeline
from crep.harness.proxy import Link, LinkSpec, ProxyProcess, port_of
from crep.harness.scenario.actions.base import Json
from crep.harness.scenario.plan import TimelineEvent
from tests.faults.staging import all_steps

CLIENTS_TO_BROKERS = {"of": "clients", "to": "brokers"}
BOTH = {**CLIENTS_TO_BROKERS, "direction": "both"}

ASKER = textwrap.dedent("""
    import socket, sys, time
    while True:  # ended by the test
        try:
            one = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 60)
            while True:
                started = time.monotonic()
                one.sendall(b"?")
                if not one.recv(1):
                    raise OSError("ended")
                print("ok", time.monotonic() - started, flush=True)
                time.sleep(0.01)
        except OSError as error:
            print("error", error.errno or 0, flush=True)
            time.sleep(0.02)
""")


class Cluster:
    """Two nodes that echo, behind one proxy: clients reach both, ``one`` reaches ``two``."""

    def __init__(self, stack: ExitStack) -> None:
        self.nodes = ("one", "two")
        specs = []
        for node in self.nodes:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            threading.Thread(target=_serve, args=(listener,), daemon=True).start()
            to = ("127.0.0.1", listener.getsockname()[1])
            specs += [LinkSpec(node, "client", 0, to), LinkSpec(node, "inter-node", 0, to)]
        self._proxy = ProxyProcess()
        stack.callback(self._proxy.stop)
        self._proxy.start(specs)
        self.links = self._proxy.links()
        self.publisher = stack.enter_context(asking("publishers", port_of(self.links.specs, "one", "client")))
        self.subscriber = stack.enter_context(asking("subscribers", port_of(self.links.specs, "one", "client")))
        self.peer = stack.enter_context(asking("one", port_of(self.links.specs, "two", "inter-node")))

    def stage(self, action: str, heal_after_s: float, parameters: Mapping[str, Json]) -> Stage:
        """An event of that action."""
        roles = {"one": frozenset({"broker", "controller"}), "two": frozenset({"broker"})}
        deployment = SimpleNamespace(
            target="cluster",
            nodes=self.nodes,
            links=self.links,
            allow_faults=True,
            roles=lambda node: roles[node],
            node_pid=lambda _: 1,
            node_of=lambda identity: self.nodes[int(identity)],
        )
        admin = SimpleNamespace(leader=lambda *_: "1", followers=lambda *_: ("0",), controller=lambda: "0")
        event = TimelineEvent(3, 0.0, action, "bus", heal_after_s=heal_after_s, parameters=parameters)
        anything: Any = SimpleNamespace()
        return Stage(event, anything, cast(Any, deployment), cast(Any, admin), anything, anything, seed=1)


class Asker:
    """What a child says: round trips and errors, as they come."""

    def __init__(self, child: processes.Child) -> None:
        self._said: queue.SimpleQueue[tuple[str, float]] = queue.SimpleQueue()
        threading.Thread(target=self._read, args=(child,), daemon=True).start()

    def _read(self, child: processes.Child) -> None:
        assert child.stdout is not None
        for line in child.stdout:
            word, value = line.split()
            self._said.put((word.decode(), float(value)))

    def heard(self, for_s: float) -> list[tuple[str, float]]:
        """All that it says from now on for a while."""
        while not self._said.empty():
            self._said.get()
        time.sleep(for_s)
        return [self._said.get() for _ in range(self._said.qsize())]

    def answered(self, within_s: float = 15.0) -> None:
        """Wait for a round trip."""
        deadline = time.monotonic() + within_s
        while self._said.get(timeout=max(0.01, deadline - time.monotonic()))[0] != "ok":
            continue


def _serve(listener: socket.socket) -> None:
    while True:
        try:
            one, _ = listener.accept()
        except OSError:
            return  # closed at the end
        threading.Thread(target=_echo, args=(one,), daemon=True).start()


def _echo(one: socket.socket) -> None:
    with one:
        try:
            while data := one.recv(4096):
                one.sendall(data)
        except OSError:
            return  # reset


@contextmanager
def asking(party: str, port: int) -> Iterator[Asker]:
    """A process of that party that asks again and again."""
    child = processes.spawn(
        [sys.executable, "-I", "-S", "-c", ASKER, str(port)],
        env={**os.environ, "CREP_PARTY": party},
        stdout=processes.PIPE,
    )
    try:
        asker = Asker(child)
        asker.answered()
        yield asker
    finally:
        child.kill()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with ExitStack() as stack:
        yield Cluster(stack)


class Running:
    """A fault that is carried out by a timeline of its own."""

    def __init__(self, stage: Stage) -> None:
        self._seen: queue.SimpleQueue[Injection] = queue.SimpleQueue()
        self._timeline = Timeline([Scheduled.of(stage.event, make_fault(stage))], self._seen.put)
        self._timeline.start(time.monotonic_ns())

    def until(self, step: str) -> Injection:
        """Wait for that step."""
        while True:
            seen = self._seen.get(timeout=30)
            assert seen.error is None
            if seen.step == step:
                return seen

    def over(self) -> Injection:
        """Wait for the end."""
        done = self.until("healed")
        self._timeline.cancel()
        return done


def fine(asker: Asker, for_s: float = 0.3) -> bool:
    """It gets answers and no error."""
    return {word for word, _ in asker.heard(for_s)} == {"ok"}


@pytest.mark.parametrize(
    ("action", "parameters", "subject"),
    [
        ("latency", {**BOTH, "add_s": 0.05, "jitter_s": 0.01}, "publishers and subscribers to one and two"),
        ("latency", {**BOTH, "add_s": 0.02, "jitter_s": 0.02}, "publishers and subscribers to one and two"),
        ("bandwidth", {**BOTH, "bytes_per_s": 2000}, "publishers and subscribers to one and two"),
        ("stall", {**BOTH, "of": "publishers", "to": "leader-of orders"}, "publishers to two"),
        ("stall", {**BOTH, "of": "one", "to": "followers-of orders"}, None),
        ("reset", CLIENTS_TO_BROKERS, "publishers and subscribers to one and two"),
        ("refuse", {**CLIENTS_TO_BROKERS, "of": "subscribers"}, "subscribers to one and two"),
        ("refuse", {"of": "everybody", "to": "one"}, "everybody to one"),
        ("half-open", BOTH, "publishers and subscribers to one and two"),
        ("half-open", {**BOTH, "direction": "to-node"}, "publishers and subscribers to one and two"),
        ("half-open", {**BOTH, "direction": "from-node"}, "publishers and subscribers to one and two"),
        ("partition", {"between": ["one", "two"], "how": "stall"}, "one | two"),
        ("partition", {"between": ["two", "rest"], "how": "reset"}, "two | one and publishers and subscribers"),
        ("partition", {"between": ["quorum", "brokers"], "how": "stall"}, None),
    ],
)
def test_every_network_fault_takes_all_its_steps_and_leaves_the_links_as_they_were(
    cluster: Cluster, action: str, parameters: dict[str, Json], subject: str | None
) -> None:
    stage = cluster.stage(action, 0.0 if action == "reset" else 0.6, parameters)
    if subject is None:
        with pytest.raises(NotSupported, match="nobody"):
            make_fault(stage)
        return
    done = Running(stage).over()
    all_steps(done)
    assert done.subject == subject
    assert cluster.links.state().rules == ()
    for asker in (cluster.publisher, cluster.subscriber, cluster.peer):
        asker.answered()
    for party, node in (("publishers", "one"), ("subscribers", "one"), ("one", "two")):
        plane = "inter-node" if party == "one" else "client"
        assert cluster.links.probe(Link(party, node, plane), timeout_s=5.0) is not None


def test_a_stalled_party_hears_nothing_while_the_others_go_on(cluster: Cluster) -> None:
    running = Running(cluster.stage("stall", 1.5, {**BOTH, "of": "publishers"}))
    running.until("confirmed")
    time.sleep(0.05)
    assert cluster.publisher.heard(0.3) == []
    assert fine(cluster.subscriber)
    assert fine(cluster.peer)
    running.over()
    assert fine(cluster.publisher)


def test_a_partition_cuts_nodes_from_each_other_and_not_from_their_clients(cluster: Cluster) -> None:
    running = Running(cluster.stage("partition", 1.5, {"between": ["one", "two"], "how": "stall"}))
    running.until("confirmed")
    time.sleep(0.05)
    assert cluster.peer.heard(0.3) == []
    assert fine(cluster.publisher)
    running.over()
    assert fine(cluster.peer)


def test_latency_is_felt_by_its_party_alone(cluster: Cluster) -> None:
    running = Running(cluster.stage("latency", 1.5, {**BOTH, "of": "subscribers", "add_s": 0.05, "jitter_s": 0.005}))
    running.until("confirmed")
    cluster.subscriber.answered()
    trips = [seconds for word, seconds in cluster.subscriber.heard(0.6) if word == "ok"]
    assert trips
    assert min(trips) >= 0.09
    assert fine(cluster.publisher)
    running.over()


def test_a_cut_party_sees_errors_and_comes_back_by_itself(cluster: Cluster) -> None:
    running = Running(cluster.stage("partition", 1.0, {"between": ["publishers", "one"], "how": "reset"}))
    running.until("confirmed")
    words = {word for word, _ in cluster.publisher.heard(0.4)}
    assert words == {"error"}
    assert fine(cluster.subscriber)
    running.over()
    cluster.publisher.answered()
    assert fine(cluster.publisher)


def test_whoever_comes_is_refused_by_the_system_itself_when_everybody_is_meant(cluster: Cluster) -> None:
    running = Running(cluster.stage("refuse", 0.6, {"of": "everybody", "to": "two"}))
    running.until("confirmed")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port_of(cluster.links.specs, "two", "client")))
    assert fine(cluster.peer)
    running.over()


def test_overlapping_faults_are_each_confirmed_and_healed(cluster: Cluster) -> None:
    slow = Running(cluster.stage("latency", 1.0, {**BOTH, "add_s": 0.02, "jitter_s": 0.0}))
    slow.until("confirmed")
    event = cluster.stage("stall", 0.4, {**BOTH, "of": "publishers"})
    cut = Running(Stage(**{**event.__dict__, "event": TimelineEvent(**{**event.event.__dict__, "index": 4})}))
    all_steps(cut.over())
    all_steps(slow.over())
    assert fine(cluster.publisher)


def test_a_broker_without_a_proxy_cannot_have_its_links_failed(cluster: Cluster) -> None:
    stage = cluster.stage("stall", 1.0, BOTH)
    cast(Any, stage.deployment).links = None
    with pytest.raises(NotSupported, match="no fault proxy stands before target 'cluster'"):
        make_fault(stage)


def test_every_network_fault_is_one_of_links() -> None:
    of_links = {name for name, kind in FAULTS.items() if kind.acts_on == "links"}
    assert of_links == {"latency", "bandwidth", "stall", "reset", "refuse", "half-open", "partition"}
