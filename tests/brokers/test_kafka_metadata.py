"""A cluster that starts answers before it knows its brokers: that is no cluster of zero brokers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from crep.harness.brokers.contract import BrokerError, Endpoint
from crep.harness.brokers.kafka.admin import KafkaAdmin


class Starting:
    """A client of a cluster whose broker registers after so many answers."""

    def __init__(self, answers_without: int) -> None:
        self._left = answers_without

    def list_topics(self, timeout: float) -> Any:
        self._left -= 1
        return SimpleNamespace(brokers={1: "broker"} if self._left < 0 else {})

    def poll(self, timeout: float) -> int:
        return 0


def admin_of(client: Starting) -> KafkaAdmin:
    admin = KafkaAdmin(Endpoint("kafka", "starting", bootstrap="127.0.0.1:9"))
    admin._client = client  # type: ignore[assignment]
    return admin


def test_a_cluster_that_knows_no_broker_yet_is_waited_for() -> None:
    assert len(admin_of(Starting(3))._metadata(10.0).brokers) == 1


def test_a_cluster_that_never_knows_one_is_unreachable_and_says_why() -> None:
    with pytest.raises(BrokerError, match="no broker of the cluster is ready"):
        admin_of(Starting(10_000))._metadata(0.3)
