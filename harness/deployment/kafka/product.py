"""Kafka as one local process: broker and controller in one (KRaft)."""

from __future__ import annotations

from pathlib import Path

from crep.harness.brokers.contract import Endpoint
from crep.harness.config.targets import Target
from crep.harness.deployment import ports
from crep.harness.deployment.contract import Progress
from crep.harness.deployment.kafka import probe, settings
from crep.harness.deployment.kafka.settings import CLIENT, CONTROLLER, Listener
from crep.harness.deployment.kafka.software import Software
from crep.harness.deployment.product import NodePlan, Prepared
from crep.harness.proxy.links import LinkSpec

NODE_ID = 1


class KafkaProduct:
    """`product.Product` of one Apache Kafka node.

    Args:
        proxied: True puts a proxy before the client listener: its port is the one that clients are told.
    """

    system = "kafka"
    nodes: tuple[str, ...] = ("kafka-1",)
    in_turn = False
    proxied = False

    def __init__(self, *, proxied: bool = False) -> None:
        self.proxied = proxied

    def prepare(self, target: Target, folder: Path, progress: Progress) -> Prepared:
        """Jars, Java, ports, configuration, formatted data folder."""
        node = self.nodes[0]
        told = ports.claim(target.name, target.port)
        more = ports.free_ports(2, but=(told,))
        chosen = {"client": more[1] if self.proxied else told, "quorum": more[0]}
        listeners = (
            Listener(CLIENT, chosen["client"], told),
            Listener(CONTROLLER, chosen["quorum"], chosen["quorum"]),
        )
        own = settings.owned(
            NODE_ID, ("broker", "controller"), listeners, {NODE_ID: chosen["quorum"]}, folder / "data" / node
        )
        effective = settings.merge(target.name, own, settings.ONE_NODE, target.profile, target.settings)
        software = Software.find(progress)
        configuration = folder / f"{node}.properties"
        configuration.write_text(settings.properties(effective), encoding="ascii")
        software.format([configuration], target.name)
        progress(f"port {told}")
        jvm = settings.JVM[target.profile]
        plan = NodePlan(
            node, software.broker(jvm, configuration), chosen, ("broker", "controller"), identity=str(NODE_ID)
        )
        return Prepared(
            nodes=(plan,),
            provenance={
                **software.provenance(list(jvm)),
                "settings": {
                    "one node": dict(settings.ONE_NODE),
                    f"profile {target.profile}": dict(settings.PROFILES[target.profile]),
                    "target": dict(target.settings),
                    "crep": dict(own),
                },
                "topology": "one node, broker and controller in one process",
            },
            links=(LinkSpec(node, "client", told, (ports.LOOPBACK, chosen["client"])),) if self.proxied else (),
        )

    def endpoint(self, target: Target, prepared: Prepared) -> Endpoint:
        """Plain text on the loopback."""
        return loopback_endpoint(target, prepared)

    def ready(self, node: NodePlan, prepared: Prepared) -> bool:
        """Ready when a client sees the broker in the metadata. The cheap exchange first: it fails at once."""
        port = node.ports["client"]
        return probe.answers(ports.LOOPBACK, port, 0.5) and probe.brokers(f"{ports.LOOPBACK}:{port}", 2) > 0

    def answers(self, node: NodePlan, timeout_s: float) -> bool:
        """One ApiVersions exchange."""
        return probe.answers(ports.LOOPBACK, node.ports["client"], timeout_s)


def loopback_endpoint(target: Target, prepared: Prepared) -> Endpoint:
    """Where clients reach the brokers: plain text on the loopback, through the proxy where there is one."""
    brokers = [node for node in prepared.nodes if "broker" in node.roles]
    bootstrap = ",".join(f"{ports.LOOPBACK}:{prepared.clients_reach(node, 'client')}" for node in brokers)
    return Endpoint(system="kafka", target=target.name, bootstrap=bootstrap)
