"""The one locator of data files that come with crep: scenarios, targets, mappings, templates, fonts."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from crep.harness.config.errors import EnvironmentFailure


def resource(name: str) -> Path:
    """Path of a file or folder inside the package ``crep``, for example ``scenarios/targets.yaml``.

    It is the same call in a checkout (where the folders are linked into the package) and in an installed wheel.

    Raises:
        EnvironmentFailure: there is no such file: the installation is damaged.
    """
    path = Path(str(files("crep"))) / name
    if not path.exists():
        hint = "install crep again: its files are incomplete"
        raise EnvironmentFailure(f"crep's own file {name} is missing", hint=hint)
    return path
