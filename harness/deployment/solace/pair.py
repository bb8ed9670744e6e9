"""Two emulators on one data directory: the active one serves, the other stands by and takes over.

A stand-in for a redundancy pair, not the same mechanism: messages are kept once, on the disk that both share, and what
moves over is the lock of the directory. Clients see what they see of a pair: a host list, a lost connection, a
reconnection to the other host, redelivery of what was not acknowledged.
"""

from __future__ import annotations

import http.client
from pathlib import Path

from crep.harness.brokers.contract import Endpoint
from crep.harness.config.targets import Target
from crep.harness.deployment.contract import Progress
from crep.harness.deployment.product import NodePlan, Prepared
from crep.harness.deployment.solace.product import PROGRAM, active, endpoint_of, health, planned, provenance_of


class EmulatorPairProduct:
    """`product.Product` of the pair. ``solace-1`` starts first and is active then; who comes back stands by.

    Args:
        program: the command that its options are put behind.
        proxied: True puts a proxy before the SMF listener of each.
    """

    system = "solace"
    nodes: tuple[str, ...] = ("solace-1", "solace-2")
    in_turn = True

    def __init__(self, program: tuple[str, ...] = PROGRAM, *, proxied: bool = False) -> None:
        self._program, self._proxied = program, proxied

    def prepare(self, target: Target, folder: Path, progress: Progress) -> Prepared:
        """Ports and command lines; ``--role backup`` waits for the directory, whichever of the two has it."""
        data = folder / "data" / "shared"
        made = [
            planned(
                self._program,
                target,
                node,
                data,
                offset=number,
                proxied=self._proxied,
                more=("--role", "backup"),
            )
            for number, node in enumerate(self.nodes)
        ]
        progress("two Solace emulators on one data directory")
        topology = "two processes on one data directory, one stands by: a stand-in for a redundancy pair"
        return Prepared(
            tuple(plan for plan, _ in made),
            provenance_of(target, topology),
            tuple(link for _, links in made for link in links),
        )

    def endpoint(self, target: Target, prepared: Prepared) -> Endpoint:
        """A host list of both, for clients and for administrators."""
        return endpoint_of(target, prepared)

    def ready(self, node: NodePlan, prepared: Prepared) -> bool:
        """The node serves, or it stands by and the other one serves."""
        return self.answers(node, 1.0) and any(active(one, 1.0) for one in prepared.nodes)

    def answers(self, node: NodePlan, timeout_s: float) -> bool:
        """It serves, or it says that it stands by (as the vendor's standby: health check 503)."""
        return active(node, timeout_s / 2) or health(node, timeout_s / 2) == http.client.SERVICE_UNAVAILABLE
