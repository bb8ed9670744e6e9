"""Steps: each compiled once from its words in the bridge file into a function of a record.

A step changes the record in place and says what became of it: ``None`` goes on, ``DROP`` is filtered, a list is what it
was split into. It raises ``StepFailed`` for a message that cannot be processed and ``LookupFailed`` where a source does
not answer (then the message is not settled, and tried again).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import jsonschema_rs
import orjson

from crep.enrichment.config import LookupStep, RouteCase, SplitStep, Step
from crep.enrichment.expressions import Expression
from crep.enrichment.lookups import Lookup
from crep.enrichment.record import Record, StepFailed, drop, leaves, path_of, read, reader, write, writer
from crep.enrichment.template import Legal, Template


class Drop:
    """The one value that says *filtered*."""


DROP = Drop()
Became = None | Drop | list[Record]
Act = Callable[[Record], Became]


@dataclass(frozen=True)
class Surroundings:
    """What steps may refer to: ``folder`` of the bridge file, the lookups by name, what a topic's level may be."""

    folder: Path
    lookups: Mapping[str, Lookup]
    legal: Legal


@dataclass(frozen=True)
class Compiled:
    """A step ready to be used."""

    name: str
    act: Act


def compile_step(step: Step, name: str, around: Surroundings) -> Compiled:
    """Make the step's function.

    Raises:
        ValueError: an expression, a schema, a field or a function is wrong, with the reason.
    """
    return Compiled(step.name or name, _COMPILERS[step.kind](step, around))


def _validate(step: Step, around: Surroundings) -> Act:
    path = around.folder / str(step.validate_)
    try:
        schema = orjson.loads(path.read_bytes())
        validator = jsonschema_rs.validator_for(schema)
    except FileNotFoundError:
        raise ValueError(f"there is no JSON Schema {path}") from None
    except (orjson.JSONDecodeError, jsonschema_rs.ValidationError, ValueError) as error:
        raise ValueError(f"{path.name} is no JSON Schema: {str(error).splitlines()[0]}") from None

    def act(record: Record) -> None:
        if not validator.is_valid(record.body):
            error = next(iter(validator.iter_errors(record.body)))
            where = ".".join(map(str, error.instance_path)) or "the body"
            raise StepFailed(f"{where}: {error.message} ({path.name})")

    return act


def _lookup(step: Step, around: Surroundings) -> Act:
    spec = step.lookup
    assert isinstance(spec, LookupStep)  # noqa: S101 - by the step's kind
    if spec.in_ not in around.lookups:
        raise ValueError(f"there is no lookup {spec.in_!r}; there are: {', '.join(around.lookups) or 'none'}")
    get, by, into = around.lookups[spec.in_].get, reader(path_of(spec.by)), writer(path_of(spec.into))
    fields, missing, default = spec.fields, spec.missing, spec.default

    def act(record: Record) -> Became:
        value = by(record.body)
        row = get(value)
        if row is None:
            if missing == "drop":
                return DROP
            if missing == "fail":
                raise StepFailed(f"{spec.in_} knows nothing of {spec.by} {value!r:.60}")
            row = default or {}
        into(record.body, dict(row) if fields is None else {name: row.get(name) for name in fields})
        return None

    return act


def _set(step: Step, _: Surroundings) -> Act:
    values: list[tuple[Callable[[Any, Any], None], Callable[[Record], str] | None, Any]] = []
    for path, value in leaves(step.set_ or {}):
        render = Template(value).render if isinstance(value, str) else None
        values.append((writer(path), render, value))

    def act(record: Record) -> None:
        for put, render, value in values:
            put(record.body, value if render is None else render(record))

    return act


def _compute(step: Step, _: Surroundings) -> Act:
    values = [(writer(path), Expression(text).value) for path, text in leaves(step.compute or {})]

    def act(record: Record) -> None:
        for put, value in values:
            put(record.body, value(record))

    return act


def _rename(step: Step, _: Surroundings) -> Act:
    names = [(path, path_of(new)) for path, new in leaves(step.rename or {})]

    def act(record: Record) -> None:
        for old, new in names:
            value = read(record.body, old)
            drop(record.body, old)
            write(record.body, new, value)

    return act


def _remove(step: Step, _: Surroundings) -> Act:
    paths = [path_of(text) for text in step.remove or ()]

    def act(record: Record) -> None:
        for path in paths:
            drop(record.body, path)

    return act


def _filter(step: Step, _: Surroundings) -> Act:
    holds = Expression(str(step.filter)).holds
    return lambda record: None if holds(record) else DROP


def _split(step: Step, _: Surroundings) -> Act:
    spec = step.split
    assert isinstance(spec, SplitStep)  # noqa: S101 - by the step's kind
    at, into = path_of(spec.at), None if spec.into is None else path_of(spec.into)
    keep = [path_of(text) for text in spec.keep]
    if keep and into is None:
        raise ValueError("'keep' needs 'into': an item that is the whole body has no place for further fields")

    def act(record: Record) -> Became:
        items = read(record.body, at)
        if not isinstance(items, list):
            raise StepFailed(f"the field {spec.at!r} is no list")
        return [Record(record.message, part(record.body, item), record.topic) for item in items]

    def part(whole: Any, item: Any) -> Any:
        if into is None:
            return item
        body: dict[str, Any] = {}
        for path in keep:
            write(body, path, read(whole, path))
        write(body, into, item)
        return body

    return act


def _route(step: Step, around: Surroundings) -> Act:
    cases = step.route or []
    for place, case in enumerate(cases):
        if case.when is None and place + 1 < len(cases):
            raise ValueError("only the last case may be without 'when': those behind it would never be looked at")
    ways = [_way(case, around) for case in cases]

    def act(record: Record) -> None:
        for when, topic in ways:
            if when is None or when.holds(record):
                record.topic = topic.render(record)
                return
        raise StepFailed("no case of the route holds, and none is for everything else")

    return act


def _way(case: RouteCase, around: Surroundings) -> tuple[Expression | None, Template]:
    return None if case.when is None else Expression(case.when), Template(case.topic, around.legal)


def _python(step: Step, around: Surroundings) -> Act:
    module_name, colon, function_name = str(step.python).partition(":")
    if not colon:
        raise ValueError(f"{step.python!r} is no function: write module:function")
    folder = str(around.folder.resolve())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        function = getattr(import_module(module_name), function_name)
    except ImportError as error:
        raise ValueError(f"the module {module_name!r} cannot be imported: {error}") from None
    except AttributeError:
        raise ValueError(f"the module {module_name!r} has no function {function_name!r}") from None

    def act(record: Record) -> Became:
        try:
            body = function(record.body)
        except Exception as error:
            raise StepFailed(f"{step.python} raised {type(error).__name__}: {error}") from error
        if body is None:
            return DROP
        record.body = body
        return None

    return act


_COMPILERS: dict[str, Callable[[Step, Surroundings], Act]] = {
    "validate": _validate,
    "lookup": _lookup,
    "set": _set,
    "compute": _compute,
    "rename": _rename,
    "remove": _remove,
    "filter": _filter,
    "split": _split,
    "route": _route,
    "python": _python,
}
