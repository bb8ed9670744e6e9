"""`DockerDeployment`: containers that crep starts, or that run already, as a deployment with nodes."""

from __future__ import annotations

import os
import time
from pathlib import Path

import httpx

from crep.harness.brokers.contract import NotSupported
from crep.harness.config.errors import UsageError
from crep.harness.config.resources import resource
from crep.harness.config.targets import Target
from crep.harness.deployment.address import AddressDeployment, endpoint_of
from crep.harness.deployment.contract import DeploymentError, Json, Progress, Role, UnknownNode
from crep.harness.deployment.docker.compose import Compose
from crep.harness.deployment.docker.settle import settle
from crep.harness.deployment.log import last_words

COMPOSE_FILE = "solace_docker/compose.yaml"
READY_WITHIN_S = 240.0
"""A Solace broker needs 20 to 60 s; the first boot of a redundancy group longer."""
_PROBE_WITHIN_S = 0.5
_LOOK_EVERY_S = 1.0


class DockerDeployment(AddressDeployment):
    """One compose profile as a broker: an address whose processes crep has a hand on, through Docker.

    Containers that run when this starts are somebody's: `stop` leaves them alone. Signals go through Docker, so the
    time that `kill_node` and the others return is that before the command, which takes some 50 ms to act.
    """

    def __init__(self, target: Target) -> None:
        if target.docker is None:
            raise DeploymentError(f"target {target.name!r} has no 'docker:' block")
        super().__init__(target)
        self._docker = target.docker
        self.nodes = tuple(target.docker.nodes)  # services of the compose file
        file = resource(COMPOSE_FILE) if self._docker.compose is None else Path(self._docker.compose).resolve()
        self._compose = Compose(file, self._docker.profile)
        self._ours = False

    @property
    def allow_faults(self) -> bool:
        """See `contract.Deployment`: containers that ran before are failed only where the target's file says so."""
        return self._ours or self._target.allow_faults

    def roles(self, node: str) -> frozenset[Role]:
        """See `contract.Deployment`. A node without an address of its own decides who leads, and keeps no messages."""
        roles: set[Role] = {"broker"} if self._index(node) < len(self._addresses()) else {"controller"}
        if self.system == "kafka" and len(self.nodes) == 1:
            roles.add("controller")
        return frozenset(roles)

    def node_of(self, identity: str) -> str:
        """See `contract.Deployment`: Kafka's node id N is the Nth broker; Solace's is the SEMP address."""
        known = self._identities()
        if identity not in known:
            said = ", ".join(f"{node} ({name})" for name, node in known.items())
            raise UnknownNode(f"{self.target}: no node is called {identity!r} by the broker; its nodes: {said}")
        return known[identity]

    def start(self, progress: Progress) -> None:
        """Start the containers that do not run, wait until the broker serves, and settle it."""
        if self._endpoint is not None:
            return
        endpoint = endpoint_of(self._target)  # a missing password is told before anything starts
        for name in self._docker.needs:
            if not os.environ.get(name):
                raise UsageError(f"the environment variable {name} is not set", hint=f"{self._compose.file} needs it")
        running = self.running()
        self._ours = not running
        try:
            if len(running) < len(self.nodes):
                progress(f"starting containers: {', '.join(node for node in self.nodes if node not in running)}")
                self._compose.up()
            self._wait(progress)
            if self.system == "solace":
                settle(endpoint, self._docker.vpns, progress)
            super().start(progress)
        except BaseException:  # Ctrl-C too: nothing that was started may stay behind
            if self._ours:
                self._compose.down()
            raise

    def kill_node(self, node: str) -> int:
        """See `contract.Deployment`."""
        return self._signal(node, "kill", "--signal", "KILL")

    def stop_node(self, node: str, grace_s: float) -> int:
        """See `contract.Deployment`. A paused container is let go on first, or it would never hear of it."""
        if self._paused(node):
            self.resume_node(node)
        return self._signal(node, "stop", "--time", f"{max(1, round(grace_s))}")

    def pause_node(self, node: str) -> int:
        """See `contract.Deployment`: the cgroup freezer holds every process of the container."""
        return time.monotonic_ns() if self._paused(node) else self._signal(node, "pause")

    def resume_node(self, node: str) -> None:
        """See `contract.Deployment`."""
        self._must_run(node)
        if self._paused(node):
            self._compose.docker("unpause", self._container(node))

    def start_node(self, node: str) -> None:
        """See `contract.Deployment`."""
        if self._compose.running(self._known(node)):
            raise DeploymentError(f"{self.target}: node {node} is already running")
        self._compose.docker("start", self._container(node))

    def limit_files(self, node: str, most_bytes: int | None) -> None:
        """Never possible: the processes are the container's."""
        raise NotSupported(f"{self.target}: cannot limit the files of {self._known(node)}: it runs in a container")

    def show_certificate(self, node: str, name: str | None) -> None:
        """Never possible: a container reads its certificate at its first boot."""
        raise NotSupported(f"{self.target}: cannot exchange the certificate of {self._known(node)}: it is a container")

    def probe_node(self, node: str) -> bool:
        """See `contract.Deployment`. A node without an address answers while its container runs."""
        index = self._index(node)
        if index >= len(self._addresses()):
            return self._compose.running(node)
        return self._answers(index)

    def node_pid(self, node: str) -> int | None:
        """Pid of the container's first process, where it is one of this machine (Docker on Linux, not in a VM)."""
        state = self._compose.state(self._known(node))
        pid = state["Pid"] if state is not None else 0
        return pid if isinstance(pid, int) and pid > 0 and Path(f"/proc/{pid}").exists() else None

    def describe(self) -> dict[str, Json]:
        """Provenance: images with digests, the compose file, Docker's version, and the address."""
        version = self._compose.docker("version", "--format", "{{.Server.Version}} {{.Server.Os}}/{{.Server.Arch}}")
        return {
            **super().describe(),
            "nodes": {
                node: {"image": self._compose.image(node), "roles": list(self.roles(node))} for node in self.nodes
            },
            "docker": version.strip(),
            "compose": str(self._compose.file),
            "host": "containers on this host share it with the clients (METHOD rule 17)",
            "allow_faults": self.allow_faults,
            "started_by": "this run" if self._ours else "not this run",
        }

    def stop(self) -> None:
        """Remove the containers and their data, where this deployment started them."""
        if self._ours and self._endpoint is not None:
            self._compose.down()
        super().stop()

    @property
    def address(self) -> str:
        """Where clients and administrators connect, in words."""
        semp = "" if self._target.solace is None else f" {self._target.solace.semp}"
        return (
            ",".join(part.removeprefix("tcp://") if self.system == "kafka" else part for part in self._addresses())
            + semp
        )

    def running(self) -> tuple[str, ...]:
        """The nodes whose containers run."""
        return tuple(node for node in self.nodes if self._compose.running(node))

    def serves(self) -> bool:
        """One node of a Solace pair serves, the other stands by; every node of a Kafka cluster serves."""
        answers = [self._answers(index) for index in range(len(self._addresses()))]
        return any(answers) if self.system == "solace" else all(answers)

    def leave_running(self) -> None:
        """Let the containers be: they are `crep broker stop`'s to end."""
        self._ours = False

    def remove(self) -> bool:
        """Remove containers and data, whoever started them; False where there were none."""
        there = any(self._compose.container(node) is not None for node in self.nodes)
        if there:
            self._compose.down()
        return there

    def logs(self, lines: int) -> list[str]:
        """The last lines of each node's log."""
        return [line for node in self.nodes for line in self._compose.logs(node, lines).splitlines()]

    def _wait(self, progress: Progress) -> None:
        deadline = time.monotonic() + READY_WITHIN_S
        progress("waiting until the broker serves")
        while not self.serves():
            for node in self.nodes:
                if not self._compose.running(node):
                    raise DeploymentError(
                        f"{self.target}: container {node} ended while it was starting", hint=self._said(node)
                    )
            if time.monotonic() > deadline:
                raise DeploymentError(
                    f"{self.target}: not ready within {READY_WITHIN_S:.0f} s", hint=self._said(self.nodes[0])
                )
            time.sleep(_LOOK_EVERY_S)

    def _answers(self, index: int) -> bool:
        """Guaranteed messaging is up (Solace's health check, `guaranteed-active`), or Kafka's protocol is spoken."""
        if self.system == "solace" and index < len(self._docker.health):
            address = f"{self._docker.health[index].rstrip('/')}/health-check/guaranteed-active"
            try:
                return httpx.get(address, timeout=_PROBE_WITHIN_S, trust_env=False).status_code == httpx.codes.OK
            except httpx.TransportError:
                return False
        return self.reaches(self._addresses()[index], _PROBE_WITHIN_S)

    def _addresses(self) -> list[str]:
        if self._target.kafka is not None:
            return [f"tcp://{part}" for part in self._target.kafka.bootstrap.split(",")]
        return [] if self._target.solace is None else self._target.solace.smf.split(",")

    def _identities(self) -> dict[str, str]:
        if self._target.solace is not None:
            return dict(zip(self._target.solace.semp.split(","), self.nodes, strict=False))
        return {str(index + 1): node for index, node in enumerate(self.nodes[: len(self._addresses())])}

    def _signal(self, node: str, *command: str) -> int:
        self._must_run(node)
        sent = time.monotonic_ns()
        self._compose.docker(*command, self._container(node))
        return sent

    def _paused(self, node: str) -> bool:
        state = self._compose.state(self._known(node))
        return state is not None and bool(state["Paused"])

    def _must_run(self, node: str) -> None:
        if not self._compose.running(self._known(node)):
            raise DeploymentError(f"{self.target}: the container of node {node} is not running")

    def _container(self, node: str) -> str:
        container = self._compose.container(self._known(node))
        if container is None:
            raise DeploymentError(f"{self.target}: node {node} has no container; was it removed meanwhile?")
        return container

    def _said(self, node: str) -> str:
        return f"the last lines of {node}'s log:\n" + last_words(self._compose.logs(node, 50))

    def _index(self, node: str) -> int:
        return self.nodes.index(self._known(node))

    def _known(self, node: str) -> str:
        if node not in self.nodes:
            raise UnknownNode(f"{self.target} has no node {node!r}; its nodes: {', '.join(self.nodes)}")
        return node
