"""How far a consumer group is behind, asked by a consumer that never joins it.

Not by the admin API: its requests to a group's coordinator end the whole process with a failed assertion when that
connection drops in the meantime (librdkafka issue 4605), and this is asked all through a run in which brokers are
killed.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from crep.harness.brokers.contract import Endpoint
from crep.harness.brokers.kafka.client import ConnectionWatch, connection, unreachable

_REQUEST_S = 5.0
_NO_OFFSET = -1001  # librdkafka's OFFSET_INVALID: the group has committed nothing there
_MOVING = frozenset(
    {
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError._WAIT_COORD,
    }
)


@dataclass(frozen=True)
class Lag:
    """Next offset to be written and next offset to be read, by partition number."""

    ends: tuple[int, ...]
    committed: tuple[int, ...]

    @property
    def messages(self) -> int:
        """What the group has still to settle."""
        return sum(max(0, end - done) for end, done in zip(self.ends, self.committed, strict=True))


class GroupWatch:
    """Watches one group on one topic."""

    def __init__(self, endpoint: Endpoint, group: str, topic: str, partitions: int) -> None:
        self._endpoint = endpoint
        self._watch = ConnectionWatch()
        self._places = [TopicPartition(topic, number) for number in range(partitions)]
        properties = connection(endpoint, "crep-lag") | {"group.id": group, "enable.auto.commit": False}
        self._consumer = Consumer(properties | self._watch.options())

    def lag(self) -> Lag:
        """Committed offsets first, then the ends: a group that moves on in between never shows less than it has.

        Raises:
            BrokerError: no answer within the time limit.
        """
        deadline = time.monotonic() + _REQUEST_S
        while True:
            try:
                return self._ask()
            except KafkaException as error:
                if error.args[0].code() not in _MOVING or time.monotonic() > deadline:
                    raise unreachable(self._endpoint, error, self._watch) from error
            time.sleep(0.1)

    def _ask(self) -> Lag:
        committed = {}
        for place in self._consumer.committed(self._places, timeout=_REQUEST_S):
            if place.error is not None:
                raise KafkaException(place.error)
            committed[place.partition] = place.offset
        bounds = [self._consumer.get_watermark_offsets(p, timeout=_REQUEST_S, cached=False) for p in self._places]
        return Lag(
            ends=tuple(high for _low, high in bounds),
            committed=tuple(
                low if committed[place.partition] == _NO_OFFSET else committed[place.partition]
                for place, (low, _high) in zip(self._places, bounds, strict=True)
            ),
        )

    def close(self) -> None:
        """Release the client; it is in no group."""
        self._consumer.close()
