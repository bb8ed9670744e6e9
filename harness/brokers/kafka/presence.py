"""Before a stream flows: the cluster answers, and the topics that it is to read are there."""

from __future__ import annotations

import time
from collections.abc import Collection

from confluent_kafka import Consumer, KafkaException, Producer

from crep.harness.brokers.contract import BrokerError, Endpoint
from crep.harness.brokers.kafka.client import CONNECT_TIMEOUT_S, ConnectionWatch, unreachable

_MOST_NAMED = 5


def await_cluster(
    client: Consumer | Producer,
    endpoint: Endpoint,
    watch: ConnectionWatch,
    topics: Collection[str] = (),
    topics_within_s: float = CONNECT_TIMEOUT_S,
) -> None:
    """Wait for the cluster, and for topics that may have been created just now.

    Raises:
        BrokerError: no answer within 10 s, the login was refused, or a topic is not there ``topics_within_s`` after
            the first answer (10 s after the call at the latest).
    """
    deadline = time.monotonic() + CONNECT_TIMEOUT_S
    topics_until: float | None = None
    while True:
        try:
            known = client.list_topics(timeout=1.0).topics
        except KafkaException as error:
            if isinstance(client, Producer):
                client.poll(0)  # serves the callback by which a refused login is told
            if watch.refused or time.monotonic() > deadline:
                raise unreachable(endpoint, error, watch) from error
            continue
        missing = [topic for topic in topics if topic not in known]
        if not missing:
            return
        now = time.monotonic()
        topics_until = topics_until or min(deadline, now + topics_within_s)
        if now > topics_until:
            more = f" and {len(missing) - _MOST_NAMED} more" if missing[_MOST_NAMED:] else ""
            raise BrokerError(
                f"Kafka at {endpoint.bootstrap} has no topic {', '.join(map(repr, missing[:_MOST_NAMED]))}{more}",
                hint="create it, or correct its name",
            )
        time.sleep(0.1)
