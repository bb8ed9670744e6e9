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
from crep.harness.config.targets import Setting, Target
from crep.harness.deployment import ports
from crep.harness.deployment.contract import Progress
from crep.harness.deployment.product import NodePlan, Prepared

LISTENERS = ("smf", "semp", "health")
SYNC = ("always", "batch", "never")
PROGRAM = (sys.executable, "-m", "crep.solace_emulator")
_ADMIN = "admin"  # the name and the password that the vendor's container is usually started with


class EmulatorProduct:
    """`product.Product` of the emulator.

    Args:
        program: the command that its options are put behind.
    """

    system = "solace"
    nodes: tuple[str, ...] = ("solace-1",)

    def __init__(self, program: tuple[str, ...] = PROGRAM) -> None:
        self._program = program

    def prepare(self, target: Target, folder: Path, progress: Progress) -> Prepared:
        """Ports and the command line; the emulator makes its own data folder's contents."""
        node = self.nodes[0]
        sync = _sync(target)
        chosen = {name: ports.claim(target.name, target.port if name == "smf" else 0) for name in LISTENERS}
        listeners = [part for name in LISTENERS for part in (f"--{name}-port", str(chosen[name]))]
        data = ["--data-dir", str(folder / "data" / node), "--sync", sync]
        login = ["--admin-user", _ADMIN, "--admin-password", _ADMIN]
        progress(f"Solace emulator, SMF port {chosen['smf']}, SEMP port {chosen['semp']}")
        return Prepared(
            nodes=(NodePlan(node, (*self._program, "--host", ports.LOOPBACK, *listeners, *data, *login), chosen),),
            provenance={
                "product": "crep Solace emulator",
                "version": version("crep"),
                "python": platform.python_version(),
                "settings": {f"profile {target.profile}": {}, "target": dict(target.settings), "crep": {"sync": sync}},
                "topology": "one process",
            },
        )

    def endpoint(self, target: Target, nodes: tuple[NodePlan, ...]) -> Endpoint:
        """Message VPN and users as on a fresh broker."""
        chosen = nodes[0].ports
        return Endpoint(
            system=self.system,
            target=target.name,
            smf=f"tcp://{ports.LOOPBACK}:{chosen['smf']}",
            semp=f"http://{ports.LOOPBACK}:{chosen['semp']}",
            username="default",
            admin_username=_ADMIN,
            admin_password=_ADMIN,
        )

    def ready(self, node: NodePlan) -> bool:
        """Ready when guaranteed messaging is active."""
        return self.answers(node, 1.0)

    def answers(self, node: NodePlan, timeout_s: float) -> bool:
        """A connection to the SMF port, then the vendor's health check of guaranteed messaging."""
        deadline = time.monotonic() + timeout_s
        if not ports.accepts(node.ports["smf"], timeout_s / 2):
            return False
        return _guaranteed_active(node.ports["health"], max(0.01, deadline - time.monotonic()))


def _sync(target: Target) -> str:
    for key in target.settings:
        if key != "sync":
            raise UsageError(
                f"target {target.name!r}: the emulator has no setting {key!r}{nearest(key, ['sync'])}",
                hint=f"it knows: sync ({', '.join(SYNC)})",
            )
    sync: Setting = target.settings.get("sync", "always")
    if sync not in SYNC:
        raise UsageError(f"target {target.name!r}: sync is one of {', '.join(SYNC)}, not {sync!r}")
    return str(sync)


def _guaranteed_active(port: int, timeout_s: float) -> bool:
    connection = http.client.HTTPConnection(ports.LOOPBACK, port, timeout=timeout_s)
    try:
        connection.request("GET", "/health-check/guaranteed-active")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
