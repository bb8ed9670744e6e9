"""Look into a reader's backlog: read from its committed offsets to the end with a consumer that does not join."""

from __future__ import annotations

import time
from collections.abc import Sequence

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka import Message as KafkaMessage

from crep.harness.brokers.contract import Endpoint, Message, NotSupported, Provisioned
from crep.harness.brokers.dead_letters import DeadLetter, DeadLetters
from crep.harness.brokers.kafka.client import ConnectionWatch, connection, unreachable
from crep.harness.brokers.kafka.dead_letters import DELIVERIES, REASON
from crep.harness.brokers.kafka.locate import locate
from crep.harness.brokers.kafka.messages import from_kafka
from crep.harness.brokers.locating import Location, Sought, carries

_REQUEST_S = 5.0
_SCAN_S = 30.0


class KafkaInspect:
    """Reads without joining the reader's group: nothing moves there."""

    def __init__(self, endpoint: Endpoint, provisioned: Provisioned) -> None:
        self._endpoint, self._provisioned = endpoint, provisioned

    def find(self, channel: str, reader: str, identity: bytes, limit: int = 100_000) -> Message | None:
        """The first uncommitted message whose body or headers contain ``identity``.

        Raises:
            NotSupported: an at-most-once reader without a group has no backlog.
            BrokerError: the cluster does not answer.
        """
        layout = self._provisioned.objects[channel]
        group = layout["groups"].get(reader)
        if group is None:
            raise NotSupported(f"reader {channel}.{reader} keeps no offsets: nothing is stored for it")
        watch = ConnectionWatch()
        consumer = Consumer(
            connection(self._endpoint, "crep-inspect")
            | {"group.id": group, "enable.auto.commit": False}
            | watch.options()
        )
        try:
            left = self._remaining(consumer, layout["topic"], layout["partitions"])
            consumer.assign([TopicPartition(layout["topic"], number, start) for number, (start, _) in left.items()])
            return self._scan(consumer, left, identity, limit, layout["topic_header"])
        except KafkaException as error:
            raise unreachable(self._endpoint, error, watch) from error
        finally:
            consumer.close()

    def dead_letters(self, channel: str, reader: str, limit: int, stamp_property: str | None) -> DeadLetters:
        """Read the reader's dead letter topic from its beginning to the end that it has now."""
        topic = self._provisioned.objects[channel]["dead_letter_topics"].get(reader)
        if topic is None:
            return DeadLetters(None, (), True, {})
        watch = ConnectionWatch()
        options = {"group.id": f"{topic}-inspect", "enable.auto.commit": False}
        consumer = Consumer(connection(self._endpoint, "crep-inspect") | options | watch.options())
        try:
            place = TopicPartition(topic, 0)
            place.offset, end = consumer.get_watermark_offsets(place, timeout=_REQUEST_S, cached=False)
            consumer.assign([place])
            letters: list[DeadLetter] = []
            position = place.offset
            deadline = time.monotonic() + _SCAN_S
            while position < end and len(letters) < limit and time.monotonic() < deadline:
                raw = consumer.poll(0.5)
                if raw is None or raw.error() is not None:
                    continue
                letters.append(_letter(raw, stamp_property))
                position = raw.offset() + 1
        except KafkaException as error:
            raise unreachable(self._endpoint, error, watch) from error
        finally:
            consumer.close()
        return DeadLetters(topic, tuple(letters), position >= end, {"messages": end - place.offset})

    def locate(self, channel: str, reader: str, sought: Sequence[Sought], within_s: float) -> dict[bytes, Location]:
        """Read the whole log (``locate``). Raises BrokerError: the cluster does not answer."""
        return locate(self._endpoint, self._provisioned.objects[channel], reader, sought, within_s)

    def _remaining(self, consumer: Consumer, topic: str, partitions: int) -> dict[int, tuple[int, int]]:
        """First uncommitted and end offset of each partition that has any left."""
        left = {}
        for place in consumer.committed([TopicPartition(topic, n) for n in range(partitions)], timeout=_REQUEST_S):
            low, end = consumer.get_watermark_offsets(place, timeout=_REQUEST_S, cached=False)
            start = max(low, place.offset)
            if start < end:
                left[place.partition] = (start, end)
        return left

    def _scan(
        self, consumer: Consumer, left: dict[int, tuple[int, int]], identity: bytes, limit: int, topic_header: str
    ) -> Message | None:
        deadline, scanned = time.monotonic() + _SCAN_S, 0
        while left and scanned < limit and time.monotonic() < deadline:
            raw = consumer.poll(0.5)
            if raw is None or raw.error() is not None:
                continue
            scanned += 1
            if _contains(raw, identity):
                return from_kafka(raw, topic_header)
            if raw.partition() in left and raw.offset() + 1 >= left[raw.partition()][1]:
                del left[raw.partition()]
        return None


def _letter(raw: KafkaMessage, stamp_property: str | None) -> DeadLetter:
    headers = dict(raw.headers() or ())
    deliveries = headers.get(DELIVERIES)
    return DeadLetter(
        body=raw.value() or b"",
        stamp=None if stamp_property is None else headers.get(stamp_property) or b"",
        reason=(headers.get(REASON) or b"").decode(errors="replace"),
        deliveries=int(deliveries) if deliveries is not None and deliveries.isdigit() else None,
    )


def _contains(raw: KafkaMessage, identity: bytes) -> bool:
    return carries(identity, raw.value() or b"", [value for _, value in raw.headers() or ()])
