"""The conformance suite: the same tests on the emulator, or on a broker at an address; a summary of what they show.

    pytest tests/emulator/conformance [--solace tcp://HOST:PORT --semp http://HOST:PORT …]

Reading order: ``features`` (what is covered) → ``address`` (which broker) → ``broker`` (what a test has of it) → the
tests, a module for each area → ``collected`` (what they showed) → ``summary`` (pure). An assumption that nobody has
verified is looked at by ``observe``: it fails on the emulator when it does not hold, and is written down as a
difference on any other broker.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest
from solace.messaging.config.solace_properties import authentication_properties as authentication
from solace.messaging.config.solace_properties import service_properties as service
from solace.messaging.config.solace_properties import transport_layer_properties as transport
from solace.messaging.config.solace_properties import transport_layer_security_properties as tls
from solace.messaging.messaging_service import MessagingService

from tests.emulator.certificates import Authority
from tests.emulator.conformance import collected
from tests.emulator.conformance.address import Address, Unusable, add_options, given, identified
from tests.emulator.conformance.broker import PASSWORD, Broker
from tests.emulator.conformance.features import CLIENTS, misnamed
from tests.emulator.conformance.relay import Relay
from tests.emulator.conformance.summary import Observation, Outcome, Result
from tests.emulator.process import running

ADDRESS = pytest.StashKey[Address | None]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """See to it that the broker answers before any test runs."""
    config.addinivalue_line("markers", "feature(*names, client): what a conformance test proves, and who drives it")
    try:
        config.stash[ADDRESS] = given(config)
    except Unusable as error:
        raise pytest.UsageError(str(error)) from None


def pytest_report_header(config: pytest.Config) -> str | None:
    """Name the broker under test."""
    address = config.stash[ADDRESS]
    if address is None:
        return None
    return f"conformance: {address.platform}, SEMP {address.version}, at {address.smf} and {address.semp}"


def pytest_itemcollected(item: pytest.Item) -> None:
    """Hold every test here to its marker."""
    marker = item.get_closest_marker("feature")
    names, client = (marker.args, marker.kwargs["client"]) if marker else ((), CLIENTS[0])
    if wrong := misnamed(names, client):
        raise pytest.UsageError(f"{item.nodeid}: {wrong}; see features.py")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note how a test ended: by its call, unless what is around it failed or skipped it."""
    report = yield
    marker = item.get_closest_marker("feature")
    if marker and (report.when == "call" or report.outcome != "passed"):
        outcome: Outcome = report.outcome
        reason = "" if report.passed else _first_line(report)
        collected.note_result(report, Result(item.name, marker.args, marker.kwargs["client"], outcome, reason))
    return report


def _first_line(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash else str(report.longrepr)
    return str(text).strip().partition("\n")[0]


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who signs the certificates of this run."""
    return Authority(tmp_path_factory.mktemp("certificates"), "authority")


@pytest.fixture(scope="session")
def address(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory, authority: Authority
) -> Iterator[Address]:
    """The broker under test; an emulator in its own process unless there is another."""
    known = pytestconfig.stash[ADDRESS]
    if known is not None:
        yield known
        return
    certificate, key = authority.server()
    options = ["--smf-tls-port", "0", "--tls-certificate", str(certificate), "--tls-key", str(key)]
    options += ["--tls-client-ca", str(authority.certificate)]
    with running(tmp_path_factory.mktemp("conformance") / "data", *options) as emulator:
        ready = emulator.ready
        addresses = {name: ready[name] for name in ("smf", "smf_tls", "semp", "health")}
        yield identified(Address(**addresses, trust_store=authority.trust_store))


@pytest.fixture(scope="session")
def administrator(address: Address) -> Iterator[httpx.Client]:
    """One HTTP client for SEMP."""
    with address.administrator() as client:
        yield client


@pytest.fixture
def broker(address: Address, administrator: httpx.Client) -> Iterator[Broker]:
    """The test's part of the broker."""
    part = Broker(address, administrator)
    yield part
    part.close()


@pytest.fixture
def connect(broker: Broker) -> Iterator[Callable[..., Any]]:
    """Connect an official client: ``connect("name", username=…, password=…, vpn=…, host=…, **properties)``."""
    services: list[Any] = []

    def connected(
        name: str,
        *,
        username: str | None = None,
        password: str = PASSWORD,
        vpn: str | None = None,
        host: str | None = None,
        **properties: Any,
    ) -> Any:
        settings = {
            transport.HOST: host or broker.address.smf,
            transport.RECONNECTION_ATTEMPTS: 100,
            transport.RECONNECTION_ATTEMPTS_WAIT_INTERVAL: 100,
            service.VPN_NAME: vpn or broker.vpn,
            authentication.SCHEME_BASIC_USER_NAME: username or broker.username,
            authentication.SCHEME_BASIC_PASSWORD: password,
        }
        built = MessagingService.builder().from_properties(settings | properties).build(name)
        built.connect()
        services.append(built)
        return built

    yield connected
    for one in services:
        one.disconnect()


@pytest.fixture
def relay(broker: Broker) -> Iterator[Relay]:
    """A relay in front of the broker."""
    with closing(Relay(broker.address.smf)) as between:
        yield between


@pytest.fixture
def over_tls(address: Address) -> dict[str, Any]:
    """What a client needs to connect over TLS."""
    if address.smf_tls is None:
        pytest.skip("no --solace-tls")
    if address.trust_store is None:
        return {"host": address.smf_tls, tls.CERT_VALIDATED: False}
    return {"host": address.smf_tls, tls.TRUST_STORE_PATH: str(address.trust_store), tls.CERT_VALIDATE_SERVERNAME: True}


@pytest.fixture
def observe(request: pytest.FixtureRequest, address: Address) -> Callable[[str, object, object], None]:
    """Look at an assumption: ``observe("what", expected, seen)``."""

    def noted(name: str, expected: object, seen: object) -> None:
        observation = Observation(name, str(expected), str(seen))
        collected.note_observation(request.node, observation)
        if address.emulated:
            assert observation.seen == observation.expected, name

    return noted
