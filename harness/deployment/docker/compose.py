"""Docker's commands for one compose project: start, stop, fail and look at its containers."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from crep.harness.deployment.contract import DeploymentError

PROJECT = "crep"
START_WITHIN_S = 900.0
"""The first start fetches images."""
_ANSWER_WITHIN_S = 60.0
_LOOK_WITHIN_S = 10.0
_LAST_LINES = 8


class Compose:
    """One profile of a compose file as project ``crep-PROFILE``, so that profiles come and go apart.

    Args:
        file: the compose file.
        profile: which of its profiles.
    """

    def __init__(self, file: Path, profile: str) -> None:
        self.file, self.profile = file, profile
        self._containers: dict[str, str] = {}
        self._command: list[str] | None = None

    @property
    def project(self) -> str:
        """The name that its containers, volumes and network begin with."""
        return f"{PROJECT}-{self.profile}"

    def up(self) -> None:
        """Make and start all containers; those that run stay as they are.

        Raises:
            DeploymentError: Docker is missing, or refuses; its last words are the hint.
        """
        self._compose("up", "--detach", within_s=START_WITHIN_S)
        self._containers.clear()

    def down(self) -> None:
        """Remove containers, network and data."""
        self._compose("down", "--volumes", "--timeout", "30", within_s=_ANSWER_WITHIN_S * 2)
        self._containers.clear()

    def container(self, service: str) -> str | None:
        """Id of a service's container; None where there is none."""
        if service not in self._containers:
            found = self._compose("ps", "--all", "--quiet", service, within_s=_LOOK_WITHIN_S).split()
            if not found:
                return None
            self._containers[service] = found[0]
        return self._containers[service]

    def running(self, service: str) -> bool:
        """Whether the service's container runs; a paused one does."""
        state = self.state(service)
        return state is not None and bool(state["Running"])

    def state(self, service: str) -> dict[str, object] | None:
        """``docker inspect``'s State of the container; None where there is none."""
        container = self.container(service)
        if container is None:
            return None
        ended = _run(["docker", "inspect", "--format", "{{json .State}}", container], _LOOK_WITHIN_S)
        if ended.returncode:
            self._containers.pop(service, None)  # it was removed, by whomever
            return None
        state: dict[str, object] = json.loads(ended.stdout)
        return state

    def image(self, service: str) -> str:
        """Image and digest that the service's container was made of; empty where there is no container."""
        container = self.container(service)
        if container is None:
            return ""
        form = "{{.Config.Image}} {{.Image}}"
        return self.docker("inspect", "--format", form, container).strip()

    def docker(self, *arguments: str, within_s: float = _ANSWER_WITHIN_S) -> str:
        """What a command of Docker prints.

        Raises:
            DeploymentError: it failed, or did not end in time.
        """
        return _checked(["docker", *arguments], within_s)

    def logs(self, service: str, lines: int) -> str:
        """The last lines of a service's log."""
        container = self.container(service)
        if container is None:
            return ""
        command = ["docker", "logs", "--tail", str(lines), container]
        ended = _run(command, _ANSWER_WITHIN_S)
        return ended.stdout + ended.stderr

    def _compose(self, *arguments: str, within_s: float) -> str:
        if self._command is None:
            self._command = _compose_command()
        place = ["--file", str(self.file), "--project-name", self.project, "--profile", self.profile]
        return _checked([*self._command, *place, *arguments], within_s)


def _compose_command() -> list[str]:
    """The plugin of Docker (v2), else the program of its own (v1.28 and later know profiles).

    Asked first: whether there is Docker at all and a daemon behind it, which compose tells in its own words only.
    """
    if shutil.which("docker") is None:
        raise DeploymentError(
            "Docker is not installed (no command 'docker')",
            hint="install Docker Engine with its compose plugin, or take a target that needs none: "
            "kafka-local, solace-emulator, or one with source 'address'",
        )
    served = _run(["docker", "version", "--format", "{{.Server.Version}}"], _LOOK_WITHIN_S)
    if served.returncode:
        raise DeploymentError(
            f"Docker's daemon does not answer: {(served.stderr or served.stdout).strip()}",
            hint="start it (systemctl start docker, or Docker Desktop), and see that this user may use it "
            "(group docker)",
        )
    if _run(["docker", "compose", "version"], _LOOK_WITHIN_S).returncode == 0:
        return ["docker", "compose"]
    if shutil.which("docker-compose") is not None:
        return ["docker-compose"]
    raise DeploymentError(
        "Docker has no compose here (neither 'docker compose' nor 'docker-compose')",
        hint="install the package docker-compose-plugin (Docker's own) or docker-compose (Debian's)",
    )


def _run(command: list[str], within_s: float) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=within_s, check=False)
    except subprocess.TimeoutExpired as error:
        raise DeploymentError(f"{' '.join(command[:3])} … did not end within {within_s:.0f} s") from error
    except OSError as error:
        raise DeploymentError(f"{command[0]} cannot be run: {error}") from error


def _checked(command: list[str], within_s: float) -> str:
    ended = _run(command, within_s)
    if ended.returncode:
        said = "\n".join((ended.stderr or ended.stdout).strip().splitlines()[-_LAST_LINES:])
        raise DeploymentError(f"{' '.join(command)} failed with exit code {ended.returncode}", hint=said)
    return ended.stdout
