"""Broker settings of a local Kafka: what one node on the loopback needs, what a profile adds, what the target adds.

Profile ``default`` adds nothing: every time-out is the vendor's, so its outages may carry a verdict (METHOD rule 18).
Profile ``quick`` is for tests and the demo and is labelled wherever a result of it is shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from crep.harness.config.errors import UsageError
from crep.harness.config.targets import Profile, Setting
from crep.harness.deployment.ports import LOOPBACK

ONE_NODE: Mapping[str, Setting] = {
    "offsets.topic.replication.factor": 1,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "share.coordinator.state.topic.replication.factor": 1,
    "share.coordinator.state.topic.min.isr": 1,
    "auto.create.topics.enable": False,  # a late client must not bring back a topic that a run has removed
}
"""Internal topics ask for three replicas by default, which one node can never have."""

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


def owned(node_id: int, client_port: int, controller_port: int, data: Path) -> dict[str, Setting]:
    """The settings that crep itself needs to find and restart the node. Clients are told 127.0.0.1 and nothing else."""
    return {
        "process.roles": "broker,controller",
        "node.id": node_id,
        "controller.quorum.voters": f"{node_id}@{LOOPBACK}:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "CLIENT",
        "listeners": f"CLIENT://{LOOPBACK}:{client_port},CONTROLLER://{LOOPBACK}:{controller_port}",
        "advertised.listeners": f"CLIENT://{LOOPBACK}:{client_port}",
        "listener.security.protocol.map": "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(data),
    }


def merge(
    target: str, own: Mapping[str, Setting], profile: Profile, asked: Mapping[str, Setting]
) -> dict[str, Setting]:
    """The effective settings; later layers win, except that nobody overrides ``own``.

    Raises:
        UsageError: the target sets one of ``own``.
    """
    taken = sorted(own.keys() & asked.keys())
    if taken:
        raise UsageError(
            f"target {target!r}: crep sets {', '.join(taken)} itself",
            hint="remove it from the target's 'settings:' (the client port is 'port:')",
        )
    return {**ONE_NODE, **PROFILES[profile], **asked, **own}


def properties(settings: Mapping[str, Setting]) -> str:
    """The settings as a Java properties file (java.util.Properties: backslash escapes, Latin-1)."""
    return "".join(f"{key}={_value(settings[key])}\n" for key in sorted(settings))


def _value(value: Setting) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    escaped = text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    return "".join(char if char.isascii() else f"\\u{ord(char):04x}" for char in escaped)
