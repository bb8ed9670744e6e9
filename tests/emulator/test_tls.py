"""TLS: the official client over it, and logins by client certificate."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from solace.messaging.config.solace_constants import authentication_constants as schemes
from solace.messaging.config.solace_properties import authentication_properties as authentication
from solace.messaging.config.solace_properties import transport_layer_security_properties as tls
from solace.messaging.errors.pubsubplus_client_error import PubSubPlusClientError

from tests.emulator.certificates import Authority
from tests.emulator.messaging import direct_publisher
from tests.emulator.process import Emulator, command, running

pytestmark = pytest.mark.emulator

Connect = Callable[..., Any]
VPN = "config/msgVpns/default"


@dataclass(frozen=True)
class Secured:
    """An emulator with a TLS listener, and the authority that it and its clients trust."""

    emulator: Emulator
    authority: Authority

    @property
    def over_tls(self) -> dict[str, Any]:
        """What a client needs to connect over TLS."""
        trust = {tls.TRUST_STORE_PATH: str(self.authority.trust_store), tls.CERT_VALIDATE_SERVERNAME: True}
        return {"host": self.emulator.ready["smf_tls"], **trust}

    def by_certificate(self, certificate: Path, key: Path) -> dict[str, Any]:
        """What a client needs to log in by certificate."""
        return self.over_tls | {
            authentication.SCHEME: schemes.AUTHENTICATION_SCHEME_CLIENT_CERT,
            authentication.SCHEME_SSL_CLIENT_CERT_FILE: str(certificate),
            authentication.SCHEME_SSL_CLIENT_PRIVATE_KEY_FILE: str(key),
        }

    def allow(self, **more: bool) -> None:
        """Let clients log in by certificate."""
        settings = {"authenticationClientCertEnabled": True} | more
        assert self.emulator.semp("PATCH", VPN, settings).status_code == 200

    def username(self, client: str) -> str:
        """The client username that a client counts as."""
        data: dict[str, str] = self.emulator.semp("GET", f"monitor/msgVpns/default/clients/{client}").json()["data"]
        return data["clientUsername"]


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[Secured]:
    """An emulator of this test alone: its message VPN is changed."""
    authority = Authority(tmp_path, "authority")
    certificate, key = authority.server()
    options = ["--smf-tls-port", "0", "--tls-certificate", str(certificate), "--tls-key", str(key)]
    with running(tmp_path / "data", *options, "--tls-client-ca", str(authority.certificate)) as emulator:
        user = {"clientUsername": "carol", "enabled": True}
        assert emulator.semp("POST", f"{VPN}/clientUsernames", user).status_code == 200
        yield Secured(emulator, authority)


def test_the_official_client_connects_over_tls_with_a_password(secured: Secured, connect: Connect) -> None:
    service = connect(secured.emulator, "secure", username="carol", **secured.over_tls)
    assert direct_publisher(service).is_ready()
    assert secured.username("secure") == "carol"


def test_a_client_certificate_is_a_login_with_its_common_name(secured: Secured, connect: Connect) -> None:
    secured.allow()
    service = connect(secured.emulator, "certified", **secured.by_certificate(*secured.authority.client("carol")))
    assert direct_publisher(service).is_ready()
    assert secured.username("certified") == "carol"


def test_a_certificate_counts_only_where_the_message_vpn_allows_it(secured: Secured, connect: Connect) -> None:
    with pytest.raises(PubSubPlusClientError, match="Client Certificate Authentication Is Shutdown"):
        connect(secured.emulator, "early", **secured.by_certificate(*secured.authority.client("carol")))


def test_a_name_that_is_not_configured_counts_as_default_as_long_as_that_is_enabled(
    secured: Secured, connect: Connect
) -> None:
    secured.allow()
    stranger = secured.by_certificate(*secured.authority.client("stranger"))
    connect(secured.emulator, "strange", **stranger)
    assert secured.username("strange") == "stranger"
    disabled = secured.emulator.semp("PATCH", f"{VPN}/clientUsernames/default", {"enabled": False})
    assert disabled.status_code == 200
    with pytest.raises(PubSubPlusClientError, match="Client Username Is Shutdown"):
        connect(secured.emulator, "stranger still", **stranger)


@pytest.mark.parametrize("allowed", [False, True])
def test_the_name_that_the_client_gives_counts_only_where_that_is_allowed(
    secured: Secured, connect: Connect, allowed: bool
) -> None:
    secured.allow(authenticationClientCertAllowApiProvidedUsernameEnabled=allowed)
    properties = secured.by_certificate(*secured.authority.client("somebody"))
    connect(secured.emulator, "named", **properties | {authentication.SCHEME_CLIENT_CERT_USER_NAME: "carol"})
    assert secured.username("named") == ("carol" if allowed else "somebody")


def test_a_certificate_of_another_authority_does_not_get_in_and_others_go_on(
    secured: Secured, connect: Connect, tmp_path: Path
) -> None:
    secured.allow()
    good = connect(secured.emulator, "good", **secured.by_certificate(*secured.authority.client("carol")))
    (tmp_path / "elsewhere").mkdir()
    forged = Authority(tmp_path / "elsewhere", "forger").client("carol")
    with pytest.raises(PubSubPlusClientError):
        connect(secured.emulator, "forged", **secured.by_certificate(*forged))
    clients = secured.emulator.semp("GET", "monitor/msgVpns/default/clients").json()["data"]
    assert "forged" not in {client["clientName"] for client in clients}
    assert good.is_connected


def test_a_revoked_username_reaches_a_client_that_came_by_certificate(secured: Secured, connect: Connect) -> None:
    secured.allow()
    properties = secured.by_certificate(*secured.authority.client("carol"))
    connect(secured.emulator, "revoked", **properties)
    assert secured.emulator.semp("PATCH", f"{VPN}/clientUsernames/carol", {"enabled": False}).status_code == 200
    assert secured.emulator.semp("GET", "monitor/msgVpns/default/clients/revoked").status_code == 400
    with pytest.raises(PubSubPlusClientError, match="Client Username Is Shutdown"):
        connect(secured.emulator, "revoked again", **properties)


def test_a_bad_file_of_authorities_is_exit_code_3(tmp_path: Path) -> None:
    certificate, key = Authority(tmp_path, "authority").server()
    (tmp_path / "bad.pem").write_text("nothing")
    options = [
        "--tls-certificate",
        str(certificate),
        "--tls-key",
        str(key),
        "--tls-client-ca",
        str(tmp_path / "bad.pem"),
    ]
    ports = [part for name in ("smf", "smf-tls", "semp", "health") for part in (f"--{name}-port", "0")]
    line = command("--data-dir", str(tmp_path / "data"), *ports, *options, "--log-level", "error")
    ended = subprocess.run(line, capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode == 3
    assert f"--tls-client-ca {tmp_path / 'bad.pem'}" in ended.stderr
    assert ended.stderr.count("\n") == 1
