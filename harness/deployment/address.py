"""`AddressDeployment`: a broker that somebody else runs. crep connects to it and has no hand on its processes."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from urllib.parse import urlsplit

from crep.harness.brokers.contract import Endpoint, NotSupported
from crep.harness.config.targets import KafkaAddress, SolaceAddress, Target, Tls
from crep.harness.deployment.contract import DeploymentError, Json, Progress, Role, UnknownNode
from crep.harness.deployment.kafka import probe

REACH_WITHIN_S = 5.0
_DEFAULT_PORTS = {"tcp": 55555, "tcps": 55443, "http": 80, "https": 443}


class AddressDeployment:
    """A broker known by its address. See `contract.Deployment` for the methods."""

    nodes: tuple[str, ...] = ()
    links = None
    outlives_us = True

    def __init__(self, target: Target) -> None:
        self._target = target
        self._endpoint: Endpoint | None = None

    @property
    def system(self) -> str:
        """See `contract.Deployment`."""
        return self._target.system

    @property
    def target(self) -> str:
        """See `contract.Deployment`."""
        return self._target.name

    @property
    def profile(self) -> str:
        """See `contract.Deployment`: it is what the target claims, since crep sets nothing on this broker."""
        return self._target.profile

    @property
    def allow_faults(self) -> bool:
        """What the target's file says; see `contract.Deployment`."""
        return self._target.allow_faults

    def start(self, progress: Progress) -> None:
        """Read the secrets from the environment, and have every interface of the broker answer once."""
        endpoint = endpoint_of(self._target)
        address = self._target.kafka or self._target.solace
        progress(f"asking {endpoint.bootstrap or endpoint.smf}")
        if isinstance(address, KafkaAddress):
            self._reach("the Kafka protocol", [f"tcp://{host}" for host in _split(address.bootstrap)], address.tls)
        elif isinstance(address, SolaceAddress):
            self._reach("SMF", _split(address.smf), address.tls)
            self._reach("SEMP", _split(address.semp), address.tls)
        self._endpoint = endpoint

    def endpoint(self) -> Endpoint:
        """See `contract.Deployment`."""
        if self._endpoint is None:
            raise DeploymentError(f"{self.target}: the deployment has not been started")
        return self._endpoint

    def kill_node(self, node: str) -> int:
        """Never possible."""
        raise self._no_hand(f"kill {node}")

    def stop_node(self, node: str, grace_s: float) -> int:
        """Never possible."""
        raise self._no_hand(f"stop {node}")

    def pause_node(self, node: str) -> int:
        """Never possible."""
        raise self._no_hand(f"pause {node}")

    def resume_node(self, node: str) -> None:
        """Never possible."""
        raise self._no_hand(f"resume {node}")

    def limit_files(self, node: str, most_bytes: int | None) -> None:
        """Never possible."""
        raise self._no_hand(f"limit the files of {node}")

    certificates: tuple[str, ...] = ()

    def show_certificate(self, node: str, name: str | None) -> None:
        """Never possible."""
        raise self._no_hand(f"exchange the certificate of {node}")

    def start_node(self, node: str) -> None:
        """Never possible."""
        raise self._no_hand(f"start {node}")

    def probe_node(self, node: str) -> bool:
        """Never possible: an address has no nodes."""
        raise self._no_node(node)

    def node_pid(self, node: str) -> int | None:
        """Never known."""
        raise self._no_node(node)

    def roles(self, node: str) -> frozenset[Role]:
        """Never known."""
        raise self._no_node(node)

    def node_of(self, identity: str) -> str:
        """Never known."""
        raise self._no_node(identity)

    def describe(self) -> dict[str, Json]:
        """The address, without secrets. Product and version are what the adapter's ``facts`` ask the broker for."""
        address = self._target.kafka or self._target.solace
        return {
            "system": self.system,
            "source": self._target.source,
            "target": self.target,
            "profile": self.profile,
            "address": None if address is None else address.model_dump(mode="json", exclude={"login", "admin"}),
            "host": "not known to crep",
            "nodes": {},
            "allow_faults": self.allow_faults,
            "started_by": "not crep",
        }

    def stop(self) -> None:
        """Leave the broker as it is."""
        self._endpoint = None

    def reaches(self, url: str, within_s: float) -> bool:
        """Whether something at ``url`` answers one cheap exchange of the broker's protocol in time."""
        address = self._target.kafka or self._target.solace
        try:
            _ask(url, self.system == "kafka", None if address is None else address.tls, within_s)
        except (OSError, http.client.HTTPException):
            return False
        return True

    def _reach(self, protocol: str, urls: list[str], tls: Tls | None) -> None:
        """Return when one of the addresses answers; all of a list are nodes of the same broker."""
        failures = []
        for url in urls:
            try:
                _ask(url, self.system == "kafka", tls)
            except (OSError, http.client.HTTPException) as error:
                failures.append(f"{urlsplit(url).netloc}: {error or type(error).__name__}")
            else:
                return
        raise DeploymentError(
            f"target {self.target!r}: no broker answers {protocol} at {', '.join(urls)} ({'; '.join(failures)})",
            hint="check that the broker runs, that host and port are right and reachable from here (firewall, VPN, "
            "container port mapping), and that 'tls:' is given exactly where that port speaks TLS",
        )

    def _no_node(self, node: str) -> UnknownNode:
        return UnknownNode(f"{self.target} is an address; crep does not know the nodes behind it (asked for {node!r})")

    def _no_hand(self, what: str) -> NotSupported:
        return NotSupported(
            f"{self.target}: cannot {what}: the broker is only an address, crep did not start its processes",
            hint="take a target that crep starts itself (source local or embedded) for faults on nodes",
        )


