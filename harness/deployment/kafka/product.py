"""Kafka as local processes: one node that is broker and controller (KRaft)."""

from __future__ import annotations

import base64
import os
import re
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path

from crep.harness.brokers.contract import Endpoint
from crep.harness.config.targets import Target
from crep.harness.deployment import ports
from crep.harness.deployment.contract import DeploymentError, Json, Progress
from crep.harness.deployment.kafka import probe, settings
from crep.harness.deployment.kafka.java import find_java
from crep.harness.deployment.kafka.lock import read_lock
from crep.harness.deployment.log import last_words
from crep.harness.deployment.product import NodePlan, Prepared
from crep.harness.processes import run

_FORMAT_WITHIN_S = 60
_JAVA_VARIABLES = ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS")  # Java itself adds these to its command line
_LOG_CONFIGURATION = Path(__file__).with_name("log4j2.properties")


@dataclass(frozen=True)
class Distribution:
    """Which jars are run: a folder, the Kafka version, and how they are known."""

    folder: Path
    version: str
    provenance: dict[str, Json]


class KafkaProduct:
    """`product.Product` of Apache Kafka."""

    system = "kafka"
    nodes: tuple[str, ...] = ("kafka-1",)

    def prepare(self, target: Target, folder: Path, progress: Progress) -> Prepared:
        """Jars, Java, ports, configuration, formatted data folder."""
        node = self.nodes[0]
        chosen = {"client": ports.claim(target.name, target.port), "controller": ports.free_port()}
        own = settings.owned(1, chosen["client"], chosen["controller"], folder / "data" / node)
        effective = settings.merge(target.name, own, target.profile, target.settings)
        java = find_java()
        distribution = find_distribution(progress)
        configuration = folder / f"{node}.properties"
        configuration.write_text(settings.properties(effective), encoding="ascii")
        classes = ("-cp", f"{distribution.folder}/*")
        log = f"-Dlog4j2.configurationFile={_LOG_CONFIGURATION}"
        progress(f"Kafka {distribution.version} on Java {java.version} ({java.found}), port {chosen['client']}")
        _format((java.program, "-Xmx128m", log, *classes), configuration, target.name)
        jvm = settings.JVM[target.profile]
        args = (java.program, *jvm, "-Djava.awt.headless=true", log, *classes, "kafka.Kafka", str(configuration))
        return Prepared(
            nodes=(NodePlan(node, args, chosen),),
            provenance={
                "product": "Apache Kafka",
                "version": distribution.version,
                **distribution.provenance,
                "java": {
                    "version": java.version,
                    "found": java.found,
                    "options": list(jvm),
                    "environment": {name: os.environ[name] for name in _JAVA_VARIABLES if name in os.environ},
                },
                "settings": {
                    "one node": dict(settings.ONE_NODE),
                    f"profile {target.profile}": dict(settings.PROFILES[target.profile]),
                    "target": dict(target.settings),
                    "crep": dict(own),
                },
                "topology": "one node, broker and controller in one process",
            },
        )

    def endpoint(self, target: Target, nodes: tuple[NodePlan, ...]) -> Endpoint:
        """Plain text on the loopback."""
        bootstrap = ",".join(f"{ports.LOOPBACK}:{node.ports['client']}" for node in nodes)
        return Endpoint(system=self.system, target=target.name, bootstrap=bootstrap)

    def ready(self, node: NodePlan) -> bool:
        """Ready when a client sees the broker in the metadata. The cheap exchange first: it fails at once."""
        port = node.ports["client"]
        return probe.answers(ports.LOOPBACK, port, 0.5) and probe.in_metadata(f"{ports.LOOPBACK}:{port}", 2)

    def answers(self, node: NodePlan, timeout_s: float) -> bool:
        """One ApiVersions exchange."""
        return probe.answers(ports.LOOPBACK, node.ports["client"], timeout_s)


def find_distribution(progress: Progress) -> Distribution:
    """``KAFKA_HOME`` where it is set, else the jars of the lock.

    Raises:
        DeploymentError: KAFKA_HOME holds no Kafka, or the jars cannot be had.
    """
    home = os.environ.get("KAFKA_HOME")
    if not home:
        lock = read_lock()
        from crep.harness.deployment.kafka.jars import fetch  # noqa: PLC0415 - an HTTP client, which most runs do not need

        return Distribution(fetch(lock, progress), lock.kafka_version, {"jars": "lock", "lock_sha256": lock.digest})
    libraries = Path(home) / "libs"
    names = (re.fullmatch(r"kafka_2\.\d+-(\d+\.\d+\.\d+)\.jar", path.name) for path in libraries.glob("kafka_2.*.jar"))
    found = [match[1] for match in names if match]
    if not found:
        raise DeploymentError(
            f"KAFKA_HOME is {home}, but there is no {libraries}/kafka_2.13-<version>.jar",
            hint="KAFKA_HOME is the folder of an unpacked Kafka distribution, with bin, config and libs; or unset it",
        )
    return Distribution(libraries, found[0], {"jars": f"KAFKA_HOME={home}", "lock_sha256": None})


def _format(java: tuple[str, ...], configuration: Path, target: str) -> None:
    """Write the cluster id into the data folder, which a KRaft node needs before its first start."""
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode("ascii")
    # "--flag=value", because a random id may begin with "-".
    args = ["kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", f"--config={configuration}"]
    try:
        done = run([*java, *args], timeout_s=_FORMAT_WITHIN_S)
    except subprocess.TimeoutExpired as error:
        raise DeploymentError(f"{target}: Kafka's storage format did not end within {_FORMAT_WITHIN_S} s") from error
    if done.code != 0:
        raise DeploymentError(f"{target}: Kafka refused to format its storage:\n{last_words(done.output)}")
