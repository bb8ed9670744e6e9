"""The one place that decides what a target becomes.

=========  ====================================================================================
address    a broker that somebody else runs
local      a standing broker of exactly this target if one runs, else processes of our own
embedded   the same
docker     containers that run already, else containers of our own
=========  ====================================================================================
"""

from __future__ import annotations

from pathlib import Path

from crep.harness.config.targets import Target
from crep.harness.deployment import standing
from crep.harness.deployment.address import AddressDeployment
from crep.harness.deployment.contract import Deployment, DeploymentError
from crep.harness.deployment.docker import DockerDeployment
from crep.harness.deployment.local import LocalDeployment


def proxy_on_request(target: Target) -> bool:
    """Whether `deploy` puts a proxy before the target's nodes when asked, and none otherwise."""
    return target.source in {"local", "embedded"} and target.topology != "three-nodes"


def deploy(target: Target, work_dir: Path | None = None, *, proxied: bool = False) -> Deployment:
    """The deployment of ``target``, not started yet.

    Args:
        target: what to deploy.
        work_dir: where a broker of our own keeps its data (removed at the end) and logs (kept); None takes a temporary
            folder that is removed wholly. A standing broker keeps its own folder.
        proxied: whether the links to clients must be ones that can be failed. A broker of one node that crep starts
            then gets a proxy, which costs a little of every exchange, so only runs that need it ask for it; a standing
            one has none, and is passed by. A cluster always has its proxy; an address never.

    Raises:
        DeploymentError: the target's fixed port is that of a standing broker that has no proxy.
    """
    if target.source == "address":
        return AddressDeployment(target)
    if target.source == "docker":
        return DockerDeployment(target)
    product = standing.product_of(target, proxied=proxied)
    if product is None:
        raise DeploymentError(f"target {target.name!r}: no product is run as {target.topology!r}")
    attached = standing.attach(target)
    if attached is not None and (attached.proxied or not proxied):
        return attached
    if attached is not None and target.port:
        raise DeploymentError(
            f"target {target.name!r} runs already on port {target.port}, without the proxy that faults on links need",
            hint=f"end it first: crep broker stop {target.name}; or give the target 'port: 0' for a free one",
        )
    return LocalDeployment(target, product, work_dir)
