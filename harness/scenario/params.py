"""Parameters: ``$name`` in a scenario stands for a value of ``params:``, which ``-p name=value`` replaces.

A value that is just ``$name`` takes the parameter's type; inside a text it is written in. ``$$`` is a dollar sign.
Positions stay those of the file, and a complaint about such a value says which parameter it came from.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from crep.harness.config.errors import UsageError
from crep.harness.config.suggest import nearest
from crep.harness.config.yaml import Loc, Positions, Problem

_REFERENCE = re.compile(r"\$(?:\$|([A-Za-z_][A-Za-z0-9_-]*))")
Value = str | int | float | bool


def effective(declared: Mapping[str, Value], given: Mapping[str, str]) -> dict[str, Value]:
    """Declared values with the given ones on top, typed as YAML would read them.

    Raises:
        UsageError: a given parameter is not declared.
    """
    for name in given:
        if name not in declared:
            near = nearest(name, declared)
            raise UsageError(f"-p {name}={given[name]}: the scenario has no parameter {name!r}{near}")
    return {
        # what a run folder recorded of an untouched parameter is the declared value itself, with its type
        name: _typed(given[name]) if name in given and given[name] != str(value) else value
        for name, value in declared.items()
    }


def _typed(text: str) -> Value:
    try:
        value = YAML(typ="safe", pure=True).load(text)
    except YAMLError:
        return text
    return value if isinstance(value, str | int | float | bool) else text


def substitute(data: dict[str, Any], params: Mapping[str, Value], positions: Positions) -> list[Problem]:
    """Replace every reference in ``data`` (in place; ``params`` itself is left alone).

    Returns:
        A problem for each unknown reference and each parameter that nothing refers to. ``positions`` gets a note at
        each value that was replaced.
    """
    used: set[str] = set()
    problems: list[Problem] = []

    def replaced(node: Any, loc: Loc) -> Any:
        if isinstance(node, dict):
            return {key: replaced(value, (*loc, key)) for key, value in node.items()}
        if isinstance(node, list):
            return [replaced(value, (*loc, index)) for index, value in enumerate(node)]
        return text(node, loc) if isinstance(node, str) and "$" in node else node

    def text(node: str, loc: Loc) -> Any:
        names = [found[1] for found in _REFERENCE.finditer(node) if found[1]]
        unknown = [name for name in names if name not in params]
        problems.extend(Problem(loc, f"there is no parameter ${name}{nearest(name, params)}") for name in unknown)
        used.update(names)
        if unknown:
            return node
        if names:
            positions.notes[loc] = " (" + ", ".join(f"${name} is {params[name]}" for name in dict.fromkeys(names)) + ")"
        if names and node == f"${names[0]}":
            return params[names[0]]
        return _REFERENCE.sub(lambda found: str(params[found[1]]) if found[1] else "$", node)

    for key in [key for key in data if key != "params"]:
        data[key] = replaced(data[key], (key,))
    problems += [
        Problem(("params", name), f"nothing in the scenario refers to ${name}", at_key=True)
        for name in params
        if name not in used
    ]
    return problems
