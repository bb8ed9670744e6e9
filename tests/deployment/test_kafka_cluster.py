"""Three real brokers and three controllers, started once: who leads, who takes over, and that no link goes around."""

from __future__ import annotations

import json
import os
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer

from crep.harness.brokers.contract import ChannelSpec, Durability, Endpoint, NotSupported, Provisioned, ReaderSpec
from crep.harness.brokers.kafka.admin import KafkaAdmin
from crep.harness.brokers.mapping import load_mapping
from crep.harness.config.targets import Target
from crep.harness.deployment import Deployment, DeploymentError, UnknownNode
from crep.harness.deployment.kafka import KafkaClusterProduct
from crep.harness.deployment.local import LocalDeployment
from crep.harness.processes import ProcessIdentity
from tests.brokers.contract.administration import Administration
from tests.brokers.contract.publishing import Publishing
from tests.brokers.contract.test_kafka import Kafka

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

MAPPING = load_mapping("kafka/topic-per-channel")
BROKERS = ("kafka-1", "kafka-2", "kafka-3")
CONTROLLERS = ("controller-1", "controller-2", "controller-3")
LISTENING, ESTABLISHED = "0A", "01"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalDeployment]:
    target = Target(name="three", system="kafka", source="local", topology="three-nodes", profile="quick")
    deployment = LocalDeployment(target, KafkaClusterProduct(), tmp_path_factory.mktemp("three"))
    told: list[str] = []
    deployment.start(told.append)
    assert any("formatting the storage of 6 nodes" in line for line in told)
    assert any("waiting until kafka-3" in line for line in told)
    pids = [deployment.node_pid(node) for node in deployment.nodes]
    yield deployment
    deployment.stop()
    assert not [pid for pid in pids if pid is not None and ProcessIdentity.of(pid) is not None]


@pytest.fixture(scope="module")
def admin(cluster: LocalDeployment) -> Iterator[KafkaAdmin]:
    administrator = KafkaAdmin(cluster.endpoint())
    yield administrator
    administrator.close()


def channel(copies: int) -> ChannelSpec:
    reader = ReaderSpec("billing", "group", 1, "at-least-once")
    return ChannelSpec("orders", ("a/b",), 10, (reader,), Durability(copies, "memory"))


@pytest.fixture(scope="module")
def provisioned(admin: KafkaAdmin) -> Provisioned:
    return admin.provision("three1", [channel(2)], MAPPING)


