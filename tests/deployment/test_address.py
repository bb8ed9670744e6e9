"""Brokers that somebody else runs: reached by their protocol, never touched, secrets never shown."""

from __future__ import annotations

import json
import socketserver
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from crep.harness.brokers.contract import Endpoint
from crep.harness.config.errors import UsageError
from crep.harness.config.targets import Credentials, KafkaAddress, SolaceAddress, Target, Tls
from crep.harness.deployment import DeploymentError, NotSupported, UnknownNode, deploy
from crep.harness.deployment.ports import free_port


def silent(_line: str) -> None:
    """A progress that nobody reads."""


def kafka(bootstrap: str, tls: Tls | None = None, login: Credentials | None = None) -> Target:
    address = KafkaAddress(bootstrap=bootstrap, tls=tls, login=login)
    return Target(name="theirs", system="kafka", source="address", kafka=address)


def solace(smf: str, semp: str) -> Target:
    address = SolaceAddress(smf=smf, semp=semp, admin=Credentials(username="admin", password_env="CREP_TEST_SECRET"))
    return Target(name="theirs", system="solace", source="address", solace=address)


@contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[None]:
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


class SpeaksKafka(socketserver.BaseRequestHandler):
    """Answers ApiVersions with its correlation id and no error."""

    def handle(self) -> None:
        size, api, version, correlation = struct.unpack(">ihhi", self.request.recv(4096)[:12])
        if size and (api, version) == (18, 0):
            self.request.sendall(struct.pack(">iihi", 10, correlation, 0, 0))


class SpeaksHttp(BaseHTTPRequestHandler):
    """Knows nobody, as SEMP does before a login."""

    def do_GET(self) -> None:
        self.send_response(401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def server(handler: type[socketserver.BaseRequestHandler]) -> tuple[socketserver.TCPServer, int]:
    listening = socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler)
    return listening, listening.server_address[1]


def test_a_kafka_that_answers_is_left_exactly_as_it_is() -> None:
    listening, port = server(SpeaksKafka)
    with serving(listening):
        deployment = deploy(kafka(f"127.0.0.1:{port}"))
        deployment.start(silent)
        assert deployment.endpoint() == Endpoint(system="kafka", target="theirs", bootstrap=f"127.0.0.1:{port}")
        assert deployment.nodes == ()
        deployment.stop()
        deployment.start(silent)


def test_one_node_of_a_list_is_enough() -> None:
    listening, port = server(SpeaksKafka)
    with serving(listening):
        deploy(kafka(f"127.0.0.1:{free_port()},127.0.0.1:{port}")).start(silent)


def test_a_broker_that_cannot_be_reached_is_named_with_what_to_check() -> None:
    port = free_port()
    with pytest.raises(DeploymentError, match=rf"(?s)'theirs'.*127\.0\.0\.1:{port}.*refused.*firewall") as raised:
        deploy(kafka(f"127.0.0.1:{port}")).start(silent)
    assert raised.value.exit_code == 3


def test_a_server_that_is_no_kafka_is_not_taken_for_one() -> None:
    listening = HTTPServer(("127.0.0.1", 0), SpeaksHttp)
    with serving(listening), pytest.raises(DeploymentError, match="no broker answers the Kafka protocol"):
        deploy(kafka(f"127.0.0.1:{listening.server_port}")).start(silent)


