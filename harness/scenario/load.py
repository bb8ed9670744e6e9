"""From a file to a checked scenario, with every mistake at its line and column."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from crep.harness.config.errors import UsageError
from crep.harness.config.yaml import Loc, Positions, Problem, attempt, parse_yaml, read_text, refuse
from crep.harness.scenario import vary
from crep.harness.scenario.documents import documents_of
from crep.harness.scenario.library import requirements
from crep.harness.scenario.model import Definition, Scenario
from crep.harness.scenario.params import Value, effective, substitute
from crep.harness.scenario.recording import packed, read_arrivals
from crep.harness.scenario.rules import check


def load_scenario(path: Path, params: Mapping[str, str] | None = None) -> Scenario:
    """Read and check a scenario; ``params`` (``-p``) replace values of its ``params:``.

    Raises:
        UsageError: one line ``file:line:column: key: what`` for each mistake, or an unknown parameter.
    """
    return replace(parse_scenario(read_text(path), path, params), dated_utc=_dated(path))


def load_variants(path: Path, params: Mapping[str, str] | None = None) -> tuple[Scenario, ...]:
    """As ``load_scenario``, and with ``vary:`` one scenario for each value, all checked."""
    text, dated_utc = read_text(path), _dated(path)
    written = parse_scenario(text, path, params)
    if written.definition.vary is None:
        return (replace(written, dated_utc=dated_utc),)
    [(dimension, values)] = written.definition.vary.items()
    return tuple(
        replace(parse_scenario(text, path, params, varied=(dimension, str(value))), dated_utc=dated_utc)
        for value in values
    )


def parse_scenario(
    text: str,
    path: Path,
    params: Mapping[str, str] | None = None,
    *,
    varied: tuple[str, str] | None = None,
    inputs: Path | None = None,
) -> Scenario:
    """As ``load_scenario``, of a text that is said to be in ``path`` (a run folder keeps its scenario's text).

    Args:
        text: the scenario.
        path: for messages; other files that the scenario names lie beside it.
        params: values instead of those under ``params:``.
        varied: dimension and value of ``vary:`` that are meant; None: the scenario as it is written.
        inputs: a run folder's copies of the other files, by their last names.
    """
    data, positions = parse_yaml(text, path)
    given = params or {}
    refuse(vary.problems(data, given if varied is None else {}), positions, path)
    if varied is not None:
        _vary(data, varied, positions)
    declared = _declared(data)
    values = effective(declared, {name: value for name, value in given.items() if varied is None or name != varied[0]})
    problems = substitute(data, values, positions)
    definition, complaints = attempt(Definition, data)
    refuse(_without_echo(problems, complaints, positions), positions, path)
    assert definition is not None  # noqa: S101 - ``attempt`` gives a model or a problem
    files, problems = _other_files(definition, path.parent, inputs)
    refuse(problems, positions, path)
    refuse(check(definition, requirements()), positions, path)
    return Scenario(
        definition=definition,
        text=text,
        sha256=hashlib.sha256(text.encode()).hexdigest(),
        file_name=path.name,
        params={name: str(value) for name, value in values.items()},
        varied=varied,
        files=files,
        folder=path.parent.absolute(),
    )


def _dated(path: Path) -> str:
    """When the file was last written, as ``run.json`` writes times."""
    written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return written.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _vary(data: dict[str, Any], varied: tuple[str, str], positions: Positions) -> None:
    dimension, wanted = varied
    found = vary.values_of(data)
    values = [] if found is None or found[0] != dimension else [one for one in found[1] if str(one) == wanted]
    if not values:
        raise UsageError(f"the scenario does not vary {dimension} to {wanted}")
    vary.put(data, dimension, values[0], positions)


def _other_files(definition: Definition, folder: Path, inputs: Path | None) -> tuple[tuple[Path, ...], list[Problem]]:
    """Read what lies beside the scenario into the definition; the files, and what is wrong with them."""
    files: dict[str, Path] = {}
    problems = []
    for loc, name, read in _named_files(definition):
        file = folder / name if inputs is None else inputs / Path(name).name
        if files.setdefault(file.name, file) != file:
            problems.append(Problem(loc, f"another file is called {file.name} too; a run keeps both in one folder"))
        try:
            read(name, file)
        except UsageError as error:
            problems.append(Problem(loc, error.message))
    return tuple(files.values()), problems


def _named_files(definition: Definition) -> Iterator[tuple[Loc, str, Callable[[str, Path], None]]]:
    """Each file that the scenario names, with its place and what takes it in."""

    def recording(name: str, file: Path) -> None:
        definition.recordings[name] = packed(read_arrivals(file))

    def documents(name: str, file: Path) -> None:
        definition.documents[name] = documents_of(read_text(file), file)

    def bridge(name: str, file: Path) -> None:
        read_text(file)  # what it means is the bridge's to say

    for entry, load in enumerate(definition.load):
        if load.rate.recorded is not None:
            yield ("load", entry, "rate", "recorded"), load.rate.recorded, recording
        if load.message.file is not None:
            yield ("load", entry, "message", "file"), load.message.file, documents
    for name, channel in definition.channels.items():
        if channel.via is not None and channel.via.bridge is not None:
            yield ("channels", name, "via", "bridge"), channel.via.bridge, bridge


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
