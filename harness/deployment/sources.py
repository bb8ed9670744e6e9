"""The one place that decides what a target becomes.

=========  ====================================================================================
address    a broker that somebody else runs
local      a standing broker of exactly this target if one runs, else processes of our own
embedded   the same
docker     not available yet
=========  ====================================================================================
"""

from __future__ import annotations

from pathlib import Path

from crep.harness.brokers.contract import NotSupported
from crep.harness.config.targets import Target
from crep.harness.deployment import standing
from crep.harness.deployment.address import AddressDeployment
from crep.harness.deployment.contract import Deployment
from crep.harness.deployment.local import LocalDeployment


def deploy(target: Target, work_dir: Path | None = None) -> Deployment:
    """The deployment of ``target``, not started yet.

    Args:
        target: what to deploy.
        work_dir: where a broker of our own keeps its data (removed at the end) and logs (kept); None takes a temporary
            folder that is removed wholly. A standing broker keeps its own folder.

    Raises:
        NotSupported: the source is not available.
    """
    if target.source == "address":
        return AddressDeployment(target)
    product = standing.product_of(target.source)
    if product is None:
        raise NotSupported(
            f"target {target.name!r}: source {target.source!r} is not available yet",
            hint="start the container yourself and use a target with source 'address'",
        )
    return standing.attach(target) or LocalDeployment(target, product, work_dir)