class TlsServer(socketserver.ThreadingTCPServer):
    """Speaks TLS with the certificate in ``pem``."""

    def __init__(self, pem: Path, handler: type[socketserver.BaseRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        self.socket = context.wrap_socket(self.socket, server_side=True)

    def handle_error(self, *_: object) -> None:
        """A client that refuses the certificate is what some tests want."""


def certificate(folder: Path, name: x509.GeneralName) -> Path:
    """A self-signed certificate with its key, in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "crep test")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([name]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "broker.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(private + signed.public_bytes(Encoding.PEM))
    return path


def test_a_broker_with_tls_is_reached_when_its_certificate_is_trusted(tmp_path: Path) -> None:
    pem = certificate(tmp_path, x509.IPAddress(ip_address("127.0.0.1")))
    listening = TlsServer(pem, SpeaksKafka)
    bootstrap = f"127.0.0.1:{listening.server_address[1]}"
    with serving(listening):
        deploy(kafka(bootstrap, tls=Tls(ca_file=str(pem)))).start(silent)
        with pytest.raises(DeploymentError, match=r"(?i)certificate verify failed"):
            deploy(kafka(bootstrap, tls=Tls())).start(silent)
        with pytest.raises(DeploymentError, match="'tls:'"):
            deploy(kafka(bootstrap)).start(silent)


def test_a_certificate_for_another_host_is_refused_unless_the_target_says_otherwise(tmp_path: Path) -> None:
    pem = certificate(tmp_path, x509.DNSName("elsewhere.example.com"))
    listening = TlsServer(pem, SpeaksKafka)
    bootstrap = f"127.0.0.1:{listening.server_address[1]}"
    with serving(listening):
        with pytest.raises(DeploymentError, match=r"(?i)certificate"):
            deploy(kafka(bootstrap, tls=Tls(ca_file=str(pem)))).start(silent)
        deploy(kafka(bootstrap, tls=Tls(ca_file=str(pem), verify_host=False))).start(silent)


def test_tls_that_the_broker_does_not_speak_is_an_error_that_names_tls() -> None:
    listening, port = server(SpeaksKafka)
    with serving(listening), pytest.raises(DeploymentError, match=r"(?s)127\.0\.0\.1.*'tls:'"):
        deploy(kafka(f"127.0.0.1:{port}", tls=Tls())).start(silent)


def test_a_solace_needs_both_its_interfaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREP_TEST_SECRET", "hidden-word")
    semp = HTTPServer(("127.0.0.1", 0), SpeaksHttp)
    smf, port = server(socketserver.BaseRequestHandler)
    url = f"http://127.0.0.1:{semp.server_port}"
    with serving(semp), serving(smf):
        deployment = deploy(solace(f"tcp://127.0.0.1:{port}", url))
        deployment.start(silent)
        assert deployment.endpoint().admin_password == "hidden-word"
        assert "hidden-word" not in repr(deployment.endpoint()) + json.dumps(deployment.describe())
        with pytest.raises(DeploymentError, match=r"no broker answers SMF at tcp://127"):
            deploy(solace(f"tcp://127.0.0.1:{free_port()}", url)).start(silent)
        with pytest.raises(DeploymentError, match=r"no broker answers SEMP at http://127"):
            deploy(solace(f"tcp://127.0.0.1:{port}", f"http://127.0.0.1:{free_port()}")).start(silent)


def test_a_secret_that_is_not_in_the_environment_is_bad_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREP_TEST_SECRET", raising=False)
    with pytest.raises(UsageError, match="CREP_TEST_SECRET is not set"):
        deploy(solace("tcp://127.0.0.1:1", "http://127.0.0.1:1")).start(silent)


def test_faults_on_nodes_are_refused_with_the_reason() -> None:
    deployment = deploy(kafka("127.0.0.1:9092"))
    for act in (
        deployment.kill_node,
        deployment.start_node,
        deployment.pause_node,
        deployment.resume_node,
        lambda node: deployment.stop_node(node, 1.0),
        lambda node: deployment.limit_files(node, 0),
    ):
        with pytest.raises(NotSupported, match="crep did not start its processes"):
            act("kafka-1")
    for ask in (deployment.probe_node, deployment.node_pid, deployment.roles, deployment.node_of):
        with pytest.raises(UnknownNode):
            ask("kafka-1")
    assert deployment.links is None
    with pytest.raises(DeploymentError, match="has not been started"):
        deployment.endpoint()


def test_a_broker_of_somebody_else_may_be_failed_only_where_its_target_says_so() -> None:
    theirs = kafka("127.0.0.1:9092")
    assert not deploy(theirs).allow_faults
    assert not deploy(theirs).describe()["allow_faults"]
    assert deploy(theirs.model_copy(update={"allow_faults": True})).allow_faults


@pytest.mark.kafka
def test_a_real_kafka_is_reached_by_its_address(kafka_endpoint: Endpoint) -> None:
    deployment = deploy(kafka(kafka_endpoint.bootstrap or ""))
    deployment.start(silent)
    assert deployment.endpoint().bootstrap == kafka_endpoint.bootstrap


@pytest.mark.emulator
def test_an_smf_and_a_semp_server_are_reached_by_their_addresses(
    emulator_endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREP_TEST_SECRET", emulator_endpoint.admin_password)
    deploy(solace(emulator_endpoint.smf or "", emulator_endpoint.semp or "")).start(silent)
