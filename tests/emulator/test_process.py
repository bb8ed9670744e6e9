"""The emulator from outside: options, ready line, exit codes, lock, signals, TLS."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import serialization

from tests.emulator.certificates import Authority
from tests.emulator.process import Emulator, command

pytestmark = pytest.mark.emulator

FREE = ("--smf-port", "0", "--semp-port", "0", "--health-port", "0")


def run(*options: str) -> subprocess.CompletedProcess[str]:
    """Run an emulator that is expected to end by itself."""
    return subprocess.run(command(*options), capture_output=True, text=True, timeout=20, check=False)


def test_the_ready_line_names_open_listeners_and_only_those(emulator: Emulator) -> None:
    assert set(emulator.ready) == {"ready", "pid", "smf", "semp", "health"}
    assert emulator.ready["ready"] is True
    assert emulator.ready["pid"] == emulator.pid
    assert emulator.ready["smf"].startswith("tcp://127.0.0.1:")


def test_it_says_of_itself_that_it_is_the_emulator(emulator: Emulator, connect: Callable[..., Any]) -> None:
    for interface in ("config", "monitor"):
        assert emulator.semp("GET", f"{interface}/about/api").json()["data"]["platform"] == "crep-emulator"
    assert connect(emulator, "asking").is_connected


def test_the_health_check_answers_when_guaranteed_messaging_is_ready(emulator: Emulator) -> None:
    health = emulator.ready["health"]
    assert httpx.get(f"{health}/health-check/guaranteed-active").status_code == 200
    assert httpx.get(f"{health}/health-check/other").status_code == 404


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--role", "spare"), "invalid choice"),
        (("--smf-compressed-port", "0"), "--smf-compressed-port is not available yet"),
        (("--web-port", "8008"), "--web-port is not available yet"),
        (("--tls-client-ca", "ca.pem"), "--tls-client-ca needs the TLS listener"),
        (("--tls-certificate", "x.pem"), "--tls-certificate and --tls-key belong together"),
        (("--smf-port", "70000"), "'70000' is no port"),
        (("--sync", "sometimes"), "invalid choice"),
        (("--smf-prot", "1"), "unrecognized arguments"),
        (("--data-dir", ""), "an empty name is no directory"),
        (("--smf-port",), "expected one argument"),
    ],
)
def test_a_bad_option_is_one_line_and_exit_code_2(tmp_path: Path, options: tuple[str, ...], said: str) -> None:
    ended = run("--data-dir", str(tmp_path), *options)
    assert ended.returncode == 2
    assert said in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert ended.stdout == ""


def test_a_taken_port_is_one_line_and_exit_code_3(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        ended = run("--data-dir", str(tmp_path), *FREE[2:], "--smf-port", port, "--log-level", "error")
    assert ended.returncode == 3
    assert f"--smf-port: cannot listen on 127.0.0.1:{port}" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_a_directory_in_use_is_named_with_its_process(emulator: Emulator) -> None:
    ended = run("--data-dir", str(emulator.folder), *FREE)
    assert ended.returncode == 3
    assert f"in use by process {emulator.pid}" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_a_directory_that_cannot_be_made_is_exit_code_3(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ended = run("--data-dir", str(tmp_path / "file" / "data"), *FREE)
    assert ended.returncode == 3
    assert ended.stderr.count("\n") == 1


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate, its key (also encrypted), another key, and a file that is none of these."""
    folder = tmp_path_factory.mktemp("keys")
    authority = Authority(folder, "authority")
    certificate, key = authority.server()
    certificate.rename(folder / "server.pem")
    encrypted = serialization.load_pem_private_key(key.read_bytes(), None).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    (folder / "locked.key").write_bytes(encrypted)
    key.rename(folder / "server.key")
    authority.client("other")
    (folder / "bad.pem").write_text("nothing")
    return folder


@pytest.mark.parametrize(
    ("certificate", "key", "said"),
    [
        ("bad.pem", "bad.pem", "--tls-certificate"),
        ("missing.pem", "server.key", "--tls-certificate {}/missing.pem: No such file or directory"),
        (".", "server.key", "Is a directory"),
        ("server.pem", "missing.key", "--tls-key {}/missing.key: No such file or directory"),
        ("server.pem", "other.key", "--tls-key {0}/other.key: it is not the key of {0}/server.pem"),
        ("server.pem", "locked.key", "--tls-key {}/locked.key: it is encrypted"),
    ],
)
def test_a_bad_certificate_or_key_is_one_line_and_exit_code_3(
    tmp_path: Path, keys: Path, certificate: str, key: str, said: str
) -> None:
    pair = ("--tls-certificate", str(keys / certificate), "--tls-key", str(keys / key))
    ended = run("--data-dir", str(tmp_path / "d"), *FREE, "--smf-tls-port", "0", *pair, "--log-level", "error")
    assert ended.returncode == 3
    assert said.format(keys) in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_a_host_that_is_no_address_of_this_machine_is_one_line_and_exit_code_3(tmp_path: Path) -> None:
    for host in ("nowhere.invalid", "203.0.113.1"):
        ended = run("--data-dir", str(tmp_path), *FREE, "--host", host, "--log-level", "error")
        assert ended.returncode == 3
        assert host in ended.stderr
        assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_in_order_on_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    started = subprocess.Popen(
        command("--data-dir", str(tmp_path), *FREE), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert started.stdout is not None
    assert started.stdout.readline().startswith('{"ready": true')
    started.send_signal(number)
    assert started.wait(10) == 0
    assert started.stdout.read() == ""
    started.stdout.close()


def test_a_backup_waits_for_the_primary_and_takes_over_what_it_has(tmp_path: Path) -> None:
    primary = Emulator(tmp_path / "data")
    primary.start()
    primary.queue("shared")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        health = listener.getsockname()[1]
    listeners = ("--smf-port", "0", "--semp-port", "0", "--health-port", str(health))
    backup = subprocess.Popen(
        command("--data-dir", str(primary.folder), *listeners, "--role", "backup"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert backup.stdout is not None
    assert backup.stderr is not None
    try:
        assert f"standing by: process {primary.pid}" in backup.stderr.readline()
        check = f"http://127.0.0.1:{health}/health-check/guaranteed-active"
        assert httpx.get(check).status_code == 503, "as the vendor's standby"
        primary.kill()
        ready = json.loads(backup.stdout.readline())
        assert httpx.get(check).status_code == 200
        queue = f"{ready['semp']}/SEMP/v2/config/msgVpns/default/queues/shared"
        assert httpx.get(queue, auth=("admin", "admin")).status_code == 200
    finally:
        backup.terminate()
        assert backup.wait(10) == 0
        backup.stdout.close()
        backup.stderr.close()


def test_a_backup_that_is_not_needed_stops_in_order(emulator: Emulator) -> None:
    backup = subprocess.Popen(
        command("--data-dir", str(emulator.folder), *FREE, "--role", "backup"), stderr=subprocess.PIPE, text=True
    )
    assert backup.stderr is not None
    assert "standing by" in backup.stderr.readline()
    backup.terminate()
    assert backup.wait(10) == 0
    backup.stderr.close()
