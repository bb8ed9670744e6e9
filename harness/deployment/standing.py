"""Standing brokers: local ones that ``crep broker start`` leaves running and that later runs attach to.

One folder each, ``<state folder>/brokers/<target>/``: ``broker.json`` says how the broker was started and which process
it is (pid with start time, so that a reused pid is never killed); data and logs lie beside it.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from crep.harness.config.errors import UsageError
from crep.harness.config.suggest import nearest
from crep.harness.config.targets import Target
from crep.harness.deployment.contract import DeploymentError, Progress
from crep.harness.deployment.docker import DockerDeployment
from crep.harness.deployment.docker import standing as containers
from crep.harness.deployment.folders import state_folder
from crep.harness.deployment.kafka import KafkaClusterProduct, KafkaProduct
from crep.harness.deployment.local import READY_WITHIN_S, LocalDeployment
from crep.harness.deployment.product import NodePlan, Prepared, Product
from crep.harness.deployment.solace import EmulatorPairProduct, EmulatorProduct
from crep.harness.processes import Adopted, ProcessIdentity
from crep.harness.proxy.links import specs_from_json, specs_to_json

_RECORD = "broker.json"


@dataclass(frozen=True)
class StandingBroker:
    """One line of ``crep broker status``. ``down``: it was killed, or the machine was started anew.

    ``pid`` is that of the first node; of containers None.
    """

    target: str
    profile: str
    state: Literal["running", "not answering", "down"]
    pid: int | None
    address: str


def product_of(target: Target, *, proxied: bool = False) -> Product | None:
    """The product that a target is run as; None where crep does not run processes for it.

    Args:
        target: what to run.
        proxied: whether a proxy is to stand between clients and a single node; a cluster always has one.
    """
    kinds: dict[tuple[str, str], Callable[[], Product]] = {
        ("local", "one-node"): lambda: KafkaProduct(proxied=proxied),
        ("local", "three-nodes"): KafkaClusterProduct,
        ("embedded", "one-node"): lambda: EmulatorProduct(proxied=proxied),
        ("embedded", "pair"): lambda: EmulatorPairProduct(proxied=proxied),
    }
    make = kinds.get((target.source, target.topology))
    return None if make is None else make()


def attach(target: Target, *, any_profile: bool = False) -> LocalDeployment | None:
    """The standing broker of exactly this target (same profile, settings and port), if it runs.

    Args:
        target: what is looked for.
        any_profile: also one that was started with another profile: enough for who measures nothing.
    """
    found = _read(target.name)
    if found is None:
        return None
    wanted = target.model_copy(update={"profile": found[0].profile}) if any_profile else target
    return found[1] if found[0] == wanted and _runs(found[1]) else None


def start_standing(target: Target, progress: Progress) -> StandingBroker:
    """Start the broker of ``target`` so that it outlives this process; a running one stays as it is.

    Raises:
        UsageError: the target is an address.
        DeploymentError: it does not start, or one of the same name runs with other settings.
    """
    if target.source == "docker":
        with _locked(target.name):
            return _container_line(containers.start(target, progress))
    product = product_of(target)
    if product is None:
        raise UsageError(
            f"target {target.name!r} has source {target.source!r}: crep does not start it",
            hint="'crep broker start' takes targets with source local, embedded or docker",
        )
    if ProcessIdentity.of(os.getpid()) is None:
        raise DeploymentError("standing brokers need /proc, which only Linux has, to know their processes again")
    with _locked(target.name):
        found = _read(target.name)
        if found is not None and _runs(found[1]):
            if found[0] != target:
                raise DeploymentError(
                    f"{target.name} runs already, with profile {found[0].profile} and other settings",
                    hint=f"end it first: crep broker stop {target.name}",
                )
            deployment = found[1]
            deployment.start(progress)
        else:
            folder = _folder(target.name)
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            deployment = LocalDeployment(target, product, folder, standing=True, changed=_write)
            try:
                deployment.start(progress)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
        return _line(deployment)


def stop_standing(name: str) -> bool:
    """End the standing broker of that target and remove its data.

    Returns:
        False when none was running.
    """
    with _locked(name):
        removed = containers.stop(name)
        if removed is not None:
            return removed
        found = _read(name)
        if found is None:
            return False
        running = _runs(found[1])
        found[1].end()
        shutil.rmtree(_folder(name), ignore_errors=True)
        return running


def status() -> list[StandingBroker]:
    """All standing brokers, by name."""
    found = (_read(name) for name in _names())
    lines = [_line(one[1]) for one in found if one is not None]
    boxed = (containers.find(name) for name in containers.names())
    lines += [_container_line(one) for one in boxed if one is not None]
    return sorted(lines, key=lambda line: line.target)


def attached() -> list[LocalDeployment]:
    """Every standing broker, running or not, with a hand on its processes."""
    found = (_read(name) for name in _names())
    return [one[1] for one in found if one is not None]


def revive(name: str) -> tuple[str, ...]:
    """Start the nodes of a standing broker that have died; returns their names, none where it was stopped since.

    Raises:
        DeploymentError: one cannot be started, or does not get ready.
    """
    with _locked(name):
        found = _read(name)
        if found is None:
            return ()
        deployment = found[1]
        dead = tuple(node for node in deployment.nodes if deployment.node_pid(node) is None)
        if dead:
            deployment.start(lambda _: None)
        return dead


def logs(name: str, lines: int = 50) -> list[str]:
    """The last lines of the log of each node of a standing broker.

    Raises:
        UsageError: there is none of that name.
    """
    boxed = containers.find(name)
    if boxed is not None:
        return boxed.logs(lines)
    if _read(name) is None:
        raise UsageError(
            f"no broker was started as {name!r}{nearest(name, [*_names(), *containers.names()])}",
            hint="'crep broker status' lists those that were; logs of a run's own broker are in its run folder",
        )
    found: list[str] = []
    for path in sorted(_folder(name).glob("*.log")):
        found += path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
    return found


def _runs(deployment: LocalDeployment) -> bool:
    return any(deployment.node_pid(node) is not None for node in deployment.nodes)


def _line(deployment: LocalDeployment) -> StandingBroker:
    pids = [pid for node in deployment.nodes if (pid := deployment.node_pid(node)) is not None]
    answering = bool(pids) and all(deployment.probe_node(node) for node in deployment.nodes)
    endpoint = deployment.endpoint()
    return StandingBroker(
        deployment.target,
        deployment.profile,
        "running" if answering else "not answering" if pids else "down",
        pids[0] if pids else None,
        endpoint.bootstrap or f"{endpoint.smf} {endpoint.semp}",
    )


def _container_line(deployment: DockerDeployment) -> StandingBroker:
    running = deployment.running()
    answering = len(running) == len(deployment.nodes) and deployment.serves()
    return StandingBroker(
        deployment.target,
        deployment.profile,
        "running" if answering else "not answering" if running else "down",
        None,
        deployment.address,
    )


def _names() -> list[str]:
    return sorted(path.parent.name for path in (state_folder() / "brokers").glob(f"*/{_RECORD}"))


def _folder(name: str) -> Path:
    return state_folder() / "brokers" / name


def _write(deployment: LocalDeployment) -> None:
    """Make the record say what is true now; whole or not at all."""
    prepared, folder = deployment.prepared, deployment.folder
    if prepared is None or folder is None:
        raise DeploymentError(f"{deployment.target}: nothing to record before the start")
    pids = {node: deployment.node_pid(node) for node in deployment.nodes}
    identities = {node: ProcessIdentity.of(pid) for node, pid in pids.items() if pid is not None}
    record = {
        "target": deployment.declared.model_dump(mode="json"),
        "nodes": [asdict(plan) for plan in prepared.nodes],
        "provenance": prepared.provenance,
        "processes": {node: asdict(identity) for node, identity in identities.items() if identity is not None},
        "links": specs_to_json(prepared.links),
        "proxy": None if deployment.proxy is None else asdict(deployment.proxy),
    }
    part = folder / f".{_RECORD}.part"
    part.write_text(json.dumps(record, indent=1), encoding="utf-8")
    part.replace(folder / _RECORD)


def _read(name: str) -> tuple[Target, LocalDeployment] | None:
    """The recorded target and a deployment attached to its processes; None when there is no (readable) record."""
    folder = _folder(name)
    try:
        record: dict[str, Any] = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    target = Target.model_validate(record["target"])
    product = product_of(target)
    if product is None:
        raise DeploymentError(f"{folder / _RECORD}: source {target.source!r} is never a standing broker")
    plans = tuple(
        NodePlan(plan["name"], tuple(plan["args"]), plan["ports"], tuple(plan["roles"]), plan["identity"])
        for plan in record["nodes"]
    )
    processes = {node: Adopted(ProcessIdentity(**identity)) for node, identity in record["processes"].items()}
    return target, LocalDeployment(
        target,
        product,
        folder,
        standing=True,
        prepared=Prepared(plans, record["provenance"], specs_from_json(record["links"])),
        processes=processes,
        proxy=None if record["proxy"] is None else ProcessIdentity(**record["proxy"]),
        changed=_write,
    )


@contextmanager
def _locked(name: str) -> Iterator[None]:
    """One ``crep broker`` command at a time per target."""
    path = state_folder() / "brokers" / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + READY_WITHIN_S
    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise DeploymentError(f"another crep command is starting or stopping {name}") from None
                time.sleep(0.1)
        yield
