"""Brokers that somebody else runs: reached by their protocol, never touched, secrets never shown."""

from __future__ import annotations

import json
import socketserver
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

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
    for act in (deployment.kill_node, deployment.start_node):
        with pytest.raises(NotSupported, match="crep did not start its processes"):
            act("kafka-1")
    with pytest.raises(UnknownNode):
        deployment.probe_node("kafka-1")
    with pytest.raises(DeploymentError, match="has not been started"):
        deployment.endpoint()


def test_a_source_that_is_not_there_yet_says_what_to_do_instead() -> None:
    with pytest.raises(NotSupported, match=r"(?s)'docker' is not available yet.*'address'"):
        deploy(Target(name="boxed", system="solace", source="docker"))
