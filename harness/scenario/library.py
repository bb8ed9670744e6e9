"""The scenarios, campaigns and requirements that come with crep, found by name."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from crep.harness.config.errors import UsageError
from crep.harness.config.resources import resource
from crep.harness.config.suggest import nearest
from crep.harness.config.yaml import load_yaml, validate

_NOT_SCENARIOS = {"targets", "requirements", "template"}


class _Requirements(BaseModel):
    model_config = ConfigDict(extra="forbid")

    requirements: dict[str, str]


@cache
def requirements() -> dict[str, str]:
    """Identifier → what is required."""
    path = resource("scenarios/requirements.yaml")
    data, positions = load_yaml(path)
    return validate(_Requirements, data, positions, path).requirements


def built_in_scenarios() -> dict[str, Path]:
    """Name → file of each scenario that comes with crep."""
    files = sorted(resource("scenarios").glob("*.yaml"))
    return {file.stem: file for file in files if file.stem not in _NOT_SCENARIOS}


def built_in_campaigns() -> dict[str, Path]:
    """Name → file of each campaign that comes with crep."""
    return {file.stem: file for file in sorted(resource("scenarios/campaigns").glob("*.yaml"))}


def scenario_path(text: str) -> Path:
    """The file that the user means: a path, or the name of a scenario that comes with crep.

    Raises:
        UsageError: neither.
    """
    known = built_in_scenarios()
    if Path(text).suffix in (".yaml", ".yml") or Path(text).exists():
        return Path(text)
    if text not in known:
        raise UsageError(f"there is no file and no built-in scenario {text!r}{nearest(text, known)}")
    return known[text]


def template() -> str:
    """A commented scenario to start from (``crep init``)."""
    return resource("scenarios/template.yaml").read_text(encoding="utf-8")
