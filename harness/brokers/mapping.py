"""Reads mapping files: how a channel becomes native objects of one system (METHOD rule 18).

A mapping is named ``system/name``: ``kafka/topic-per-channel`` is ``brokers/kafka/mappings/topic-per-channel.yaml``. A
target may also name a file of the user's own, by a path that ends in ``.yaml``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from crep.harness.brokers.contract import MappingFile
from crep.harness.config.errors import UsageError
from crep.harness.config.resources import resource
from crep.harness.config.suggest import nearest
from crep.harness.config.yaml import Problem, load_yaml, refuse, validate

_FOLDER = "harness/brokers"


class _Mapping(BaseModel):
    """The file as it is written. What the three blocks may hold is the adapter's to say."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(alias="mapping", description="system/name, as the file is found")
    version: int = Field(ge=1, strict=True)
    system: str
    summary: str
    channel: dict[str, Any] = Field(default_factory=dict)
    publisher: dict[str, Any] = Field(default_factory=dict)
    subscriber: dict[str, Any] = Field(default_factory=dict)


def load_mapping(name: str) -> MappingFile:
    """The mapping of that name, or of that ``.yaml`` file.

    Raises:
        UsageError: there is none (the text names the nearest), or the file is malformed.
    """
    if name.endswith((".yaml", ".yml")):
        return _read(Path(name), None)
    known = mapping_names()
    if name not in known:
        raise UsageError(f"there is no mapping {name!r}{nearest(name, known)}")
    system, file = name.split("/")
    return _read(resource(f"{_FOLDER}/{system}/mappings/{file}.yaml"), name)


def mapping_names() -> list[str]:
    """All built-in mappings, sorted."""
    files = resource(_FOLDER).glob("*/mappings/*.yaml")
    return sorted(f"{file.parent.parent.name}/{file.stem}" for file in files)


def _read(path: Path, name: str | None) -> MappingFile:
    data, positions = load_yaml(path)
    written = validate(_Mapping, data, positions, path)
    problems = []
    if name is not None and written.name != name:
        problems.append(Problem(("mapping",), f"must be {name!r}, as the file is found"))
    if written.system != written.name.split("/")[0]:
        problems.append(Problem(("system",), f"must be the first part of the mapping's name {written.name!r}"))
    refuse(problems, positions, path)
    return MappingFile(**written.model_dump())
