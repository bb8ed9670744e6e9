"""Live brokers for the whole test session, started on first use and ended by pid."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from crep.harness.brokers.contract import Endpoint
from crep.harness.config.targets import Target
from crep.harness.deployment import Deployment, deploy

pytest_plugins = ["tests.emulator.conformance.collected"]


@pytest.fixture(scope="session")
def kafka_deployment() -> Iterator[Deployment]:
    """One local Kafka, profile quick."""
    yield from _running(Target(name="kafka-test-session", system="kafka", source="local", profile="quick"))


@pytest.fixture(scope="session")
def kafka_endpoint(kafka_deployment: Deployment) -> Endpoint:
    """Where clients reach the session's Kafka."""
    return kafka_deployment.endpoint()


@pytest.fixture(scope="session")
def emulator_deployment() -> Iterator[Deployment]:
    """One Solace emulator."""
    yield from _running(Target(name="solace-test-session", system="solace", source="embedded", profile="quick"))


@pytest.fixture(scope="session")
def emulator_endpoint(emulator_deployment: Deployment) -> Endpoint:
    """Where clients reach the session's emulator."""
    return emulator_deployment.endpoint()


def _running(target: Target) -> Iterator[Deployment]:
    deployment = deploy(target)
    deployment.start(lambda _line: None)
    try:
        yield deployment
    finally:
        deployment.stop()
