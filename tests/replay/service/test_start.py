"""A service that cannot be is refused before anything is served, with what to write instead."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from crep.harness.cli.app import main
from crep.replay.service.jobs import JobStore

START = ["replay", "serve", "--archives"]


@pytest.fixture(autouse=True)
def _no_token_of_mine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREP_REPLAY_TOKEN", raising=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "192.0.2.1", "127.example.com"])  # noqa: S104 - refused
def test_other_machines_are_let_in_only_with_a_token_that_somebody_chose(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], host: str
) -> None:
    assert main([*START, str(tmp_path), "--listen", f"{host}:0"]) == 2
    said = capsys.readouterr().err
    assert "needs a token of yours" in said
    assert "--token-file" in said


def test_a_token_that_others_may_read_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    token = tmp_path / "token"
    token.write_text("a-token-that-all-may-read")
    token.chmod(0o644)
    assert main([*START, str(tmp_path), "--token-file", str(token)]) == 2
    assert f"chmod 600 {token}" in capsys.readouterr().err


@pytest.mark.parametrize("token", ["short", "with a blank in between", "naïve-token-0123456789"])
def test_a_weak_token_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("CREP_REPLAY_TOKEN", token)
    assert main([*START, str(tmp_path), "--listen", "127.0.0.1:0"]) == 2
    assert "at least 16 printable ASCII characters" in capsys.readouterr().err


def test_a_port_that_is_taken_is_told_and_everything_is_let_go(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for _ in range(2):
            assert main([*START, str(tmp_path), "--listen", f"127.0.0.1:{taken.getsockname()[1]}"]) == 3
            said = capsys.readouterr().err
            assert "cannot listen" in said
            assert "--listen HOST:PORT" in said


def test_a_second_service_on_the_same_jobs_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = JobStore(tmp_path / ".service" / "jobs.sqlite")
    assert main([*START, str(tmp_path), "--listen", "127.0.0.1:0"]) == 3
    assert "another service keeps its jobs" in capsys.readouterr().err
    first.close()


def test_a_certificate_goes_with_its_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*START, str(tmp_path), "--listen", "127.0.0.1:0", "--tls-certificate", "c.pem"]) == 2
    assert "--tls-key go together" in capsys.readouterr().err
    both = ["--tls-certificate", str(tmp_path / "c.pem"), "--tls-key", str(tmp_path / "k.pem")]
    assert main([*START, str(tmp_path), "--listen", "127.0.0.1:0", *both]) == 2
    assert "certificate cannot be used" in capsys.readouterr().err
