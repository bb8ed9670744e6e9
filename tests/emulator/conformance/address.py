"""Where the broker under test is: the options, and what stands behind the addresses given by them."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import pytest

EMULATOR: Final = "crep-emulator"
"""The platform that the emulator names in ``about/api``."""
_CONNECT_SECONDS: Final = 5.0
_SEMP_SECONDS: Final = 15.0


class Unusable(Exception):
    """The options lead to no broker: one line that says which and why."""


@dataclass(frozen=True)
class Address:
    """A broker that answers. ``smf`` may be a host list; ``vpn`` None stands for one made for each test."""

    smf: str
    semp: str
    smf_tls: str | None = None
    trust_store: Path | None = None
    health: str | None = None
    user: str = "admin"
    password: str = "admin"
    vpn: str | None = None
    platform: str = EMULATOR
    version: str = ""

    @property
    def emulated(self) -> bool:
        """It is the emulator, which is held to every assumption; from another broker the suite learns."""
        return self.platform == EMULATOR

    def administrator(self) -> httpx.Client:
        """An HTTP client that is logged in to SEMP v2; paths begin with the interface."""
        return httpx.Client(
            base_url=f"{self.semp}/SEMP/v2/",
            auth=(self.user, self.password),
            timeout=_SEMP_SECONDS,
        )


def add_options(parser: pytest.Parser) -> None:
    """Add the options that lead to a broker. Without any, the suite starts the emulator."""
    group = parser.getgroup("conformance", "Solace conformance: the broker under test (default: the emulator)")
    group.addoption("--solace", metavar="tcp://HOST:PORT", help="SMF address of a broker to test")
    group.addoption("--semp", metavar="http://HOST:PORT", help="its SEMP address")
    group.addoption("--semp-user", default="admin", help="administrator (default: admin)")
    group.addoption("--semp-password", default="admin", help="and password (default: admin)")
    group.addoption("--vpn", help="work in this message VPN, which nothing else may use; default: one for each test")
    group.addoption("--solace-tls", metavar="tcps://HOST:PORT", help="SMF address over TLS; without, TLS is skipped")
    group.addoption("--trust-store", metavar="DIR", type=Path, help="authorities of its certificate; without, any")
    group.addoption("--health", metavar="http://HOST:PORT", help="health check address; without, it is skipped")


def given(config: pytest.Config) -> Address | None:
    """Return the broker that the options lead to, None where there are none. Raises :class:`Unusable`."""
    smf, semp = config.getoption("--solace", None), config.getoption("--semp", None)
    rest = [name for name in ("--vpn", "--solace-tls", "--trust-store", "--health") if config.getoption(name, None)]
    if not smf and not semp:
        if rest:
            raise Unusable(f"{rest[0]} needs --solace and --semp")
        return None
    if not (smf and semp):
        raise Unusable("--solace and --semp belong together: messages and administration of one broker")
    tls, health = config.getoption("--solace-tls", None), config.getoption("--health", None)
    for option, address, scheme in (
        ("--solace", smf, "tcp"),
        ("--semp", semp, "http"),
        ("--solace-tls", tls, "tcps"),
        ("--health", health, "http"),
    ):
        if address:
            _check_reachable(option, address, scheme)
    address = Address(
        smf=smf,
        semp=semp.rstrip("/"),
        smf_tls=tls,
        trust_store=config.getoption("--trust-store", None),
        health=health and health.rstrip("/"),
        user=config.getoption("--semp-user"),
        password=config.getoption("--semp-password"),
        vpn=config.getoption("--vpn", None),
    )
    return identified(address)


def _check_reachable(option: str, address: str, scheme: str) -> None:
    """Every host of a list accepts a connection. Raises :class:`Unusable`."""
    schemes = (scheme, "https") if scheme == "http" else (scheme,)
    for one in address.split(","):
        parts = urlsplit(one)
        try:
            port = parts.port
        except ValueError:
            port = None
        if parts.scheme not in schemes or not parts.hostname or port is None:
            raise Unusable(f"{option}: {one!r} is no address; write {scheme}://HOST:PORT")
        try:
            socket.create_connection((parts.hostname, port), _CONNECT_SECONDS).close()
        except OSError as error:
            raise Unusable(f"{option}: {one} cannot be reached: {error.strerror or error}") from None


def identified(address: Address) -> Address:
    """Return the address with what the broker says of itself. Raises :class:`Unusable`."""
    with address.administrator() as administrator:
        try:
            answer = administrator.get("config/about/api")
            answer.raise_for_status()
            about: dict[str, Any] = answer.json()["data"]
        except httpx.HTTPStatusError as error:
            code = error.response.status_code
            hint = "; see --semp-user and --semp-password" if code == httpx.codes.UNAUTHORIZED else ""
            raise Unusable(f"--semp: {address.semp} answers {code}{hint}") from None
        except (httpx.HTTPError, ValueError, KeyError) as error:
            raise Unusable(f"--semp: no SEMP v2 at {address.semp}: {type(error).__name__}") from None
        if address.vpn is not None and administrator.get(f"config/msgVpns/{address.vpn}").is_error:
            raise Unusable(f"--vpn: {address.semp} knows no message VPN {address.vpn!r}")
    values = vars(address) | {"platform": str(about.get("platform")), "version": str(about.get("sempVersion"))}
    return Address(**values)
