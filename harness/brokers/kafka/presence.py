"""Before a stream flows: the cluster answers, and the topics that it is to read are there."""

from __future__ import annotations

import time
from collections.abc import Collection

from confluent_kafka import Consumer, KafkaException, Producer

from crep.harness.brokers.contract import BrokerError, Endpoint
from crep.harness.brokers.kafka.client import CONNECT_TIMEOUT_S, ConnectionWatch, unreachable


def await_cluster(
    client: Consumer | Producer, endpoint: Endpoint, watch: ConnectionWatch, topics: Collection[str] = ()
) -> None:
    """Wait for the cluster, and for topics that may have been created just now.

    Raises:
        BrokerError: no answer within 10 s, the login was refused, or a topic is not there.
    """
    deadline = time.monotonic() + CONNECT_TIMEOUT_S
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
        if time.monotonic() > deadline:
            raise BrokerError(
                f"Kafka at {endpoint.bootstrap} has no topic {', '.join(map(repr, missing))}",
                hint="create it, or correct the name of the source's topic",
            )
        time.sleep(0.1)
