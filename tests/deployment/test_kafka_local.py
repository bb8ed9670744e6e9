"""A real Kafka on this machine: started, killed, started again, ended."""

from __future__ import annotations

import os
import time

import pytest

from crep.harness.deployment import Deployment

pytestmark = pytest.mark.kafka


def test_a_started_kafka_answers_its_protocol(kafka_deployment: Deployment) -> None:
    node = kafka_deployment.nodes[0]
    before = time.monotonic()
    assert kafka_deployment.probe_node(node)
    assert time.monotonic() - before < 2
    assert kafka_deployment.node_pid(node) is not None
    os.kill(kafka_deployment.node_pid(node) or 0, 0)
