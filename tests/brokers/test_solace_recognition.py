"""What counts as a genuine Solace broker: a closed list, the same broker on both addresses, nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from urllib.parse import urlsplit

import httpx
import pytest

from crep.harness.brokers.contract import Endpoint
from crep.harness.brokers.registry import adapter
from crep.harness.brokers.solace import admin
from crep.harness.brokers.solace.facts import PLATFORMS, recognise
from crep.harness.brokers.solace.semp import Semp
from crep.harness.config.targets import SolaceAddress, Target
from crep.harness.deployment import deploy
from crep.harness.proxy import LinkSpec, ProxyProcess


@pytest.mark.parametrize(
    ("platform", "semp_version", "client_seen", "genuineness"),
    [
        ("VMR", "2.49", True, "genuine"),
        ("Appliance", "2.36", True, "genuine"),
        ("VMR", "2.49", False, "emulated"),
        ("VMR", "2.49", None, "emulated"),
        ("VMR", None, True, "emulated"),
        ("VMR", "3.0", True, "emulated"),
        ("vmr", "2.49", True, "emulated"),
        ("VMR ", "2.49", True, "emulated"),
        ("crep-emulator", "2.49", True, "emulated"),
        ("", "2.49", True, "emulated"),
        (None, None, None, "emulated"),
    ],
)
def test_only_a_platform_of_the_closed_list_on_both_addresses_is_genuine(
    platform: str | None, semp_version: str | None, client_seen: bool | None, genuineness: str
) -> None:
    found = recognise(platform, semp_version, client_seen=client_seen)
    assert found.genuineness == genuineness
    assert repr(platform) in found.evidence
    assert (found.product in PLATFORMS.values()) == (genuineness == "genuine")


@pytest.mark.emulator
def test_the_emulator_behind_a_proxy_and_an_address_target_is_still_emulated(emulator_endpoint: Endpoint) -> None:
    with proxy(emulator_endpoint.smf or "") as smf, proxy(emulator_endpoint.semp or "") as semp:
        target = Target(
            name="looks-real",
            system="solace",
            source="address",
            solace=SolaceAddress(smf=f"tcp://{smf}", semp=f"http://{semp}"),
        )
        deployment = deploy(target)
        deployment.start(lambda _line: None)
        endpoint = replace(deployment.endpoint(), admin_password=emulator_endpoint.admin_password)
        control = adapter("solace").admin(endpoint)
        facts = control.facts()
        control.close()
        deployment.stop()
    assert facts.genuineness == "emulated"
    assert facts.product not in PLATFORMS.values()


@pytest.mark.emulator
def test_a_management_address_that_claims_the_product_is_not_believed_about_another_messaging_address(
    emulator_endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def genuine_elsewhere(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("about/api"):
            return httpx.Response(200, json={"data": {"platform": "VMR", "sempVersion": "2.49"}, "meta": {}})
        if "/clients/" in request.url.path:
            missing = {"code": 6, "status": "NOT_FOUND", "description": "no such client"}
            return httpx.Response(400, json={"meta": {"error": missing}})
        return httpx.Response(200, json={"data": {}, "meta": {}})

    monkeypatch.setattr(admin, "_CLIENT_SEEN_WITHIN_S", 1.0)
    semp = Semp(emulator_endpoint, httpx.MockTransport(genuine_elsewhere))
    facts = admin.SolaceAdmin(emulator_endpoint, semp).facts()
    assert facts.genuineness == "emulated"
    assert "list of clients" in facts.recognised_by


@contextmanager
def proxy(url: str) -> Iterator[str]:
    """Forwards one loopback port to where ``url`` points; yields ``host:port``."""
    there = urlsplit(url)
    forwarding = ProxyProcess()
    try:
        [link] = forwarding.start([LinkSpec("broker", "client", 0, (there.hostname or "", there.port or 0))])
        yield f"127.0.0.1:{link.listen}"
    finally:
        forwarding.stop()
