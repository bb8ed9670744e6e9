"""A redundancy group's first start, against a server that answers as the documents of SEMP say: none can run here."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from crep.harness.brokers.contract import Endpoint
from crep.harness.deployment import DeploymentError
from crep.harness.deployment.docker.settle import settle


class Node(ThreadingHTTPServer):
    """One messaging node. ``led``: what was asserted; the configuration is in step when both have been."""

    def __init__(self, state: str, *, refuses: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.state, self.refuses = state, refuses
        self.led: list[str] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answers(BaseHTTPRequestHandler):
    server: Node

    def do_GET(self) -> None:
        self._say(json.dumps({"data": {"state": self.server.state}, "meta": {"responseCode": 200}}))

    def do_POST(self) -> None:
        words = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if "assert-leader" in words:
            if self.server.refuses:
                self.send_error(401)
                return
            self.server.led.append("router" if "<router/>" in words else "vpns" if "<vpn-name>*" in words else words)
            self._say("<rpc-reply><execute-result code='ok'/></rpc-reply>")
        else:
            status = "Up" if self.server.led == ["router", "vpns"] else "Down"
            shown = f"<config-sync><status><oper-status>{status}</oper-status></status></config-sync>"
            self._say(f"<rpc-reply><rpc><show>{shown}</show></rpc></rpc-reply>")

    def _say(self, text: str) -> None:
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Tests keep quiet."""


@pytest.fixture
def pair() -> Iterator[tuple[Node, Node]]:
    nodes = Node("up"), Node("standby")
    yield nodes
    for node in nodes:
        node.shutdown()
        node.server_close()


def endpoint(pair: tuple[Node, Node]) -> Endpoint:
    semp = ",".join(node.address for node in pair)
    return Endpoint(system="solace", target="group", semp=semp, admin_username="admin", admin_password="x")


def test_the_active_node_leads_the_configuration_once(pair: tuple[Node, Node]) -> None:
    told: list[str] = []
    settle(endpoint(pair), [], told.append)
    assert pair[0].led == ["router", "vpns"]
    assert pair[1].led == []
    settle(endpoint(pair), [], told.append)
    assert pair[0].led == ["router", "vpns"]
    assert told == ["asserting the leadership of the configuration"]


def test_a_refusal_is_told(pair: tuple[Node, Node]) -> None:
    pair[0].refuses = True
    with pytest.raises(DeploymentError, match="answers 401"):
        settle(endpoint(pair), [], lambda _: None)
