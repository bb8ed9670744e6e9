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


def test_a_bad_certificate_is_exit_code_3(tmp_path: Path) -> None:
    (tmp_path / "bad.pem").write_text("nothing")
    pem = str(tmp_path / "bad.pem")
    ended = run(
        "--data-dir", str(tmp_path / "d"), *FREE, "--tls-certificate", pem, "--tls-key", pem, "--log-level", "error"
    )
    assert ended.returncode == 3
    assert "--tls-certificate" in ended.stderr
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
    backup = subprocess.Popen(
        command("--data-dir", str(primary.folder), *FREE, "--role", "backup"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert backup.stdout is not None
    assert backup.stderr is not None
    try:
        assert f"standing by: process {primary.pid}" in backup.stderr.readline()
        primary.kill()
        ready = json.loads(backup.stdout.readline())
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
