"""The files of the TLS listener. What clients meet over TLS is in the conformance suite."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.emulator.certificates import Authority
from tests.emulator.process import command

pytestmark = pytest.mark.emulator


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
