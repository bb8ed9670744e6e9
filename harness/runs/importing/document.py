"""``imported.json``: one result of another tool."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

SCHEMA = "crep-imported/1"
Tool = Literal["omb", "sdkperf"]
TOOLS: dict[Tool, str] = {"omb": "OpenMessaging Benchmark", "sdkperf": "sdkperf"}


class Figure(BaseModel):
    """One number as the tool gives it; ``unit`` is empty where the tool names none."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    value: float
    unit: str


class Imported(BaseModel):
    """What one result file of another tool says. Percentiles and rates are by that tool's own definitions."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: str = SCHEMA
    tool: Tool
    name: str  # the workload, or the file's name
    driver: str  # the system and its settings as the tool names it; empty where it does not
    file: str  # file name only, never a path of the machine
    sha256: str  # of the file
    imported_utc: str
    settings: dict[str, str]
    figures: tuple[Figure, ...]
    remarks: tuple[str, ...]  # what a reader of the figures must know