def endpoint_of(target: Target) -> Endpoint:
    """The endpoint of an ``address`` target.

    Raises:
        UsageError: an environment variable that holds a secret is not set.
    """
    if target.kafka is not None:
        login = target.kafka.login
        return Endpoint(
            system="kafka",
            target=target.name,
            bootstrap=target.kafka.bootstrap,
            username=None if login is None else login.username,
            password="" if login is None else login.password().get_secret_value(),
            sasl_mechanism=None if login is None else target.kafka.sasl_mechanism,
            tls=target.kafka.tls,
        )
    if target.solace is None:
        raise DeploymentError(f"target {target.name!r} has no address")
    address = target.solace
    return Endpoint(
        system="solace",
        target=target.name,
        smf=address.smf,
        semp=address.semp,
        vpn=address.vpn,
        username=address.login.username,
        password=address.login.password().get_secret_value(),
        admin_username=address.admin.username,
        admin_password=address.admin.password().get_secret_value(),
        tls=address.tls,
    )


def _ask(url: str, kafka: bool, tls: Tls | None, within_s: float = REACH_WITHIN_S) -> None:
    """One exchange: Kafka's ApiVersions, an HTTP answer of any status, or an SMF connection (with its TLS handshake).

    Raises:
        OSError: nothing there, the handshake failed, or it does not answer in time.
        http.client.HTTPException: it is no HTTP server.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or _DEFAULT_PORTS[parts.scheme]
    deadline = time.monotonic() + within_s
    encrypted = parts.scheme in {"tcps", "https"} or (kafka and tls is not None)
    with socket.create_connection((host, port), within_s) as plain:
        connection = _context(tls).wrap_socket(plain, server_hostname=host) if encrypted else plain
        with connection:
            if kafka and not probe.exchange(connection, deadline):
                raise OSError("what listens there does not speak the Kafka protocol")
            if parts.scheme in {"http", "https"}:
                asked = http.client.HTTPConnection(host, port)
                asked.sock = connection
                asked.request("GET", "/SEMP/v2/config/about/api")
                asked.getresponse().read()


def _context(tls: Tls | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=None if tls is None else tls.ca_file)
    if tls is not None:
        context.check_hostname = tls.verify_host
        if tls.certificate_file is not None:
            context.load_cert_chain(tls.certificate_file, tls.key_file)
    return context


def _split(addresses: str) -> list[str]:
    return [part.strip() for part in addresses.split(",") if part.strip()]
