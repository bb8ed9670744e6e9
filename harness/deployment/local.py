"""`LocalDeployment`: a broker whose processes crep starts, kills and starts again on this machine.

One class for every product; what is special of Kafka or the emulator stands behind `Product`. Folder of one broker::

    <folder>/data/…        what the broker stores; removed by stop()
    <folder>/<node>.log    what the node printed, over all its lives; kept where the caller named the folder
    <folder>/proxy.log     the same of the proxy, where one stands before the nodes

The proxy starts before the first node and ends after the last: its ports are what peers are told.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from crep.harness.brokers.contract import Endpoint, NotSupported
from crep.harness.config.targets import Target
from crep.harness.deployment import certificates, ports
from crep.harness.deployment.contract import DeploymentError, Json, Progress, Role, UnknownNode
from crep.harness.deployment.folders import filesystem_of, new_work_folder
from crep.harness.deployment.log import last_words
from crep.harness.deployment.product import NodePlan, Prepared, Product
from crep.harness.deployment.proxied import DeploymentProxy, described
from crep.harness.processes import STDOUT, ProcessIdentity, spawn
from crep.harness.proxy import PARTY_VARIABLE, Links

READY_WITHIN_S = 120.0
"""A broker on two busy cores needs ten seconds; a machine that swaps may need a minute."""

PROBE_WITHIN_S = 0.5
_STOP_GRACE_S = 10.0


class NodeProcess(Protocol):
    """The process of one node: our child, or one that an earlier crep started."""

    @property
    def pid(self) -> int:
        """Process id."""

    def poll(self) -> int | None:
        """None while it runs, else its exit code."""

    def send(self, number: signal.Signals) -> None:
        """Send the signal; nothing happens when it is gone."""

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""

    def terminate(self, grace_s: float) -> int:
        """SIGTERM, after ``grace_s`` SIGKILL."""


class LocalDeployment:
    """One broker on this machine. See `contract.Deployment` for the methods.

    Args:
        target: what to deploy.
        product: how its system is run as processes.
        folder: where logs and data go; None takes a temporary folder that `stop` removes wholly.
        standing: True starts processes that outlive this one, and `stop` leaves them alone (`standing.py` ends them).
        prepared: the plan of a broker that stands already; None makes a new one at `start`.
        processes: the running processes of such a broker.
        proxy: the running proxy before it.
        changed: called after each start and kill of a node, so that a record on disk stays true.
    """

    def __init__(
        self,
        target: Target,
        product: Product,
        folder: Path | None = None,
        *,
        standing: bool = False,
        prepared: Prepared | None = None,
        processes: Mapping[str, NodeProcess] | None = None,
        proxy: ProcessIdentity | None = None,
        changed: Callable[[LocalDeployment], None] | None = None,
    ) -> None:
        self._target = target
        self._product = product
        self._folder = None if folder is None else folder.resolve()
        self._folder_is_ours = folder is None
        self._standing = standing
        self._prepared = prepared
        self._processes: dict[str, NodeProcess] = dict(processes or {})
        self._proxy = self._proxy_of(prepared, proxy)
        self._changed = changed
        self._attached = processes is not None
        self._lock = threading.Lock()  # probes read the processes from other threads

    @property
    def system(self) -> str:
        """See `contract.Deployment`."""
        return self._product.system

    @property
    def target(self) -> str:
        """See `contract.Deployment`."""
        return self._target.name

    @property
    def profile(self) -> str:
        """See `contract.Deployment`."""
        return self._target.profile

    @property
    def nodes(self) -> tuple[str, ...]:
        """See `contract.Deployment`."""
        return self._product.nodes

    @property
    def allow_faults(self) -> bool:
        """See `contract.Deployment`: what crep started, it may fail."""
        return True

    @property
    def outlives_us(self) -> bool:
        """See `contract.Deployment`."""
        return self._standing

    @property
    def links(self) -> Links | None:
        """See `contract.Deployment`."""
        return None if self._proxy is None else self._proxy.links()

    @property
    def proxied(self) -> bool:
        """Whether a proxy stands, or will stand, before the nodes that are planned."""
        return self._proxy is not None

    @property
    def proxy(self) -> ProcessIdentity | None:
        """Which process the proxy before a standing broker is; None where there is none."""
        return None if self._proxy is None else self._proxy.identity

    def roles(self, node: str) -> frozenset[Role]:
        """See `contract.Deployment`."""
        return frozenset(self._plan(node).roles)

    def node_of(self, identity: str) -> str:
        """See `contract.Deployment`."""
        plans = self._started().nodes
        found = next((plan.name for plan in plans if plan.identity == identity), None)
        if found is None:
            known = ", ".join(f"{plan.name} ({plan.identity})" for plan in plans)
            raise UnknownNode(f"{self.target}: no node is called {identity!r} by the broker; its nodes: {known}")
        return found

    @property
    def declared(self) -> Target:
        """The target itself."""
        return self._target

    @property
    def prepared(self) -> Prepared | None:
        """The plan that the nodes are started by; None before `start`."""
        return self._prepared

    @property
    def folder(self) -> Path | None:
        """Where logs and data lie; None before `start` and after `stop` of a temporary one."""
        return self._folder

    def start(self, progress: Progress) -> None:
        """See `contract.Deployment`."""
        try:
            self._start(progress)
        except BaseException as error:  # Ctrl-C too: nothing that was started may stay behind
            if not self._attached:
                self.end()
            if isinstance(error, OSError):  # a folder or disk of ours; what the broker says is a DeploymentError
                raise DeploymentError(f"{self.target} cannot be started: {error}") from error
            raise

    def endpoint(self) -> Endpoint:
        """See `contract.Deployment`."""
        return self._product.endpoint(self._target, self._started())

    def kill_node(self, node: str) -> int:
        """See `contract.Deployment`."""
        process = self._must_run(node, "killed")
        sent = time.monotonic_ns()
        try:
            process.kill()
        except subprocess.TimeoutExpired as error:
            raise DeploymentError(f"{self.target}: node {node} (pid {process.pid}) does not die of SIGKILL") from error
        self._tell()
        return sent

    def stop_node(self, node: str, grace_s: float) -> int:
        """See `contract.Deployment`. A paused node is let go on first, or it would never hear of it."""
        process = self._must_run(node, "stopped")
        process.send(signal.SIGCONT)
        sent = time.monotonic_ns()
        try:
            process.terminate(grace_s)
        except subprocess.TimeoutExpired as error:
            raise DeploymentError(f"{self.target}: node {node} (pid {process.pid}) does not die of SIGKILL") from error
        self._tell()
        return sent

    def pause_node(self, node: str) -> int:
        """See `contract.Deployment`."""
        process = self._must_run(node, "paused")
        sent = time.monotonic_ns()
        process.send(signal.SIGSTOP)
        return sent

    def resume_node(self, node: str) -> None:
        """See `contract.Deployment`."""
        self._must_run(node, "resumed").send(signal.SIGCONT)

    def limit_files(self, node: str, most_bytes: int | None) -> None:
        """See `contract.Deployment`. Only the soft limit moves, so that it can be lifted again without any right."""
        process = self._must_run(node, "given a limit")
        if not hasattr(resource, "prlimit"):
            raise NotSupported(f"{self.target}: this system cannot limit the files of a running process (Linux can)")
        _, hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
        soft = hard if most_bytes is None else most_bytes
        if hard != resource.RLIM_INFINITY and soft > hard:
            raise DeploymentError(f"{self.target}: files of node {node} are limited to {hard} bytes as it is")
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (soft, hard))

    @property
    def certificates(self) -> tuple[str, ...]:
        """See `contract.Deployment`."""
        source = self._target.settings.get("tls")
        return () if source is None else certificates.available(Path(str(source)))

    def show_certificate(self, node: str, name: str | None) -> None:
        """See `contract.Deployment`."""
        plan = self._plan(node)
        if not plan.certificate or (name is not None and name not in self.certificates):
            raise NotSupported(f"{self.target}: there is no certificate {name!r} that node {node} could show")
        source = Path(str(self._target.settings["tls"]))
        certificates.show(source, name or certificates.OWN, Path(plan.certificate))

    def start_node(self, node: str) -> None:
        """See `contract.Deployment`."""
        if self._running(node) is not None:
            raise DeploymentError(f"{self.target}: node {node} is already running")
        plan = self._plan(node)
        for port in plan.ports.values():
            if not ports.is_free(port):
                raise ports.port_taken(self.target, port)
        with self._log(node).open("ab") as log:
            try:
                process = spawn(
                    plan.args,
                    env={**os.environ, PARTY_VARIABLE: node},
                    cwd=self._folder,
                    stdout=log,
                    stderr=STDOUT,
                    daemon=self._standing,
                )
            except OSError as error:
                raise DeploymentError(f"{self.target}: node {node} cannot be started: {error}") from error
        with self._lock:
            self._processes[node] = process
        self._tell()

    def probe_node(self, node: str) -> bool:
        """See `contract.Deployment`."""
        return self._running(node) is not None and self._product.answers(self._plan(node), PROBE_WITHIN_S)

    def node_pid(self, node: str) -> int | None:
        """See `contract.Deployment`."""
        process = self._running(node)
        return None if process is None else process.pid

    def describe(self) -> dict[str, Json]:
        """See `contract.Deployment`."""
        prepared = self._started()
        folder = self._folder
        return {
            "system": self.system,
            "source": self._target.source,
            "target": self.target,
            "profile": self.profile,
            **prepared.provenance,
            "host": "shared with the clients (METHOD rule 17)",
            "nodes": {
                plan.name: {"roles": list(plan.roles), "ports": plan.ports, "log": str(self._log(plan.name))}
                for plan in prepared.nodes
            },
            "proxy": described(prepared.links),
            "data_folder": str(folder),
            "data_filesystem": "unknown" if folder is None else filesystem_of(folder),
            "started_by": "crep broker start" if self._standing else "this run",
        }

    def stop(self) -> None:
        """See `contract.Deployment`."""
        if not self._standing:
            self.end()
        elif self._proxy is not None:
            self._proxy.release()

    def end(self) -> None:
        """End the processes, whoever started them, and remove the data.

        Raises:
            DeploymentError: a process does not die; the others are ended all the same.
        """
        with self._lock:
            processes, self._processes = self._processes, {}
        # A cluster would first hand everything over from node to node, for data that are removed anyway.
        grace_s = _STOP_GRACE_S if len(processes) == 1 else 0.0
        hanging = [process.pid for process in processes.values() if not _ended(process, grace_s)]
        if self._proxy is not None:
            self._proxy.end()
            self._proxy = None
        folder = self._folder
        if folder is not None:
            shutil.rmtree(folder if self._folder_is_ours else folder / "data", ignore_errors=True)
        if self._folder_is_ours:
            self._folder = None
        self._prepared = None
        if hanging:
            raise DeploymentError(f"{self.target}: still running after SIGKILL: pid {', '.join(map(str, hanging))}")

    def _start(self, progress: Progress) -> None:
        if self._prepared is None:
            self._prepared = self._prepare(progress)
        if self._proxy is None:
            self._proxy = self._proxy_of(self._prepared, None)
        if self._proxy is not None:
            self._proxy.start()
            self._tell()
        waiting = [node for node in self.nodes if self.node_pid(node) is None]
        for together in [[node] for node in waiting] if self._product.in_turn else [waiting]:
            for node in together:
                self.start_node(node)
            for node in together:
                progress(f"waiting until {node} is ready")
                self._wait_until_ready(self._plan(node), together)

    def _prepare(self, progress: Progress) -> Prepared:
        if self._folder is None:
            self._folder = new_work_folder(self.target)
        (self._folder / "data").mkdir(parents=True, exist_ok=True)
        return self._product.prepare(self._target, self._folder, progress)

    def _proxy_of(self, prepared: Prepared | None, identity: ProcessIdentity | None) -> DeploymentProxy | None:
        if prepared is None or self._folder is None or not prepared.links:
            return None
        return DeploymentProxy(prepared.links, self._folder, standing=self._standing, identity=identity)

    def _wait_until_ready(self, plan: NodePlan, starting: Sequence[str]) -> None:
        """Wait for one of the nodes that start together: it may need the others, so that the end of any is the end."""
        deadline = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < deadline:
            for node in starting:
                if self._running(node) is None:
                    raise DeploymentError(
                        f"{self.target}: node {node} ended while it was starting (exit code {self._exit_code(node)})",
                        hint=self._log_tail(node),
                    )
            if self._product.ready(plan, self._started()):
                return
            time.sleep(0.1)
        raise DeploymentError(
            f"{self.target}: node {plan.name} was not ready within {READY_WITHIN_S:.0f} s",
            hint=self._log_tail(plan.name),
        )

    def _started(self) -> Prepared:
        if self._prepared is None:
            raise DeploymentError(f"{self.target}: the deployment has not been started")
        return self._prepared

    def _plan(self, node: str) -> NodePlan:
        return next(plan for plan in self._started().nodes if plan.name == self._known(node))

    def _known(self, node: str) -> str:
        if node not in self.nodes:
            raise UnknownNode(f"{self.target} has no node {node!r}; its nodes: {', '.join(self.nodes)}")
        return node

    def _running(self, node: str) -> NodeProcess | None:
        with self._lock:
            process = self._processes.get(self._known(node))
        return process if process is not None and process.poll() is None else None

    def _must_run(self, node: str, what: str) -> NodeProcess:
        process = self._running(node)
        if process is None:
            raise DeploymentError(f"{self.target}: node {node} is not running, so it cannot be {what}")
        return process

    def _exit_code(self, node: str) -> int | None:
        process = self._processes.get(node)
        return None if process is None else process.poll()

    def _log(self, node: str) -> Path:
        if self._folder is None:
            raise DeploymentError(f"{self.target}: the deployment has not been started")
        return self._folder / f"{node}.log"

    def _log_tail(self, node: str) -> str:
        text = self._log(node).read_text(encoding="utf-8", errors="replace")
        return "the last lines of its log:\n" + last_words(text)

    def _tell(self) -> None:
        if self._changed is not None:
            self._changed(self)


def _ended(process: NodeProcess, grace_s: float) -> bool:
    try:
        process.send(signal.SIGCONT)
        process.terminate(grace_s)
    except subprocess.TimeoutExpired:
        return False
    return True
