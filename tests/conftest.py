"""Live brokers for the whole test session, started on first use and ended by pid."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from crep.harness.brokers.contract import Endpoint
from crep.harness.config.targets import Target
from crep.harness.deployment import Deployment, deploy

pytest_plugins = ["tests.emulator.conformance.collected"]


_LONGEST = (
    "end_to_end/test_chaos",
    "end_to_end/test_cluster",
    "enrichment/test_journey",
    "end_to_end/test_clients",
    "end_to_end/",
    "enrichment/",
    "method/",
    "deployment/",
    "faults/",
    "runner/",
    "workers/",
    "brokers/",
    "replay/",
)
"""Files and folders in the order in which processes take them: one that takes minutes must not begin as the last."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what takes long first; within a file nothing moves."""
    here = Path(__file__).parent

    def turn(item: pytest.Item) -> int:
        name = item.path.relative_to(here).as_posix() if item.path.is_relative_to(here) else ""
        return next((turn for turn, beginning in enumerate(_LONGEST) if name.startswith(beginning)), len(_LONGEST))

    items.sort(key=turn)


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
