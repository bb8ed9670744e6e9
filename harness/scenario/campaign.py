"""Campaign files: scenarios × bindings × repetitions, under one name.

::

    campaign: durability
    scenarios: [orders-survive-a-broker-kill.yaml, ../demo.yaml]   # beside the campaign file
    bindings: [kafka-local, solace-emulator]
    repeat: 5                                                      # default: each scenario's own
    params: {rate: 500/s}
    profile: quick                                                 # default: each target's own
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from crep.harness.config.suggest import nearest
from crep.harness.config.targets import Profile
from crep.harness.config.yaml import Problem, load_yaml, refuse, validate
from crep.harness.scenario.parts import NOT_YET, Count, Name, Scalar


class CampaignFile(BaseModel):
    """A campaign as it is written. What its bindings mean depends on the scenarios' sites: see ``binding``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    campaign: Name = Field(description="name of the results folder")
    scenarios: list[str] = Field(min_length=1, description="scenario files, relative to this file")
    bindings: list[str] = Field(min_length=1, description="as `--on` takes them")
    repeat: Count | None = Field(None, description="repetitions; default: each scenario's own")
    params: dict[Name, Scalar] = Field(default_factory=dict, description="parameters of all its scenarios")
    profile: Profile | None = Field(None, description="broker profile; default: each target's own")
    decision: Annotated[str | None, NOT_YET] = Field(None, description="file of weights and criteria")


@dataclass(frozen=True)
class CampaignPlan:
    """A checked campaign file: its scenarios exist, nothing is named twice."""

    name: str
    scenarios: tuple[Path, ...]
    bindings: tuple[str, ...]
    repeat: int | None
    params: dict[str, str]
    profile: Profile | None


def is_campaign(path: Path) -> bool:
    """Whether the file says that it is a campaign, by its key ``campaign``.

    Raises:
        UsageError: it cannot be read as YAML.
    """
    data, _ = load_yaml(path)
    return "campaign" in data


def load_campaign(path: Path) -> CampaignPlan:
    """Read and check a campaign file.

    Raises:
        UsageError: one line ``file:line:column: key: what`` for each mistake.
    """
    data, positions = load_yaml(path)
    written = validate(CampaignFile, data, positions, path)
    scenarios = [path.parent / name for name in written.scenarios]
    problems = [
        Problem(("scenarios", index), f"there is no file {scenario}")
        for index, scenario in enumerate(scenarios)
        if not scenario.is_file()
    ]
    for key, names in (("scenarios", written.scenarios), ("bindings", written.bindings)):
        problems += [
            Problem((key, index), f"{name!r} is named twice")
            for index, name in enumerate(names)
            if name in names[:index]
        ]
    problems += [problem for scenario in scenarios if scenario.is_file() for problem in _params(written, scenario)]
    refuse(problems, positions, path)
    return CampaignPlan(
        name=written.campaign,
        scenarios=tuple(scenarios),
        bindings=tuple(written.bindings),
        repeat=written.repeat,
        params={name: str(value) for name, value in written.params.items()},
        profile=written.profile,
    )


def _params(written: CampaignFile, scenario: Path) -> list[Problem]:
    """Parameters of the campaign that a scenario of it does not have."""
    declared = load_yaml(scenario)[0].get("params")
    names = declared if isinstance(declared, dict) else {}
    return [
        Problem(("params", name), f"{scenario} has no parameter {name!r}{nearest(name, names)}", at_key=True)
        for name in written.params
        if name not in names
    ]
