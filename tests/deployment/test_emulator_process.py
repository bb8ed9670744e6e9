"""The Solace emulator as a local process: the real one."""

from __future__ import annotations

import time

import httpx
import pytest

from crep.harness.brokers.contract import Endpoint
from crep.harness.config.targets import Target
from crep.harness.deployment import DeploymentError, deploy

pytestmark = pytest.mark.emulator

NODE = "solace-1"


def target(port: int = 0) -> Target:
    return Target(name="solace-emulator", system="solace", source="embedded", port=port)


def silent(_line: str) -> None:
    """A progress that nobody reads."""


def test_the_endpoint_is_where_the_emulator_answers(emulator_endpoint: Endpoint) -> None:
    login = (emulator_endpoint.admin_username or "", emulator_endpoint.admin_password)
    answer = httpx.get(f"{emulator_endpoint.semp}/SEMP/v2/config/about/api", auth=login, timeout=10)
    assert answer.status_code == 200


def test_configuration_survives_a_kill_and_the_endpoint_stays() -> None:
    deployment = deploy(target())
    deployment.start(silent)
    try:
        endpoint = deployment.endpoint()
        login = (endpoint.admin_username or "", endpoint.admin_password)
        queues = f"{endpoint.semp}/SEMP/v2/config/msgVpns/default/queues"
        made = httpx.post(queues, json={"queueName": "kept"}, auth=login, timeout=10)
        assert made.status_code == 200, made.text
        deployment.kill_node(NODE)
        assert not deployment.probe_node(NODE)
        deployment.start_node(NODE)
        deadline = time.monotonic() + 20
        while not deployment.probe_node(NODE) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert deployment.endpoint() == endpoint
        assert httpx.get(f"{queues}/kept", auth=login, timeout=10).status_code == 200
    finally:
        deployment.stop()


def test_a_second_emulator_on_the_same_port_is_refused_with_the_port(emulator_endpoint: Endpoint) -> None:
    port = int((emulator_endpoint.smf or "").rpartition(":")[2])
    with pytest.raises(DeploymentError, match=f"port {port}"):
        deploy(target(port)).start(silent)
