"""A local Kafka with a second listener, whose clients are told another port: that of a proxy.

A client of Kafka learns from the metadata where to connect. Whoever comes in by the second listener is told the
proxy's port, so that none of its connections goes around the proxy.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from crep.harness.config.targets import Target
from crep.harness.deployment.contract import Progress
from crep.harness.deployment.kafka import KafkaProduct
from crep.harness.deployment.ports import LOOPBACK, free_port
from crep.harness.deployment.product import Prepared

_ADDED = {
    "listeners": "FAR://{host}:{port}",
    "advertised.listeners": "FAR://{host}:{told}",
    "listener.security.protocol.map": "FAR:PLAINTEXT",
}


class TwoDoors(KafkaProduct):
    """``far`` is the port of the second listener, ``told`` the one that its clients are sent to."""

    def __init__(self) -> None:
        self.far, self.told = free_port(), free_port()

    def prepare(self, target: Target, folder: Path, progress: Progress) -> Prepared:
        """As any local Kafka, and the listener written into its configuration before its first start."""
        made = super().prepare(target, folder, progress)
        [node] = made.nodes
        path = folder / f"{node.name}.properties"
        lines = []
        for line in path.read_text(encoding="ascii").splitlines():
            key, _, value = line.partition("=")
            more = _ADDED.get(key)
            words = more.format(host=LOOPBACK, port=self.far, told=self.told) if more else ""
            lines.append(f"{key}={value},{words}" if more else line)
        path.write_text("\n".join(lines) + "\n", encoding="ascii")
        return replace(made, nodes=(replace(node, ports=node.ports | {"far": self.far}),))
