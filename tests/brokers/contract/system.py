"""What each part of the contract knows of the system under test: fixtures, and the few facts that differ."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from crep.harness.brokers.contract import Adapter, Admin, Endpoint, MappingFile
from crep.harness.brokers.mapping import load_mapping
from crep.harness.brokers.registry import DEFAULT_MAPPINGS, adapter
from tests.brokers.contract.bench import Bench


class SystemUnderTest:
    """``system`` and the fixtures ``endpoint`` and ``deployment`` come from the subclass that pytest collects."""

    system: str
    settle_quietly_s = 1.0  # long enough that a message that must not come would have come

    @pytest.fixture
    def broker(self) -> Adapter:
        return adapter(self.system)

    @pytest.fixture
    def mapping(self) -> MappingFile:
        return load_mapping(DEFAULT_MAPPINGS[self.system])

    @pytest.fixture
    def admin(self, broker: Adapter, endpoint: Endpoint) -> Iterator[Admin]:
        admin = broker.admin(endpoint)
        yield admin
        admin.close()

    @pytest.fixture
    def bench(self, broker: Adapter, endpoint: Endpoint, admin: Admin, mapping: MappingFile) -> Iterator[Bench]:
        bench = Bench(broker, endpoint, admin, mapping)
        yield bench
        bench.close()

    def small_window(self) -> dict[str, object]:
        """Settings with which a publisher's window is below 3,000 messages."""
        return {}

    def redelivery_flags(self) -> set[int]:
        """Codes of messages that come a second time."""
        raise NotImplementedError

    def unreachable(self) -> tuple[Endpoint, str]:
        """An endpoint where nothing listens, and the address that errors must name."""
        raise NotImplementedError

    def objects_of_nobody(self) -> dict[str, object]:
        """Native objects of a channel that exists nowhere."""
        raise NotImplementedError
