"""What a local Kafka is run with: a Java, a distribution of the jars, the command lines, and the formatted storage."""

from __future__ import annotations

import base64
import os
import re
import subprocess
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from crep.harness.deployment.contract import DeploymentError, Json, Progress
from crep.harness.deployment.kafka.java import Java, find_java
from crep.harness.deployment.kafka.lock import read_lock
from crep.harness.deployment.log import last_words
from crep.harness.processes import run

_FORMAT_WITHIN_S = 120
_JAVA_VARIABLES = ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS")  # Java itself adds these to its command line
_LOG_OPTION = f"-Dlog4j2.configurationFile={Path(__file__).with_name('log4j2.properties')}"


@dataclass(frozen=True)
class Distribution:
    """Which jars are run: a folder, the Kafka version, and how they are known."""

    folder: Path
    version: str
    provenance: dict[str, Json]


@dataclass(frozen=True)
class Software:
    """A Java and a Kafka."""

    java: Java
    distribution: Distribution

    @classmethod
    def find(cls, progress: Progress) -> Software:
        """What this machine has, or what can be fetched.

        Raises:
            DeploymentError: no Java, or no Kafka.
        """
        found = cls(find_java(), find_distribution(progress))
        progress(f"Kafka {found.distribution.version} on Java {found.java.version} ({found.java.found})")
        return found

    def broker(self, jvm: Sequence[str], configuration: Path) -> tuple[str, ...]:
        """The command line of one node, whatever its roles."""
        headless = "-Djava.awt.headless=true"
        return (self.java.program, *jvm, headless, _LOG_OPTION, *self._classes, "kafka.Kafka", str(configuration))

    def format(self, configurations: Sequence[Path], target: str) -> None:
        """Write one cluster id into the data folder of every node, which KRaft needs before the first start.

        All at once: a Java machine spends most of that time on starting.

        Raises:
            DeploymentError: Kafka refuses a configuration, with its words.
        """
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode("ascii")
        with ThreadPoolExecutor(len(configurations)) as pool:
            for outcome in [pool.submit(self._format, cluster, path, target) for path in configurations]:
                outcome.result()

    def _format(self, cluster: str, configuration: Path, target: str) -> None:
        java = (self.java.program, "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", _LOG_OPTION)
        # "--flag=value", because a random id may begin with "-".
        tool = ("kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", f"--config={configuration}")
        try:
            done = run([*java, *self._classes, *tool], timeout_s=_FORMAT_WITHIN_S)
        except subprocess.TimeoutExpired as error:
            raise DeploymentError(
                f"{target}: Kafka's storage format did not end within {_FORMAT_WITHIN_S} s"
            ) from error
        if done.code != 0:
            raise DeploymentError(f"{target}: Kafka refused to format its storage:\n{last_words(done.output)}")

    def provenance(self, options: Json) -> dict[str, Json]:
        """Versions, and how they are known; ``options`` are those given to Java."""
        return {
            "product": "Apache Kafka",
            "version": self.distribution.version,
            **self.distribution.provenance,
            "java": {
                "version": self.java.version,
                "found": self.java.found,
                "options": options,
                "environment": {name: os.environ[name] for name in _JAVA_VARIABLES if name in os.environ},
            },
        }

    @property
    def _classes(self) -> tuple[str, str]:
        return "-cp", f"{self.distribution.folder}/*"


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
