"""Broker settings of a local Kafka: what its topology needs, what a profile adds, what the target adds.

Profile ``default`` adds nothing: every time-out is the vendor's, so its outages may carry a verdict (METHOD rule 18).
Profile ``quick`` is for tests and the demo and is labelled wherever a result of it is shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from crep.harness.config.errors import UsageError
from crep.harness.config.targets import Profile, Setting
from crep.harness.deployment.contract import Role
from crep.harness.deployment.ports import LOOPBACK

AUTHORIZER: Mapping[str, Setting] = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": True,
}
"""Nothing is forbidden by it until a rule is made: so a right can be taken away while a run is under way."""

ONE_NODE: Mapping[str, Setting] = {
    "offsets.topic.replication.factor": 1,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "share.coordinator.state.topic.replication.factor": 1,
    "share.coordinator.state.topic.min.isr": 1,
    "auto.create.topics.enable": False,  # a late client must not bring back a topic that a run has removed
    **AUTHORIZER,
}
"""Internal topics ask for three replicas by default, which one node can never have."""

THREE_NODES: Mapping[str, Setting] = {
    "default.replication.factor": 3,
    "min.insync.replicas": 2,
    "auto.create.topics.enable": False,
    "log.cleaner.dedupe.buffer.size": 8_388_608,  # the default, 128 MB, is a third of these heaps
    **AUTHORIZER,
}
"""What three brokers are run for. Internal topics have three replicas and two in-sync ones by the vendor's defaults."""

PROFILES: Mapping[Profile, Mapping[str, Setting]] = {
    "default": {},
    "quick": {
        # After kill -9 the restarted broker waits until its old session is over: 9 s by default.
        "broker.session.timeout.ms": 3000,
        "broker.heartbeat.interval.ms": 500,
        "group.initial.rebalance.delay.ms": 0,
        "offsets.topic.num.partitions": 4,
        "transaction.state.log.num.partitions": 4,
        "share.coordinator.state.topic.num.partitions": 4,
        "log.cleaner.dedupe.buffer.size": 8_388_608,
        "num.network.threads": 2,
        "num.io.threads": 2,
    },
}

_GARBAGE_COLLECTOR = ("-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35")
JVM: Mapping[Profile, tuple[str, ...]] = {
    # What the vendor's kafka-run-class and kafka-server-start scripts give.
    "default": ("-server", "-Xms1g", "-Xmx1g", *_GARBAGE_COLLECTOR, "-XX:+ExplicitGCInvokesConcurrent"),
    "quick": ("-Xms256m", "-Xmx512m", "-XX:+UseSerialGC"),
}


SMALL_JVM: Mapping[Role, tuple[str, ...]] = {
    "broker": ("-Xms160m", "-Xmx400m", "-XX:+UseSerialGC"),
    "controller": ("-Xms64m", "-Xmx160m", "-XX:+UseSerialGC"),
}
"""Six Java machines have to share one host, in either profile."""

_QUICK_START = "-XX:TieredStopAtLevel=1"  # the second compiler pays for itself after minutes only


def small_jvm(role: Role, profile: Profile) -> tuple[str, ...]:
    """Java's options for one node of a cluster. Controllers are idle, and need no second compiler in any profile."""
    quick = (_QUICK_START,) if profile == "quick" or role == "controller" else ()
    return (*SMALL_JVM[role], *quick)


@dataclass(frozen=True)
class Listener:
    """One listener: the port that the node listens on, and the one that peers are told (a proxy's, or the same)."""

    name: str
    port: int
    told: int


CLIENT, INTERNAL, CONTROLLER = "CLIENT", "INTERNAL", "CONTROLLER"


def owned(
    node_id: int, roles: Sequence[Role], listeners: Sequence[Listener], voters: Mapping[int, int], data: Path
) -> dict[str, Setting]:
    """The settings that crep itself needs to find, link and restart a node. All peers are told 127.0.0.1 only.

    Args:
        node_id: unique in the cluster.
        roles: what the process is.
        listeners: ``CLIENT`` and, where brokers talk to each other, ``INTERNAL`` of a broker; ``CONTROLLER`` of a
            controller.
        voters: node id of every controller and the port at which its peers reach it.
        data: its folder.
    """
    names = [listener.name for listener in listeners]
    # A controller that is no broker tells its peers its address too, and they use it (Kafka 3.9, KIP-853).
    told = [listener for listener in listeners if listener.name != CONTROLLER or "broker" not in roles]
    settings: dict[str, Setting] = {
        "process.roles": ",".join(roles),
        "node.id": node_id,
        "controller.quorum.voters": ",".join(f"{voter}@{LOOPBACK}:{port}" for voter, port in voters.items()),
        "controller.listener.names": CONTROLLER,
        "listeners": ",".join(f"{listener.name}://{LOOPBACK}:{listener.port}" for listener in listeners),
        "advertised.listeners": ",".join(f"{listener.name}://{LOOPBACK}:{listener.told}" for listener in told),
        "listener.security.protocol.map": ",".join(f"{name}:PLAINTEXT" for name in dict.fromkeys([*names, CONTROLLER])),
        "log.dirs": str(data),
    }
    if "broker" not in roles:
        # Controllers have to elect one of them before any has read the rules, and only a super user may then (KIP-801).
        # Clients are judged by the brokers, where nobody is one.
        settings["super.users"] = "User:ANONYMOUS"
    else:
        settings["inter.broker.listener.name"] = INTERNAL if INTERNAL in names else CLIENT
    return settings


def merge(
    target: str,
    own: Mapping[str, Setting],
    topology: Mapping[str, Setting],
    profile: Profile,
    asked: Mapping[str, Setting],
) -> dict[str, Setting]:
    """The effective settings; later layers win (topology, profile, asked), except that nobody overrides ``own``.

    Raises:
        UsageError: the target sets one of ``own``.
    """
    taken = sorted(own.keys() & asked.keys())
    if taken:
        raise UsageError(
            f"target {target!r}: crep sets {', '.join(taken)} itself",
            hint="remove it from the target's 'settings:' (the client port is 'port:')",
        )
    return {**topology, **PROFILES[profile], **asked, **own}


def properties(settings: Mapping[str, Setting]) -> str:
    """The settings as a Java properties file (java.util.Properties: backslash escapes, Latin-1)."""
    return "".join(f"{key}={_value(settings[key])}\n" for key in sorted(settings))


def _value(value: Setting) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    escaped = text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    return "".join(char if char.isascii() else f"\\u{ord(char):04x}" for char in escaped)
