"""The command line: what can be asked for, and what is refused as not available yet."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn

from .journal.commit import SyncMode


@dataclass(frozen=True, slots=True)
class Options:
    """What an emulator process is to do. Port 0 takes a free port; the TLS listener is open only with a certificate."""

    data_dir: Path
    host: str = "127.0.0.1"
    smf_port: int = 55555
    smf_tls_port: int = 55443
    semp_port: int = 8080
    health_port: int = 5550
    admin_user: str = "admin"
    admin_password: str = "admin"  # noqa: S105 - the vendor's own default for a fresh container
    sync: SyncMode = "batch"
    role: Literal["primary", "backup"] = "primary"
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    log_level: str = "info"


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Parse the command line; ends the process with exit code 2 and one line for what is wrong."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.smf_compressed_port is not None:
        _refuse(parser, "--smf-compressed-port is not available yet; use the plain or the TLS listener")
    if given.web_port is not None:
        _refuse(parser, "--web-port is not available yet; use the plain or the TLS listener")
    if given.tls_client_ca is not None and given.tls_certificate is None:
        _refuse(parser, "--tls-client-ca needs the TLS listener: give --tls-certificate and --tls-key")
    if (given.tls_certificate is None) != (given.tls_key is None):
        _refuse(parser, "--tls-certificate and --tls-key belong together")
    return Options(
        data_dir=given.data_dir,
        host=given.host,
        smf_port=given.smf_port,
        smf_tls_port=given.smf_tls_port,
        semp_port=given.semp_port,
        health_port=given.health_port,
        admin_user=given.admin_user,
        admin_password=given.admin_password,
        sync=given.sync,
        role=given.role,
        tls_certificate=given.tls_certificate,
        tls_key=given.tls_key,
        tls_client_ca=given.tls_client_ca,
        log_level=given.log_level,
    )


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def _refuse(parser: argparse.ArgumentParser, message: str) -> None:
    parser.exit(2, f"{parser.prog}: {message}\n")


def _port(value: str) -> int:
    if not value.isdecimal() or int(value) > 65535:
        raise argparse.ArgumentTypeError(f"{value!r} is no port: give a number from 0 (any free one) to 65535")
    return int(value)


def _directory(value: str) -> Path:
    if not value:
        raise argparse.ArgumentTypeError("an empty name is no directory")
    return Path(value)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="solace_emulator",
        description="An SMF and SEMP v2 server that the official Solace clients accept.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--data-dir", type=_directory, required=True, metavar="DIR", help="journal and lock; made when absent")
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add("--smf-port", type=_port, default=55555, help="plain SMF (default: %(default)s)")
    add("--smf-compressed-port", type=_port, help="compressed SMF: not available yet")
    add("--smf-tls-port", type=_port, default=55443, help="SMF over TLS, with a certificate (default: %(default)s)")
    add("--web-port", type=_port, help="SMF over WebSocket: not available yet")
    add("--semp-port", type=_port, default=8080, help="SEMP v2 over HTTP (default: %(default)s)")
    add("--health-port", type=_port, default=5550, help="health checks (default: %(default)s)")
    add("--admin-user", default="admin", help="SEMP user (default: %(default)s)")
    add("--admin-password", default="admin", help="SEMP password (default: %(default)s)")
    add("--sync", choices=("always", "batch", "never"), default="batch", help="when messages reach the disk")
    add(
        "--role",
        choices=("primary", "backup"),
        default="primary",
        help="backup: wait for the lock of the directory, then take over",
    )
    add("--tls-certificate", type=Path, metavar="PEM", help="server certificate chain")
    add("--tls-key", type=Path, metavar="PEM", help="its private key")
    add("--tls-client-ca", type=Path, metavar="PEM", help="authorities whose client certificates are accepted")
    add("--log-level", choices=("debug", "info", "warning", "error"), default="info", help="(default: %(default)s)")
    return parser
