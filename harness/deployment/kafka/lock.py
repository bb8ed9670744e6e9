"""The lock of Kafka's jars: every jar by coordinates, SHA-256 and size, and no address. ``renew`` writes it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from crep.harness.deployment.contract import DeploymentError

BROKER = "kafka_2.13"
LOCK_FILE = Path(__file__).with_name("jars.lock")

_LINE = re.compile(
    r"(?P<group>[\w.-]+):(?P<artifact>[\w.-]+):(?P<version>[\w.-]+) sha256:(?P<sha256>[0-9a-f]{64}) (?P<size>\d+)"
)


@dataclass(frozen=True, order=True)
class Jar:
    """One jar of the lock."""

    group: str
    artifact: str
    version: str
    sha256: str
    size: int

    @property
    def coordinates(self) -> str:
        """``group:artifact:version``."""
        return f"{self.group}:{self.artifact}:{self.version}"

    @property
    def file_name(self) -> str:
        """Its name in a Maven repository and in the cache."""
        return f"{self.artifact}-{self.version}.jar"

    @property
    def path(self) -> str:
        """Its place in a Maven repository (the "default" layout)."""
        return f"{self.group.replace('.', '/')}/{self.artifact}/{self.version}/{self.file_name}"


@dataclass(frozen=True)
class Lock:
    """All jars, and the digest of the lock itself, which names it in the provenance of a run."""

    jars: tuple[Jar, ...]
    digest: str

    @property
    def kafka_version(self) -> str:
        """Version of the broker."""
        return next(jar.version for jar in self.jars if jar.artifact == BROKER)

    @property
    def size(self) -> int:
        """Bytes of all jars together."""
        return sum(jar.size for jar in self.jars)


def read_lock(path: Path = LOCK_FILE) -> Lock:
    """Read a lock file.

    Raises:
        DeploymentError: a line is not of the lock's form, or two jars would be one file.
    """
    jars: dict[str, Jar] = {}
    for number, line in enumerate(path.read_text(encoding="ascii").splitlines(), start=1):
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise DeploymentError(
                f"{path}:{number}: not 'group:artifact:version sha256:<64 hex digits> <bytes>': {line!r}",
                hint="renew the lock: python -m crep.harness.deployment.kafka.renew",
            )
        jar = Jar(match["group"], match["artifact"], match["version"], match["sha256"], int(match["size"]))
        if jar.file_name in jars:
            raise DeploymentError(f"{path}:{number}: a second jar named {jar.file_name}")
        jars[jar.file_name] = jar
    if not any(jar.artifact == BROKER for jar in jars.values()):
        raise DeploymentError(f"{path}: there is no {BROKER} among the jars")
    return Lock(tuple(jars.values()), hashlib.sha256(render(jars.values()).encode("ascii")).hexdigest())


def render(jars: Iterable[Jar]) -> str:
    """The lock's lines, sorted, without comments: what its digest is taken over."""
    return "".join(f"{jar.coordinates} sha256:{jar.sha256} {jar.size}\n" for jar in sorted(jars))
