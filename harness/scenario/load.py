"""From a file to a checked scenario, with every mistake at its line and column."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crep.harness.config.yaml import Positions, Problem, attempt, parse_yaml, read_text, refuse
from crep.harness.scenario.library import requirements
from crep.harness.scenario.model import Definition, Scenario
from crep.harness.scenario.params import Value, effective, substitute
from crep.harness.scenario.rules import check


def load_scenario(path: Path, params: Mapping[str, str] | None = None) -> Scenario:
    """Read and check a scenario; ``params`` (``-p``) replace values of its ``params:``.

    Raises:
        UsageError: one line ``file:line:column: key: what`` for each mistake, or an unknown parameter.
    """
    return parse_scenario(read_text(path), path, params)


def parse_scenario(text: str, path: Path, params: Mapping[str, str] | None = None) -> Scenario:
    """As ``load_scenario``, of a text that is said to be in ``path`` (a run folder keeps its scenario's text)."""
    data, positions = parse_yaml(text, path)
    declared = _declared(data)
    values = effective(declared, params or {})
    problems = substitute(data, values, positions)
    definition, complaints = attempt(Definition, data)
    refuse(_without_echo(problems, complaints, positions), positions, path)
    assert definition is not None  # noqa: S101 - ``attempt`` gives a model or a problem
    refuse(check(definition, requirements()), positions, path)
    return Scenario(
        definition=definition,
        text=text,
        sha256=hashlib.sha256(text.encode()).hexdigest(),
        file_name=path.name,
        params={name: str(value) for name, value in values.items()},
    )


def _declared(data: Mapping[str, Any]) -> dict[str, Value]:
    """Parameters with usable values; the model complains about the others."""
    params = data.get("params")
    if not isinstance(params, dict):
        return {}
    return {name: value for name, value in params.items() if isinstance(value, str | int | float | bool)}


def _without_echo(problems: list[Problem], complaints: list[Problem], positions: Positions) -> list[Problem]:
    """All of them, but no second complaint about a value whose ``$name`` is unknown."""
    named = {problem.loc for problem in problems}
    return problems + [complaint for complaint in complaints if positions.known(complaint.loc) not in named]
