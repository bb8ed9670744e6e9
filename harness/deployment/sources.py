"""The one place that decides what a target becomes."""

from __future__ import annotations

from pathlib import Path

from crep.harness.config.targets import Target
from crep.harness.deployment.contract import Deployment, NotSupported
from crep.harness.deployment.kafka import KafkaProduct
from crep.harness.deployment.local import LocalDeployment


def deploy(target: Target, work_dir: Path | None = None) -> Deployment:
    """The deployment of ``target``, not started yet."""
    if target.source == "local":
        return LocalDeployment(target, KafkaProduct(), work_dir)
    raise NotSupported(f"target {target.name!r}: source {target.source!r} is not available")
