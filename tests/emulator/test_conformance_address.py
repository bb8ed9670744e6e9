"""The conformance suite at an address: what it refuses to begin with, and that it learns where it cannot demand."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from tests.emulator.conformance.address import EMULATOR, Unusable, given
from tests.emulator.process import Emulator

SUITE = Path(__file__).parent / "conformance"


def config(**options: str) -> Any:
    """Options as pytest hands them over."""
    values = {"semp-user": "admin", "semp-password": "admin"}
    values |= {name.replace("_", "-"): value for name, value in options.items()}
    return SimpleNamespace(getoption=lambda name, default=None: values.get(name.removeprefix("--"), default))


def test_without_options_there_is_no_address() -> None:
    assert given(config()) is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"solace": "tcp://127.0.0.1:1"}, "--solace and --semp belong together"),
        ({"vpn": "mine"}, "--vpn needs --solace and --semp"),
        ({"solace": "127.0.0.1", "semp": "http://127.0.0.1:1"}, "--solace: '127.0.0.1' is no address; write tcp://"),
        ({"solace": "tcp://127.0.0.1:x", "semp": "http://127.0.0.1:1"}, "--solace: 'tcp://127.0.0.1:x' is no address"),
        ({"solace": "tcp://127.0.0.1:1", "semp": "http://127.0.0.1:1"}, "cannot be reached: Connection refused"),
    ],
)
def test_options_that_lead_nowhere_are_named(options: dict[str, str], said: str) -> None:
    with pytest.raises(Unusable) as caught:
        given(config(**options))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.emulator
def test_an_emulator_at_an_address_is_known_as_one_and_wrong_options_for_it_are_named(emulator: Emulator) -> None:
    there = {"solace": emulator.ready["smf"], "semp": emulator.ready["semp"]}
    found = given(config(**there))
    assert found is not None
    assert (found.platform, found.emulated) == (EMULATOR, True)
    with pytest.raises(Unusable, match="answers 401; see --semp-user"):
        given(config(**there | {"semp-password": "wrong"}))
    with pytest.raises(Unusable, match="knows no message VPN 'nowhere'"):
        given(config(**there | {"vpn": "nowhere"}))
    with pytest.raises(Unusable, match="no SEMP v2 at"):
        given(config(**there | {"semp": emulator.ready["smf"].replace("tcp", "http")}))


@contextmanager
def disguised(semp: str) -> Iterator[str]:
    """The emulator's SEMP, which says that it is another broker and numbers one of its errors differently."""

    class Handler(BaseHTTPRequestHandler):
        def _pass(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name: self.headers[name] for name in ("Authorization", "Content-Type") if name in self.headers}
            answer = httpx.request(self.command, semp + self.path, content=body, headers=headers, timeout=10)
            text = answer.content.replace(EMULATOR.encode(), b"Standard").replace(b'"code":535', b'"code":8')
            text = text.replace(b'"code": 535', b'"code": 8')
            self.send_response(answer.status_code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join(10)


@pytest.mark.emulator
def test_from_another_broker_the_suite_learns_where_it_would_fail_on_the_emulator(emulator: Emulator) -> None:
    with disguised(emulator.ready["semp"]) as semp:
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(SUITE / "test_semp.py")]
        options = ["--solace", emulator.ready["smf"], "--semp", semp, "-k", "unknown_path or what_it_is"]
        ended = subprocess.run([*command, *options], capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"conformance: Standard, SEMP 2.49, at {emulator.ready['smf']}" in ended.stdout
    lines = [line.split() for line in ended.stdout.splitlines()]
    assert ["the", "number", "of", "INVALID_PATH", "535", "8"] in lines
    assert ["SEMP:", "about", "–", "2", "passed"] in lines
    assert "0 of 1 assumptions seen to hold" in ended.stdout


@pytest.mark.emulator
def test_in_a_message_vpn_that_is_given_nothing_is_left_behind(emulator: Emulator) -> None:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(SUITE / "test_queues.py")]
    options = ["--solace", emulator.ready["smf"], "--semp", emulator.ready["semp"], "--vpn", "default"]
    picked = ["-k", "waits or make_its_queue or owner"]
    ended = subprocess.run([*command, *options, *picked], capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    for collection in ("queues", "clientUsernames", "clientProfiles", "aclProfiles"):
        left = emulator.semp("GET", f"config/msgVpns/default/{collection}").json()["data"]
        assert [one for one in left if "default" not in one.values()] == [], collection
