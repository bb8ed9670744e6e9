"""The health check that load balancers and container platforms ask."""

from __future__ import annotations

import httpx
import pytest

from tests.emulator.conformance.address import Address
from tests.emulator.conformance.features import SEMP, feature

pytestmark = pytest.mark.emulator


@feature("health: health check", client=SEMP)
@pytest.mark.parametrize("service", ["guaranteed-active", "direct-active"])
def test_a_broker_that_serves_says_so(address: Address, service: str) -> None:
    if address.health is None:
        pytest.skip("no --health")
    assert httpx.get(f"{address.health}/health-check/{service}").status_code == 200
