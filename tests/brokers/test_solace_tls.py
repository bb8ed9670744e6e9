"""The Solace adapter over TLS, against an emulator of this test alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from crep.harness.brokers.contract import BrokerError, Endpoint
from crep.harness.brokers.solace.events import EventLog
from crep.harness.brokers.solace.service import connect, properties_of
from crep.harness.config.targets import Tls
from tests.emulator.certificates import Authority
from tests.emulator.process import Emulator, running

pytestmark = pytest.mark.emulator


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "authority")


@pytest.fixture
def emulator(tmp_path: Path, authority: Authority) -> Iterator[Emulator]:
    certificate, key = authority.server()
    options = ["--smf-tls-port", "0", "--tls-certificate", str(certificate), "--tls-key", str(key)]
    with running(tmp_path / "data", *options, "--tls-client-ca", str(authority.certificate)) as emulator:
        allowed = emulator.semp("PATCH", "config/msgVpns/default", {"authenticationClientCertEnabled": True})
        assert allowed.status_code == 200
        carol = {"clientUsername": "carol", "enabled": True}
        assert emulator.semp("POST", "config/msgVpns/default/clientUsernames", carol).status_code == 200
        yield emulator


def endpoint(emulator: Emulator, tls: Tls) -> Endpoint:
    return Endpoint(system="solace", target="secured", smf=emulator.ready["smf_tls"], tls=tls)


def login(where: Endpoint) -> None:
    connect(where, "tls-test", properties_of(where, {}, 5.0), EventLog()).disconnect()


def test_a_client_connects_over_tls_with_the_targets_authority(emulator: Emulator, authority: Authority) -> None:
    login(endpoint(emulator, Tls(ca_file=str(authority.certificate))))


def test_a_client_logs_in_by_certificate_with_a_key_without_password(emulator: Emulator, authority: Authority) -> None:
    certificate, key = authority.client("carol")
    tls = Tls(ca_file=str(authority.certificate), certificate_file=str(certificate), key_file=str(key))
    login(endpoint(emulator, tls))


def test_a_server_of_another_authority_is_not_trusted(emulator: Emulator, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    other = Authority(tmp_path / "elsewhere", "other")
    with pytest.raises(BrokerError, match="secured"):
        login(endpoint(emulator, Tls(ca_file=str(other.certificate))))
