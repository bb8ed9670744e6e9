"""Look for lost messages in the log itself: read every partition by a consumer that belongs to no group."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from crep.harness.brokers.contract import Endpoint, Json
from crep.harness.brokers.kafka.client import ConnectionWatch, connection, unreachable
from crep.harness.brokers.kafka.stored import PartitionLog, TopicLog
from crep.harness.brokers.locating import OWNER_BYTES, Location, Sought, identity_of

_REQUEST_S = 5.0
_BATCH = 2000


def locate(
    endpoint: Endpoint, layout: Json, reader: str, sought: Sequence[Sought], within_s: float
) -> dict[bytes, Location]:
    """Where each message is, by identity.

    Raises:
        BrokerError: the cluster does not answer.
    """
    deadline = time.monotonic() + within_s
    watch = ConnectionWatch()
    consumer = Consumer(
        connection(endpoint, "crep-locate")
        | {
            "group.id": f"crep-locate-{uuid.uuid4().hex}",  # asked for by the library; nothing is committed to it
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
            "isolation.level": "read_uncommitted",
        }
        | watch.options()
    )
    try:
        owners = frozenset(one.owner for one in sought)
        dead_topic = layout["dead_letter_topics"].get(reader)
        log = _read(consumer, layout["topic"], layout["partitions"], owners, deadline)
        dead = None if dead_topic is None else _read(consumer, dead_topic, 1, owners, deadline)
    except KafkaException as error:
        raise unreachable(endpoint, error, watch) from error
    finally:
        consumer.close()
    committed = _committed(endpoint, layout, reader, watch)
    replicas = int(layout.get("replication_factor", 1))
    topic = TopicLog(layout["topic"], replicas, log[0], log[1])
    letters = None if dead is None or dead_topic is None else TopicLog(dead_topic, replicas, dead[0], dead[1])
    return {one.identity: _place(one, topic, letters, committed) for one in sought}


def _place(one: Sought, topic: TopicLog, letters: TopicLog | None, committed: dict[int, int]) -> Location:
    found = None if letters is None else letters.find(one)
    if letters is not None and found is not None:
        return Location("dead-lettered", f"{letters.topic}[{found[0]}] offset {found[1].offset}")
    found = topic.find(one)
    if found is None:
        if not topic.whole or (letters is not None and not letters.whole):
            return Location("not-looked-for", topic.topic, "the log could not be read to its end in time")
        return topic.missing(one)
    number, record = found
    where = f"{topic.topic}[{number}] offset {record.offset}"
    passed = committed.get(number)
    if passed is None:
        return Location("stored", where)
    where = f"{where}; the reader has committed up to {passed}"
    if passed > record.offset:
        return Location("stored", where, "the reader committed past it before it was processed")
    return Location("stored", where, "the reader has not committed so far")


def _read(
    consumer: Consumer, topic: str, partitions: int, owners: frozenset[bytes], deadline: float
) -> tuple[dict[int, PartitionLog], dict[int, int]]:
    """Every partition, and the partition of each key; partitions that were not read to their end say so."""
    logs: dict[int, PartitionLog] = {}
    places: dict[int, int] = {}
    for number in range(partitions):
        low, end = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=_REQUEST_S, cached=False)
        logs[number] = PartitionLog(low, end, whole=low >= end)
    consumer.assign([TopicPartition(topic, number, log.start) for number, log in logs.items() if not log.whole])
    while time.monotonic() < deadline and not all(log.whole for log in logs.values()):
        for raw in consumer.consume(_BATCH, 0.5):
            log = logs[raw.partition()]
            failure = raw.error()
            if failure is not None:
                log.whole |= failure.code() == KafkaError._PARTITION_EOF
                continue
            body, headers = raw.value() or b"", raw.headers()
            identity = identity_of(owners, body, () if not headers else [value for _, value in headers])
            if identity is not None:
                log.add(OWNER_BYTES, identity, raw.offset(), raw.leader_epoch())
                places[int.from_bytes(raw.key() or b"", "big")] = raw.partition()
            log.whole |= raw.offset() + 1 >= log.end
    consumer.unassign()
    return logs, places


def _committed(endpoint: Endpoint, layout: Json, reader: str, watch: ConnectionWatch) -> dict[int, int]:
    """The reader's committed offset by partition; empty where it keeps none. Asking does not join its group."""
    group = layout["groups"].get(reader)
    if group is None:
        return {}
    properties = connection(endpoint, "crep-locate") | {"group.id": group, "enable.auto.commit": False}
    consumer = Consumer(properties | watch.options())
    try:
        asked = [TopicPartition(layout["topic"], number) for number in range(layout["partitions"])]
        found = consumer.committed(asked, timeout=_REQUEST_S)
        return {place.partition: place.offset for place in found if place.offset >= 0}
    except KafkaException as error:
        raise unreachable(endpoint, error, watch) from error
    finally:
        consumer.close()
