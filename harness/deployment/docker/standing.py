"""Containers that ``crep broker start`` leaves running. Docker keeps them; crep only keeps which target they are."""

from __future__ import annotations

import json
from pathlib import Path

from crep.harness.config.targets import Target
from crep.harness.deployment.contract import Progress
from crep.harness.deployment.docker.deployment import DockerDeployment
from crep.harness.deployment.folders import state_folder

_RECORD = "docker.json"


def start(target: Target, progress: Progress) -> DockerDeployment:
    """Start the containers of ``target``, if they do not run, and leave them.

    Raises:
        DeploymentError: they cannot be started.
    """
    deployment = DockerDeployment(target)
    deployment.start(progress)
    deployment.leave_running()
    record = _record(target.name)
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(json.dumps(target.model_dump(mode="json"), indent=1), encoding="utf-8")
    return deployment


def stop(name: str) -> bool | None:
    """Remove the containers of the target of that name; None when none was started, False when they are gone."""
    deployment = find(name)
    if deployment is None:
        return None
    removed = deployment.remove()
    _record(name).unlink()
    return removed


def find(name: str) -> DockerDeployment | None:
    """The containers that were started as ``name``."""
    try:
        return DockerDeployment(Target.model_validate_json(_record(name).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None


def names() -> list[str]:
    """Of the targets whose containers were started."""
    return sorted(path.parent.name for path in (state_folder() / "brokers").glob(f"*/{_RECORD}"))


def _record(name: str) -> Path:
    return state_folder() / "brokers" / name / _RECORD
