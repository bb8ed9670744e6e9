"""``vary:`` one dimension of a scenario and its values; each value makes a scenario of its own (METHOD rule 11).

::

    vary: {rate: [1000/s, 5000/s, 20000/s]}          a parameter's name: as -p would set it
    vary: {message.size: [100 B, 1 KiB, 10 KiB]}     the path of a key within each load entry
    vary: {channels.orders.readers.billing.members: [1, 2, 4]}     or of one from the top of the file
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crep.harness.config.yaml import Loc, Positions, Problem

MOST_VALUES = 50
_FIXED = {"scenario", "title", "evidences", "vary", "expect", "timeline", "sites"}
"""A scenario with another name or other promises would be another scenario, not another value."""


def values_of(data: Mapping[str, Any]) -> tuple[str, list[Any]] | None:
    """Dimension and values as they are written; None where there is none or it is malformed (the model complains)."""
    vary = data.get("vary")
    if not isinstance(vary, dict) or len(vary) != 1:
        return None
    [(dimension, values)] = vary.items()
    return (dimension, values) if isinstance(values, list) else None


def problems(data: Mapping[str, Any], given: Mapping[str, str]) -> list[Problem]:
    """What is wrong with ``vary`` itself; ``given`` are the parameters of the command line."""
    found = values_of(data)
    if found is None:
        return []
    dimension, values = found
    loc: Loc = ("vary", dimension)
    written = [str(value) for value in values]
    wrong = [
        Problem((*loc, index), f"{text} is named twice")
        for index, text in enumerate(written)
        if text in written[:index]
    ]
    if len(values) > MOST_VALUES:
        wrong.append(Problem(loc, f"has {len(values)} values; at most {MOST_VALUES} are allowed", at_key=True))
    if dimension in given:
        wrong.append(Problem(loc, "is varied here, so it cannot be set as a parameter too", at_key=True))
    if not places(data, dimension):
        text = "is no parameter, no key of this file and none of its load entries that could be varied; write the name"
        text = f"{text} of one under 'params', or for example message.size or durability.sync"
        wrong.append(Problem(loc, text, at_key=True))
    return wrong


def places(data: Mapping[str, Any], dimension: str) -> list[Loc]:
    """Where a value of the dimension is put."""
    params = data.get("params")
    if isinstance(params, dict) and dimension in params:
        return [("params", dimension)]
    steps: Loc = tuple(int(step) if step.isdigit() else step for step in dimension.split("."))
    if steps[0] in _FIXED:
        return []
    load = data.get("load")
    entries = range(len(load)) if isinstance(load, list) else range(0)
    tops = [steps] if steps[0] in data else [("load", entry, *steps) for entry in entries]
    return [place for place in tops if _holder(data, place) is not None]


def put(data: dict[str, Any], dimension: str, value: Any, positions: Positions) -> None:
    """Set the value at its places, in ``data``; later complaints about it say where it came from."""
    for place in places(data, dimension):
        holder = _holder(data, place)
        assert holder is not None  # noqa: S101 - ``places`` looked
        holder[place[-1]] = value
        positions.notes[place] = f" (vary: {dimension} is {value})"


def _holder(data: Any, place: Loc) -> Any:
    """The mapping or list that holds the last step of ``place``; None where there is none."""
    for step in place[:-1]:
        known = isinstance(data, dict) and step in data
        known |= isinstance(data, list) and isinstance(step, int) and step < len(data)
        if not known:
            return None
        data = data[step]
    last = place[-1]
    inside = isinstance(data, list) and isinstance(last, int) and last < len(data)
    return data if inside or (isinstance(data, dict) and isinstance(last, str)) else None
