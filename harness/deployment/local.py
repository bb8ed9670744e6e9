"""`LocalDeployment`: a broker whose processes crep starts, kills and starts again on this machine.

One class for every product; what is special of Kafka or the emulator stands behind `Product`. Folder of one broker::

    <folder>/data/…        what the broker stores; removed by stop()
    <folder>/<node>.log    what the node printed, over all its lives; kept where the caller named the folder
"""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from crep.harness.brokers.contract import Endpoint
from crep.harness.config.targets import Target
from crep.harness.deployment import ports
from crep.harness.deployment.contract import DeploymentError, Json, Progress, UnknownNode
from crep.harness.deployment.folders import filesystem_of, new_work_folder
from crep.harness.deployment.log import last_words
from crep.harness.deployment.product import NodePlan, Prepared, Product
from crep.harness.processes import STDOUT, spawn

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
        changed: Callable[[LocalDeployment], None] | None = None,
    ) -> None:
        self._target = target
        self._product = product
        self._folder = None if folder is None else folder.resolve()
        self._folder_is_ours = folder is None
        self._standing = standing
        self._prepared = prepared
        self._processes: dict[str, NodeProcess] = dict(processes or {})
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
        return self._product.endpoint(self._target, self._started().nodes)

    def kill_node(self, node: str) -> int:
        """See `contract.Deployment`."""
        process = self._running(node)
        if process is None:
            raise DeploymentError(f"{self.target}: node {node} is not running, so it cannot be killed")
        sent = time.monotonic_ns()
        try:
            process.kill()
        except subprocess.TimeoutExpired as error:
            raise DeploymentError(f"{self.target}: node {node} (pid {process.pid}) does not die of SIGKILL") from error
        self._tell()
        return sent

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
                process = spawn(plan.args, cwd=self._folder, stdout=log, stderr=STDOUT, daemon=self._standing)
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
            "nodes": {plan.name: {"ports": plan.ports, "log": str(self._log(plan.name))} for plan in prepared.nodes},
            "data_folder": str(folder),
            "data_filesystem": "unknown" if folder is None else filesystem_of(folder),
            "started_by": "crep broker start" if self._standing else "this run",
        }

    def stop(self) -> None:
        """See `contract.Deployment`."""
        if not self._standing:
            self.end()

    def end(self) -> None:
        """End the processes, whoever started them, and remove the data.

        Raises:
            DeploymentError: a process does not die; the others are ended all the same.
        """
        with self._lock:
            processes, self._processes = self._processes, {}
        hanging = [process.pid for process in processes.values() if not _ended(process)]
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
        waiting = [node for node in self.nodes if self.node_pid(node) is None]
        for node in waiting:
            self.start_node(node)
        for node in waiting:
            progress(f"waiting until {node} is ready")
            self._wait_until_ready(self._plan(node))

    def _prepare(self, progress: Progress) -> Prepared:
        if self._folder is None:
            self._folder = new_work_folder(self.target)
        (self._folder / "data").mkdir(parents=True, exist_ok=True)
        return self._product.prepare(self._target, self._folder, progress)

    def _wait_until_ready(self, plan: NodePlan) -> None:
        deadline = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < deadline:
            if self._running(plan.name) is None:
                code = self._exit_code(plan.name)
                raise DeploymentError(
                    f"{self.target}: node {plan.name} ended while it was starting (exit code {code})",
                    hint=self._log_tail(plan.name),
                )
            if self._product.ready(plan):
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


def _ended(process: NodeProcess) -> bool:
    try:
        process.terminate(_STOP_GRACE_S)
    except subprocess.TimeoutExpired:
        return False
    return True
