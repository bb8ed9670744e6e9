"""Recognition of the product and the closed table of capabilities. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from crep.harness.brokers.contract import Capability, Genuineness
from crep.harness.brokers.kafka.client import is_mock
from crep.harness.brokers.kafka.features import METADATA_VERSION, Features, release_of

# Broker settings that decide an outcome, in the report for every run.
DECIDING = (
    "log.flush.interval.messages",
    "min.insync.replicas",
    "default.replication.factor",
    "unclean.leader.election.enable",
    "replica.lag.time.max.ms",
    "broker.session.timeout.ms",
    "broker.heartbeat.interval.ms",
    "group.initial.rebalance.delay.ms",
    "group.min.session.timeout.ms",
    "group.max.session.timeout.ms",
    "auto.create.topics.enable",
    "offsets.topic.replication.factor",
    "num.network.threads",
    "num.io.threads",
)
LIMITS = ("message.max.bytes", "log.retention.bytes", "log.retention.ms", "max.connections", "queued.max.requests")

# Names that Apache Kafka's own broker configuration has in KRaft mode.
_APACHE_SETTINGS = frozenset({"process.roles", "node.id", "controller.quorum.request.timeout.ms", "log.dirs"})


@dataclass(frozen=True)
class Recognition:
    """What the server is and by which evidence."""

    product: str
    version: str
    genuineness: Genuineness
    evidence: str


def recognise(cluster_id: str | None, features: Features | None, settings: Mapping[str, str] | None) -> Recognition:
    """*Genuine* needs both: the feature ``metadata.version`` and the setting names of Apache Kafka's broker.

    ``features`` and ``settings`` are None where the server did not answer the question.
    """
    if is_mock(cluster_id):
        return Recognition("librdkafka mock cluster", "-", "mock", f"cluster id {cluster_id}")
    level = features.supported.get(METADATA_VERSION) if features is not None else None
    missing = sorted(_APACHE_SETTINGS - set(settings or ()))
    if level is not None and not missing:
        return Recognition(
            "Apache Kafka",
            release_of(level),
            "genuine",
            f"ApiVersions announces {METADATA_VERSION} up to {level}; its broker settings include "
            + ", ".join(sorted(_APACHE_SETTINGS)),
        )
    seen = f"{METADATA_VERSION} {'absent' if level is None else level}"
    lacks = f"; broker settings lack {', '.join(missing)}" if missing else ""
    return Recognition("unrecognised server with the Kafka protocol", "unknown", "emulated", seen + lacks)


CAPABILITIES_OF_KAFKA: dict[str, Capability] = {
    "wildcard-topics": Capability(
        "workaround", "topic name in a header, filter in the client: the whole channel crosses the network"
    ),
    "exclusive-consumer": Capability(
        "workaround", "turn topic: a one-partition topic whose holder in the group reads the whole channel"
    ),
    "consumer-group": Capability("native", "consumer group (classic protocol)"),
    "partitions": Capability("native", "topic partitions, key hash murmur2"),
    "ordered-group": Capability("native", "order per key: one partition has one member at a time"),
    "per-message-acknowledge": Capability(
        "none", "one offset per group and partition; share groups (KIP-932) are not in the client library"
    ),
    "negative-acknowledge": Capability(
        "workaround", "the client hands the message to its reader again, from memory or by seeking back to it"
    ),
    "redelivered-flag": Capability("none", "a consumer group has no delivery count"),
    "dead-letter-queue": Capability(
        "workaround", "dead letter topic: the consuming client counts the deliveries, writes there, then commits"
    ),
    "time-to-live": Capability("none", "retention by topic only"),
    "priority": Capability("none", "a partition is a log: read in order"),
    "selectors": Capability("none", "a consumer reads whole partitions"),
    "native-replay": Capability("native", "seek by offset or time"),
    "transactions": Capability("native", "transactional producer, read_committed"),
    "at-most-once-delivery": Capability("native", "no commits, or commit before processing"),
}