def eventually(what: Callable[[], bool], within_s: float = 60.0) -> None:
    """A cluster of six processes on a busy machine takes its time."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline and not what():
        time.sleep(0.1)
    assert what()


def publish(cluster: LocalDeployment, provisioned: Provisioned, count: int = 60, timeout_s: float = 60) -> list[object]:
    """Publish to every partition with acks=all; the error of each message, None for an acknowledged one."""
    outcomes: list[object] = []
    settings = {"bootstrap.servers": cluster.endpoint().bootstrap, "acks": "all", "log_level": 0, "linger.ms": 5}
    producer = Producer(settings | {"enable.idempotence": True, "delivery.timeout.ms": int(timeout_s * 1000)})
    topic = provisioned.objects["orders"]["topic"]
    for number in range(count):
        producer.produce(
            topic,
            b"message",
            partition=number % provisioned.objects["orders"]["partitions"],
            on_delivery=lambda error, _message: outcomes.append(error),
        )
    producer.flush(timeout_s + 10)
    return outcomes


def sockets(pid: int) -> set[str]:
    found = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            name = entry.readlink().name
        except FileNotFoundError:
            continue
        if name.startswith("socket:["):
            found.add(name[8:-1])
    return found


def remote_ports(pid: int) -> set[int]:
    """Ports on this machine that the process has connected to (proc(5): /proc/net/tcp, tcp6 with mapped addresses)."""
    mine, found = sockets(pid), set()
    listening = set()
    rows = []
    for table in ("tcp", "tcp6"):
        rows += [line.split() for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]]
    for row in rows:
        if row[3] == LISTENING and row[9] in mine:
            listening.add(int(row[1].rpartition(":")[2], 16))
    for row in rows:
        local, remote = (int(row[place].rpartition(":")[2], 16) for place in (1, 2))
        if row[3] == ESTABLISHED and row[9] in mine and local not in listening:
            found.add(remote)
    return found


class TestContract(Kafka, Administration, Publishing):
    """What every adapter keeps, kept on several brokers too."""

    client = "native"

    @pytest.fixture
    def endpoint(self, cluster: LocalDeployment) -> Endpoint:  # type: ignore[override]
        return cluster.endpoint()

    @pytest.fixture
    def deployment(self, cluster: LocalDeployment) -> Deployment:  # type: ignore[override]
        return cluster


del Kafka, Administration, Publishing  # or pytest would collect them here once more


def test_six_nodes_have_one_role_each_and_are_found_by_the_brokers_own_name(cluster: LocalDeployment) -> None:
    assert set(cluster.nodes) == {*BROKERS, *CONTROLLERS}
    assert all(cluster.roles(node) == {"broker"} for node in BROKERS)
    assert all(cluster.roles(node) == {"controller"} for node in CONTROLLERS)
    assert cluster.node_of("2") == "kafka-2"
    assert cluster.node_of("103") == "controller-3"
    with pytest.raises(UnknownNode, match=r"'7'.*kafka-1 \(1\)"):
        cluster.node_of("7")
    assert all(cluster.probe_node(node) for node in cluster.nodes)


def test_every_node_says_which_party_it_is(cluster: LocalDeployment) -> None:
    for node in cluster.nodes:
        environment = Path(f"/proc/{cluster.node_pid(node)}/environ").read_bytes().split(b"\0")
        assert f"CREP_PARTY={node}".encode() in environment


def test_no_node_reaches_another_one_around_the_proxy(cluster: LocalDeployment, provisioned: Provisioned) -> None:
    assert publish(cluster, provisioned) == [None] * 60
    assert cluster.prepared is not None
    told = {link.listen for link in cluster.prepared.links}
    real = {link.to[1] for link in cluster.prepared.links}
    for node in cluster.nodes:
        pid = cluster.node_pid(node)
        assert pid is not None
        reached = remote_ports(pid)
        assert reached & told
        assert not reached & real, f"{node} goes around the proxy"


def test_the_proxy_knows_which_node_is_behind_each_connection(
    cluster: LocalDeployment, provisioned: Provisioned
) -> None:
    assert publish(cluster, provisioned) == [None] * 60
    assert cluster.links is not None
    seen = {(state.link.party, state.link.plane) for state in cluster.links.state().links if state.total}
    assert {(node, "inter-node") for node in BROKERS} <= seen
    assert {(node, "quorum") for node in BROKERS} <= seen
    assert ("others", "client") in seen  # this test is no party
    assert not {party for party, plane in seen if plane == "inter-node"} - set(BROKERS)


def test_the_class_counts_in_sync_replicas_and_the_cluster_keeps_one_more(
    admin: KafkaAdmin, provisioned: Provisioned
) -> None:
    orders = provisioned.objects["orders"]
    assert provisioned.durability["orders"] == {"copies": 2, "sync": "memory", "known": "configured"}
    assert (orders["replication_factor"], orders["configuration"]["min.insync.replicas"]) == (3, "2")
    one = admin.provision("three2", [channel(1)], MAPPING)
    assert one.objects["orders"]["replication_factor"] == 3, "the cluster's default, for any class"
    assert one.objects["orders"]["configuration"]["min.insync.replicas"] == "1"
    admin.remove(one)
    with pytest.raises(NotSupported, match=r"4 copies.*3 broker"):
        admin.provision("three3", [channel(4)], MAPPING)


def test_a_publisher_that_the_leader_alone_acknowledges_has_one_copy_and_cannot_have_two(admin: KafkaAdmin) -> None:
    by_leader = load_mapping("kafka/leader-acknowledges")
    with pytest.raises(NotSupported, match="acks=1"):
        admin.provision("three4", [channel(2)], by_leader)
    made = admin.provision("three5", [channel(1)], by_leader)
    assert made.durability["orders"]["copies"] == 1
    assert made.objects["orders"]["replication_factor"] == 3
    admin.remove(made)


def test_the_description_names_the_topology_the_settings_of_each_node_and_the_proxy(cluster: LocalDeployment) -> None:
    words = json.loads(json.dumps(cluster.describe()))
    assert words["topology"] == "three brokers and three controllers, a process each"
    assert words["settings"]["three nodes"]["min.insync.replicas"] == 2
    assert words["settings"]["crep"]["controller-2"]["node.id"] == 102
    assert words["nodes"]["kafka-1"]["roles"] == ["broker"]
    assert len(words["proxy"]) == 9
    assert "-Xmx400m" in words["java"]["options"]["broker"]


def test_when_the_leader_is_killed_another_one_leads_and_what_is_acknowledged_is_kept(
    cluster: LocalDeployment, admin: KafkaAdmin, provisioned: Provisioned
) -> None:
    eventually(lambda: admin.in_step(provisioned))
    leader, followers = admin.leader(provisioned, "orders"), admin.followers(provisioned, "orders")
    assert sorted([leader, *followers]) == ["1", "2", "3"]
    node = cluster.node_of(leader)
    spare = admin.provision("three6", [channel(2)], MAPPING)
    cluster.kill_node(node)
    assert not cluster.probe_node(node)
    admin.remove(spare)  # whichever broker is asked
    eventually(lambda: admin.leader(provisioned, "orders") != leader)
    assert admin.leader(provisioned, "orders") in followers
    assert publish(cluster, provisioned) == [None] * 60, "two of three in sync are enough"
    assert not admin.in_step(provisioned)
    cluster.start_node(node)
    eventually(lambda: admin.in_step(provisioned))
    assert admin.followers(provisioned, "orders")[0] != admin.leader(provisioned, "orders")


def test_when_the_controller_is_stopped_another_one_leads_the_quorum(
    cluster: LocalDeployment, admin: KafkaAdmin
) -> None:
    before = admin.controller()
    assert before is not None
    node = cluster.node_of(before)
    assert cluster.roles(node) == {"controller"}
    asked = time.monotonic_ns()
    assert asked <= cluster.stop_node(node, 20) <= time.monotonic_ns()
    assert cluster.node_pid(node) is None
    for act in (
        lambda: cluster.stop_node(node, 1),
        lambda: cluster.pause_node(node),
        lambda: cluster.resume_node(node),
        lambda: cluster.limit_files(node, None),
    ):
        with pytest.raises(DeploymentError, match=f"{node} is not running"):
            act()
    eventually(lambda: admin.controller() not in {before, None})
    cluster.start_node(node)
    eventually(lambda: cluster.probe_node(node))


def test_a_paused_broker_is_silent_and_goes_on_as_if_nothing_had_been(cluster: LocalDeployment) -> None:
    pid = cluster.node_pid("kafka-2")
    cluster.pause_node("kafka-2")
    assert not cluster.probe_node("kafka-2")
    assert cluster.node_pid("kafka-2") == pid
    cluster.resume_node("kafka-2")
    eventually(lambda: cluster.probe_node("kafka-2"))


def test_files_of_a_broker_can_be_limited_while_it_runs_and_the_limit_lifted(cluster: LocalDeployment) -> None:
    pid = cluster.node_pid("kafka-3")
    assert pid is not None
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    cluster.limit_files("kafka-3", 1 << 30)
    assert resource.prlimit(pid, resource.RLIMIT_FSIZE) == (1 << 30, before[1])
    cluster.limit_files("kafka-3", None)
    assert resource.prlimit(pid, resource.RLIMIT_FSIZE) == (before[1], before[1])
    os.kill(pid, 0)
