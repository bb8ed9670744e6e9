"""The Solace emulator as a local process. Nothing of it is imported: only its command line and its ports are known."""

from __future__ import annotations

import http.client
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path

from crep.harness.brokers.contract import Endpoint
from crep.harness.config.errors import UsageError
from crep.harness.config.suggest import nearest
from crep.harness.config.targets import Setting, Target, Tls
from crep.harness.deployment import certificates, ports
from crep.harness.deployment.contract import Json, Progress
from crep.harness.deployment.product import NodePlan, Prepared
from crep.harness.proxy.links import LinkSpec

LISTENERS = ("smf", "semp", "health")
SECURED = "smf_tls"  # a further listener, the one that clients take, where the target has a folder of certificates
SETTINGS = ("sync", "tls")
SYNC = ("always", "batch", "never")
PROGRAM = (sys.executable, "-m", "crep.solace_emulator")
_ADMIN = "admin"  # the name and the password that the vendor's container is usually started with


class EmulatorProduct:
    """`product.Product` of one emulator.

    Args:
        program: the command that its options are put behind.
        proxied: True puts a proxy before the SMF listener.
    """

    system = "solace"
    nodes: tuple[str, ...] = ("solace-1",)
    in_turn = False

    def __init__(self, program: tuple[str, ...] = PROGRAM, *, proxied: bool = False) -> None:
        self._program, self._proxied = program, proxied

    def prepare(self, target: Target, folder: Path, progress: Progress) -> Prepared:
        """Ports and the command line; the emulator makes its own data folder's contents."""
        (node,) = self.nodes
        plan, links = planned(self._program, target, node, folder / "data" / node, offset=0, proxied=self._proxied)
        progress(f"Solace emulator, SMF port {plan.ports['smf']}, SEMP port {plan.ports['semp']}")
        return Prepared((plan,), provenance_of(target, "one process"), links)

    def endpoint(self, target: Target, prepared: Prepared) -> Endpoint:
        """Message VPN and users as on a fresh broker."""
        return endpoint_of(target, prepared)

    def ready(self, node: NodePlan, prepared: Prepared) -> bool:
        """Ready when guaranteed messaging is active."""
        return self.answers(node, 1.0)

    def answers(self, node: NodePlan, timeout_s: float) -> bool:
        """A connection to the SMF port, then the vendor's health check of guaranteed messaging."""
        return active(node, timeout_s)


def planned(
    program: tuple[str, ...],
    target: Target,
    node: str,
    data: Path,
    *,
    offset: int,
    proxied: bool,
    more: tuple[str, ...] = (),
) -> tuple[NodePlan, tuple[LinkSpec, ...]]:
    """One emulator process and the link before it.

    Args:
        program: the command that its options are put behind.
        target: its settings; clients reach the node at its ``port`` plus ``offset``.
        node: name of the node.
        data: its data directory.
        offset: see ``target``.
        proxied: whether a proxy is to stand before the SMF listener.
        more: further options.
    """
    secured = data.with_name(f"{node}-tls") if _folder_of_certificates(target) else None
    names, entrance = (LISTENERS, "smf") if secured is None else ((*LISTENERS, SECURED), SECURED)
    told = ports.claim(target.name, target.port + offset if target.port else 0)
    free = ports.free_ports(len(names), but=(told,))
    chosen = dict(zip(names, free, strict=True)) | ({} if proxied else {entrance: told})
    listeners = [part for name in names for part in (f"--{name.replace('_', '-')}-port", str(chosen[name]))]
    options = ["--data-dir", str(data), "--sync", _sync(target), "--admin-user", _ADMIN, "--admin-password", _ADMIN]
    if secured is not None:
        certificates.show(Path(_folder_of_certificates(target)), certificates.OWN, secured)
        options += ["--tls-certificate", str(secured / certificates.CERTIFICATE)]
        options += ["--tls-key", str(secured / certificates.KEY)]
    command = (*program, "--host", ports.LOOPBACK, *listeners, *options, *more)
    links = (LinkSpec(node, "client", told, (ports.LOOPBACK, chosen[entrance])),) if proxied else ()
    identity, shown = semp_address(chosen["semp"]), "" if secured is None else str(secured)
    return NodePlan(node, command, chosen, ("broker",), identity=identity, certificate=shown), links


def semp_address(port: int) -> str:
    """The address that a node is administrated at, which is also what it is known by."""
    return f"http://{ports.LOOPBACK}:{port}"


def provenance_of(target: Target, topology: str) -> dict[str, Json]:
    """What the report must say of the emulator."""
    return {
        "product": "crep Solace emulator",
        "version": version("crep"),
        "python": platform.python_version(),
        "settings": {
            f"profile {target.profile}": {},
            "target": dict(target.settings),
            "crep": {"sync": _sync(target)},
        },
        "topology": topology,
    }


def endpoint_of(target: Target, prepared: Prepared) -> Endpoint:
    """Where clients and administrators reach the nodes; message VPN and users as on a fresh broker."""
    folder = _folder_of_certificates(target)
    scheme, entrance = ("tcps", SECURED) if folder else ("tcp", "smf")
    hosts = [f"{scheme}://{ports.LOOPBACK}:{prepared.clients_reach(node, entrance)}" for node in prepared.nodes]
    return Endpoint(
        system="solace",
        target=target.name,
        smf=",".join(hosts),
        semp=",".join(semp_address(node.ports["semp"]) for node in prepared.nodes),
        username="default",
        admin_username=_ADMIN,
        admin_password=_ADMIN,
        tls=Tls(ca_file=str(Path(folder, certificates.AUTHORITY).resolve())) if folder else None,
    )


def active(node: NodePlan, timeout_s: float) -> bool:
    """Whether clients can use the node: it accepts SMF connections, and says that guaranteed messaging is up."""
    deadline = time.monotonic() + timeout_s
    if not ports.accepts(node.ports["smf"], timeout_s / 2):
        return False
    return health(node, max(0.01, deadline - time.monotonic())) == http.client.OK


def health(node: NodePlan, timeout_s: float) -> int | None:
    """The HTTP status of the vendor's health check of guaranteed messaging; None without an answer."""
    connection = http.client.HTTPConnection(ports.LOOPBACK, node.ports["health"], timeout=timeout_s)
    try:
        connection.request("GET", "/health-check/guaranteed-active")
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _sync(target: Target) -> str:
    for key in target.settings:
        if key not in SETTINGS:
            raise UsageError(
                f"target {target.name!r}: the emulator has no setting {key!r}{nearest(key, SETTINGS)}",
                hint=f"it knows: sync ({', '.join(SYNC)}), tls (a folder of certificates)",
            )
    sync: Setting = target.settings.get("sync", "always")
    if sync not in SYNC:
        raise UsageError(f"target {target.name!r}: sync is one of {', '.join(SYNC)}, not {sync!r}")
    return str(sync)


def _folder_of_certificates(target: Target) -> str:
    """Empty: without TLS."""
    return str(target.settings.get("tls", ""))
