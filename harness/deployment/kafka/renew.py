"""Renew the lock of Kafka's jars (needs ``mvn``)::

    python -m crep.harness.deployment.kafka.renew [KAFKA_VERSION]

The list is taken from Maven's own resolution and nothing resolves at run time: a resolver that is not Maven picks other
versions of transitive dependencies, and Kafka then dies with NoSuchMethodError.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from crep.harness.config.errors import CrepError, UsageError
from crep.harness.deployment.contract import DeploymentError
from crep.harness.deployment.kafka.lock import BROKER, LOCK_FILE, Jar, read_lock, render
from crep.harness.processes import run

_LOG_BACKEND = "org.apache.logging.log4j:log4j-slf4j-impl:2.24.3"  # Kafka binds slf4j 1.7; without it the log is lost
_HEADER = """\
# Every jar of a local Apache Kafka: group:artifact:version, SHA-256, bytes. Nothing else is ever loaded.
# Written by: python -m crep.harness.deployment.kafka.renew {version}
"""
_POM = """\
<project>
<modelVersion>4.0.0</modelVersion><groupId>crep</groupId><artifactId>kafka-lock</artifactId><version>1</version>
<dependencies>{dependencies}</dependencies>
</project>
"""


def roots(version: str) -> tuple[str, ...]:
    """What Maven is asked to resolve: the broker, its command-line tools, a log back end."""
    return (f"org.apache.kafka:{BROKER}:{version}", f"org.apache.kafka:kafka-tools:{version}", _LOG_BACKEND)


def resolve(version: str) -> list[Jar]:
    """Let Maven resolve and fetch the jars of that Kafka version.

    Raises:
        DeploymentError: no ``mvn``, or it failed; the text ends with its last lines.
    """
    dependencies = "".join(
        "<dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></dependency>".format(
            *root.split(":")
        )
        for root in roots(version)
    )
    with tempfile.TemporaryDirectory(prefix="crep-lock-") as name:
        folder = Path(name)
        (folder / "pom.xml").write_text(_POM.format(dependencies=dependencies), encoding="utf-8")
        goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", "-Dmdep.useRepositoryLayout=true"]
        try:
            done = run(["mvn", "-q", "-B", *goal, "-DoutputDirectory=jars"], cwd=folder, timeout_s=600)
        except FileNotFoundError as error:
            raise DeploymentError(f"{error}; the lock is made by Maven", hint="install the package 'maven'") from error
        except subprocess.TimeoutExpired as error:
            raise DeploymentError("Maven did not end within 10 minutes") from error
        if done.code != 0:
            errors = [line for line in done.output.splitlines() if "[ERROR]" in line]
            raise DeploymentError(f"Maven could not resolve Kafka {version}", hint=(errors or [done.output[-500:]])[0])
        return sorted(_jar_at(path, folder / "jars") for path in (folder / "jars").rglob("*.jar"))


def _jar_at(path: Path, repository: Path) -> Jar:
    *group, artifact, version, _ = path.relative_to(repository).parts
    content = path.read_bytes()
    return Jar(".".join(group), artifact, version, hashlib.sha256(content).hexdigest(), len(content))


def main(arguments: list[str]) -> int:
    """Renew ``jars.lock`` for the Kafka version given, else for the one that it holds now."""
    try:
        if len(arguments) > 1 or any(not re.fullmatch(r"\d+\.\d+\.\d+", version) for version in arguments):
            raise UsageError("usage: python -m crep.harness.deployment.kafka.renew [KAFKA_VERSION, for example 4.3.1]")
        version = arguments[0] if arguments else read_lock().kafka_version
        jars = resolve(version)
    except CrepError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    LOCK_FILE.write_text(_HEADER.format(version=version) + render(jars), encoding="ascii")
    sys.stdout.write(f"{LOCK_FILE.name}: {len(jars)} jars, {sum(jar.size for jar in jars) / 1e6:.0f} MB\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
