from __future__ import annotations

import pytest

from crep.harness.brokers.contract import REDELIVERED_YES, Endpoint
from crep.harness.deployment import Deployment
from tests.brokers.contract.suite import BrokerContract


@pytest.mark.emulator
class TestSolace(BrokerContract):
    system = "solace"

    @pytest.fixture
    def endpoint(self, emulator_endpoint: Endpoint) -> Endpoint:
        return emulator_endpoint

    @pytest.fixture
    def deployment(self, emulator_deployment: Deployment) -> Deployment:
        return emulator_deployment

    def redelivery_flags(self) -> set[int]:
        return {REDELIVERED_YES}

    def unreachable(self) -> tuple[Endpoint, str]:
        return Endpoint("solace", "nowhere", smf="tcp://127.0.0.1:9", semp="http://127.0.0.1:9"), "127.0.0.1:9"

    def objects_of_nobody(self) -> dict[str, object]:
        return {"topic_prefix": "crep/nobody", "queues": {}, "direct": {}, "key_property": None}
