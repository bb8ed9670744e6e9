"""Kafka as a local cluster: three brokers and three controllers, every link between them through a proxy.

::

    clients ──► proxy ──► kafka-N (CLIENT)                     plane client
    kafka-M ──► proxy ──► kafka-N (INTERNAL)                   plane inter-node: replication
    kafka-M, controller-M ──► proxy ──► controller-N           plane quorum: registration, heartbeats, metadata

Brokers and controllers are processes of their own, so that two dead brokers do not take the quorum along. All of them,
with their clients, share one machine: heaps are small, and a verdict on speed says so (METHOD rule 17).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from crep.harness.brokers.contract import Endpoint
from crep.harness.brokers.kafka.quorum import ask_quorum
from crep.harness.config.targets import Target
from crep.harness.deployment import ports
from crep.harness.deployment.contract import Progress, Role
from crep.harness.deployment.kafka import probe, settings
from crep.harness.deployment.kafka.product import loopback_endpoint
from crep.harness.deployment.kafka.settings import CLIENT, CONTROLLER, INTERNAL, Listener
from crep.harness.deployment.kafka.software import Software
from crep.harness.deployment.product import NodePlan, Prepared
from crep.harness.proxy import LinkSpec, Plane

BROKERS: Mapping[str, int] = {"kafka-1": 1, "kafka-2": 2, "kafka-3": 3}
CONTROLLERS: Mapping[str, int] = {"controller-1": 101, "controller-2": 102, "controller-3": 103}
"""Node ids: one number space for both."""

_LISTENERS: Mapping[Role, Mapping[Plane, str]] = {
    "broker": {"client": CLIENT, "inter-node": INTERNAL},
    "controller": {"quorum": CONTROLLER},
}


class KafkaClusterProduct:
    """`product.Product` of three brokers and three controllers. They start together: brokers wait for the quorum."""

    system = "kafka"
    nodes: tuple[str, ...] = (*BROKERS, *CONTROLLERS)
    in_turn = False

    def prepare(self, target: Target, folder: Path, progress: Progress) -> Prepared:
        """Jars, Java, ports, links, configurations, formatted data folders."""
        links = _links(target)
        software = Software.find(progress)
        voters = {CONTROLLERS[link.node]: link.listen for link in links if link.plane == "quorum"}
        plans, configurations, own = [], [], {}
        for node in self.nodes:
            role = _role(node)
            mine = [link for link in links if link.node == node]
            listeners = [Listener(_LISTENERS[role][link.plane], link.to[1], link.listen) for link in mine]
            own[node] = settings.owned(_node_id(node), (role,), listeners, voters, folder / "data" / node)
            merged = settings.merge(target.name, own[node], settings.THREE_NODES, target.profile, target.settings)
            configuration = folder / f"{node}.properties"
            configuration.write_text(settings.properties(merged), encoding="ascii")
            configurations.append(configuration)
            command = software.broker(settings.small_jvm(role, target.profile), configuration)
            chosen = {str(link.plane): link.to[1] for link in mine}
            plans.append(NodePlan(node, command, chosen, (role,), identity=str(_node_id(node))))
        progress(f"formatting the storage of {len(plans)} nodes")
        software.format(configurations, target.name)
        return Prepared(
            nodes=tuple(plans),
            provenance={
                **software.provenance({role: list(settings.small_jvm(role, target.profile)) for role in _LISTENERS}),
                "settings": {
                    "three nodes": dict(settings.THREE_NODES),
                    f"profile {target.profile}": dict(settings.PROFILES[target.profile]),
                    "target": dict(target.settings),
                    "crep": {node: dict(layer) for node, layer in own.items()},
                },
                "topology": "three brokers and three controllers, a process each",
            },
            links=links,
        )

    def endpoint(self, target: Target, prepared: Prepared) -> Endpoint:
        """All three brokers, by the proxy's ports."""
        return loopback_endpoint(target, prepared)

    def ready(self, node: NodePlan, prepared: Prepared) -> bool:
        """A controller: it answers. A broker: it knows all three, and every controller follows the quorum's leader."""
        if not self.answers(node, 0.5):
            return False
        if "controller" in node.roles:
            return True
        address = f"{ports.LOOPBACK}:{node.ports['client']}"
        if probe.brokers(address, 2) < len(BROKERS):
            return False
        try:
            quorum = ask_quorum(Endpoint(system="kafka", target=node.name, bootstrap=address))
        except (OSError, ValueError):
            return False  # no leader yet, or none that is known here
        return quorum.following == frozenset(CONTROLLERS.values())

    def answers(self, node: NodePlan, timeout_s: float) -> bool:
        """One ApiVersions exchange, not through the proxy: it says how the node is, not how its links are."""
        return probe.answers(
            ports.LOOPBACK, node.ports["quorum" if "controller" in node.roles else "client"], timeout_s
        )


def _role(node: str) -> Role:
    return "broker" if node in BROKERS else "controller"


def _node_id(node: str) -> int:
    return {**BROKERS, **CONTROLLERS}[node]


def _links(target: Target) -> tuple[LinkSpec, ...]:
    """A proxy's port and a port of its own for each listener of each node; ``port`` is that of the first broker."""
    wanted = [(node, plane) for node in KafkaClusterProduct.nodes for plane in _LISTENERS[_role(node)]]
    fixed = [ports.claim(target.name, target.port + number) for number in range(len(BROKERS))] if target.port else []
    free = iter(ports.free_ports(2 * len(wanted), but=fixed))
    asked = iter(fixed)
    return tuple(
        LinkSpec(node, plane, next(asked) if fixed and plane == "client" else next(free), (ports.LOOPBACK, next(free)))
        for node, plane in wanted
    )
