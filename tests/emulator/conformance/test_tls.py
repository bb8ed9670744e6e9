"""TLS, and logins by client certificate."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from solace.messaging.config.solace_constants import authentication_constants as schemes
from solace.messaging.config.solace_properties import authentication_properties as authentication
from solace.messaging.config.solace_properties import transport_layer_security_properties as tls
from solace.messaging.errors.pubsubplus_client_error import PubSubPlusClientError

from tests.emulator.certificates import Authority
from tests.emulator.conformance.broker import Broker
from tests.emulator.conformance.features import feature
from tests.emulator.conformance.refusals import ACCEPTED, refusal
from tests.emulator.messaging import direct_publisher

pytestmark = pytest.mark.emulator

Connect = Callable[..., Any]
Observe = Callable[..., None]


class Certified:
    """Logins by certificate in a message VPN that allows them; ``carol`` is a client username there."""

    def __init__(self, broker: Broker, authority: Authority, over_tls: dict[str, Any]) -> None:
        self.broker = broker
        self.carol = broker.user("carol")
        self._authority = authority
        self._over_tls = over_tls
        broker.change("", authenticationClientCertEnabled=True)

    def login(self, common_name: str) -> dict[str, Any]:
        """What a client needs to log in by a certificate with this common name."""
        certificate, key = self._authority.client(common_name)
        return self.login_with(certificate, key)

    def login_with(self, certificate: Path, key: Path) -> dict[str, Any]:
        """What a client needs to log in by this certificate."""
        return self._over_tls | {
            authentication.SCHEME: schemes.AUTHENTICATION_SCHEME_CLIENT_CERT,
            authentication.SCHEME_SSL_CLIENT_CERT_FILE: str(certificate),
            authentication.SCHEME_SSL_CLIENT_PRIVATE_KEY_FILE: str(key),
        }

    def username(self, client: str) -> str:
        """The client username that a client counts as."""
        assert self.broker.becomes(lambda: self.broker.semp("GET", "monitor", f"/clients/{client}").is_success)
        username: str = self.broker.read("monitor", f"/clients/{client}")["clientUsername"]
        return username


@pytest.fixture
def certified(broker: Broker, authority: Authority, over_tls: dict[str, Any]) -> Certified:
    """A message VPN that certificates of the run's authority open. A real broker has to be told of the authority."""
    if not broker.address.emulated:
        broker.trust(authority.certificate.read_text())
    return Certified(broker, authority, over_tls)


@feature("connection: TLS")
def test_a_client_connects_over_tls(connect: Connect, over_tls: dict[str, Any]) -> None:
    assert direct_publisher(connect("secure", **over_tls)).is_ready()


@feature("connection: TLS")
def test_a_client_that_does_not_know_the_authority_refuses_the_broker(
    connect: Connect, over_tls: dict[str, Any], tmp_path: Path
) -> None:
    strangers = Authority(tmp_path, "strangers").trust_store
    with pytest.raises(PubSubPlusClientError, match="UNTRUSTED_CERTIFICATE"):
        connect("wary", **over_tls | {tls.TRUST_STORE_PATH: str(strangers), tls.CERT_VALIDATED: True})


@feature("access: client certificate")
def test_a_certificate_is_a_login_with_its_common_name(certified: Certified, connect: Connect) -> None:
    assert direct_publisher(connect("certified", **certified.login(certified.carol))).is_ready()
    assert certified.username("certified") == certified.carol


@feature("access: client certificate")
def test_a_given_username_counts_only_where_that_is_allowed(certified: Certified, connect: Connect) -> None:
    login = certified.login(certified.carol)
    login[authentication.SCHEME_CLIENT_CERT_USER_NAME] = certified.broker.username
    connect("asking", **login)
    assert certified.username("asking") == certified.carol
    certified.broker.change("", authenticationClientCertAllowApiProvidedUsernameEnabled=True)
    connect("allowed", **login)
    assert certified.username("allowed") == certified.broker.username


@feature("access: client certificate")
def test_a_certificate_of_nobody_is_refused(certified: Certified, connect: Connect, observe: Observe) -> None:
    """The message VPN's user ``default`` is as a new VPN has it."""
    seen = refusal(lambda: connect("stranger", **certified.login("nobody")))
    observe("a certificate whose name is no client username, default disabled", "CLIENT_USERNAME_IS_SHUTDOWN", seen)


@feature("access: client certificate")
def test_a_certificate_of_nobody_counts_as_default_where_that_is_enabled(
    certified: Certified, connect: Connect, observe: Observe
) -> None:
    certified.broker.change("clientUsernames/default", enabled=True)
    seen = refusal(lambda: connect("anybody", **certified.login("nobody")))
    observe("a certificate whose name is no client username, default enabled", ACCEPTED, seen)


@feature("access: client certificate")
def test_a_certificate_of_another_authority_is_refused(
    certified: Certified, connect: Connect, observe: Observe, tmp_path: Path
) -> None:
    good = connect("good", **certified.login(certified.carol))
    login = certified.login_with(*Authority(tmp_path, "elsewhere").client(certified.carol))
    seen = refusal(lambda: connect("forged", **login))
    assert seen != ACCEPTED
    assert good.is_connected
    observe("a certificate of an unknown authority", "COMMUNICATION_ERROR", seen)


@feature("access: client certificate")
def test_where_logins_by_certificate_are_shut_one_is_refused(certified: Certified, connect: Connect) -> None:
    certified.broker.change("", authenticationClientCertEnabled=False)
    with pytest.raises(PubSubPlusClientError, match="CLIENT_CERTIFICATE_AUTHENTICATION_IS_SHUTDOWN"):
        connect("early", **certified.login(certified.carol))


@feature("access: client certificate", "access: client username")
def test_a_username_that_is_disabled_reaches_a_client_that_came_by_certificate(
    certified: Certified, connect: Connect
) -> None:
    connect("revoked", **certified.login(certified.carol))
    certified.broker.change(f"clientUsernames/{certified.carol}", enabled=False)
    gone = certified.broker.becomes(lambda: certified.broker.semp("GET", "monitor", "/clients/revoked").is_error)
    assert gone
    with pytest.raises(PubSubPlusClientError, match="CLIENT_USERNAME_IS_SHUTDOWN"):
        connect("revoked-again", **certified.login(certified.carol))
