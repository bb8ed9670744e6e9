"""Pydantic's complaints in words for people: what is wrong, and the nearest valid word."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, Tag
from pydantic_core import ErrorDetails

from crep.harness.config.suggest import nearest

_BOUNDS = {
    "greater_than": ("gt", "must be above"),
    "greater_than_equal": ("ge", "must be at least"),
    "less_than": ("lt", "must be below"),
    "less_than_equal": ("le", "must be at most"),
}
_SHAPES = {
    "dict_type": "a mapping (key: value)",
    "model_type": "a mapping (key: value)",
    "model_attributes_type": "a mapping (key: value)",
    "list_type": "a list",
    "tuple_type": "a list",
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
}


def complaint(model: type[BaseModel], details: ErrorDetails) -> tuple[str, bool]:
    """What is wrong, and whether the key (rather than its value) is meant."""
    kind, loc = details["type"], details["loc"]
    if kind == "extra_forbidden":
        return f"unknown key{nearest(str(loc[-1]), known_keys(model, loc[:-1]))}", True
    if kind == "missing":
        return "is missing", True
    return _about_value(kind, details["input"], details.get("ctx", {}), details["msg"]), False


def _about_value(kind: str, given: Any, context: dict[str, Any], message: str) -> str:
    if kind in ("literal_error", "union_tag_invalid"):
        words = re.findall(r"'([^']*)'", str(context.get("expected") or context.get("expected_tags")))
        word = context.get("tag", given)
        return f"{word!r} is not one of {', '.join(words)}{_near(word, words)}"
    if kind in _BOUNDS:
        bound, must_be = _BOUNDS[kind]
        return f"{must_be} {context[bound]}, not {given}"
    if kind in _SHAPES:
        return f"must be {_SHAPES[kind]}, not {_shown(given)}"
    if kind == "too_short":
        least = context["min_length"]
        return "must not be empty" if least == 1 else f"must have at least {least} entries"
    if kind == "too_long":
        return f"must have at most {context['max_length']} {'entry' if context['max_length'] == 1 else 'entries'}"
    return str(context["error"]) if kind == "value_error" else message[:1].lower() + message[1:]


def _near(word: Any, words: list[str]) -> str:
    """Only the nearest word: all of them have been named already."""
    found = nearest(str(word), words)
    return found if "did you mean" in found else ""


def _shown(given: Any) -> str:
    if isinstance(given, dict):
        return "a mapping"
    if isinstance(given, list):
        return "a list"
    return "nothing" if given is None else repr(given)


def known_keys(model: type[BaseModel], loc: tuple[str | int, ...]) -> list[str]:
    """The keys that the model allows at ``loc``; of all choices where several models are possible."""
    annotations: list[Any] = [model]
    for step in loc:
        below = [inner for annotation in annotations for inner in _below(annotation, step)]
        annotations = below or annotations  # a step that names a choice does not go down
    return [field.alias or name for found in _models(annotations) for name, field in found.model_fields.items()]


def _models(annotations: Iterable[Any]) -> Iterator[type[BaseModel]]:
    for annotation in annotations:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield annotation
        elif get_origin(annotation) is Annotated:
            yield from _models(get_args(annotation)[:1])
        else:
            yield from _models(_choices(annotation))


def _choices(annotation: Any) -> tuple[Any, ...]:
    """The members of a union; nothing for containers, whose insides are one step further down."""
    return () if get_origin(annotation) in (dict, list, tuple, None) else get_args(annotation)


def _below(annotation: Any, step: str | int) -> Iterator[Any]:
    """Annotations that are reached from ``annotation`` by a key, an index or the name of a choice."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, field in annotation.model_fields.items():
            if step == (field.alias or name):
                yield field.annotation
    elif origin is dict:
        yield inner[1]
    elif origin in (list, tuple) and isinstance(step, int):
        yield inner[0]
    elif origin is Annotated:
        tags = [note.tag for note in inner[1:] if isinstance(note, Tag)]
        if step in tags:
            yield inner[0]
        else:
            yield from _below(inner[0], step)
    else:
        for choice in _choices(annotation):
            yield from _below(choice, step)
