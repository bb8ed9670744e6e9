"""One emulator per test module, and official clients on it that are disconnected at the end of the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import settings
from solace.messaging.config.solace_properties import authentication_properties as authentication
from solace.messaging.config.solace_properties import service_properties as service
from solace.messaging.config.solace_properties import transport_layer_properties as transport
from solace.messaging.messaging_service import MessagingService

from tests.emulator.process import Emulator, running

settings.register_profile("unhurried", deadline=None)  # the machine may be shared
settings.load_profile("unhurried")


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """An emulator for the module; tests keep apart by their queue names."""
    with running(tmp_path_factory.mktemp("emulator") / "data", "--sync", "always") as started:
        yield started


@pytest.fixture
def connect() -> Iterator[Callable[..., Any]]:
    """Connect an official client: ``connect(emulator, "name", username=…, password=…, vpn=…, **properties)``."""
    services: list[Any] = []

    def connected(
        emulator: Emulator,
        name: str,
        *,
        username: str = "default",
        password: str = "any",  # noqa: S107
        vpn: str = "default",
        host: str | None = None,
        **properties: Any,
    ) -> Any:
        built = (
            MessagingService.builder()
            .from_properties(
                {
                    transport.HOST: host or emulator.ready["smf"],
                    transport.RECONNECTION_ATTEMPTS: 100,
                    transport.RECONNECTION_ATTEMPTS_WAIT_INTERVAL: 100,
                    service.VPN_NAME: vpn,
                    authentication.SCHEME_BASIC_USER_NAME: username,
                    authentication.SCHEME_BASIC_PASSWORD: password,
                    **properties,
                }
            )
            .build(name)
        )
        built.connect()
        services.append(built)
        return built

    yield connected
    for one in services:
        one.disconnect()
