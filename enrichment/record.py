"""What steps work on, and how they refuse."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from crep.harness.brokers.contract import Message

Property = str | int | float | bool | bytes


class StepFailed(Exception):
    """A message cannot be processed: it goes to the dead letters with this reason."""

    def __init__(self, reason: str, step: str = "") -> None:
        super().__init__(reason)
        self.reason, self.step = reason, step


@dataclass(slots=True)
class Record:
    """One message on its way. ``body`` is what the codec made of the payload; ``topic`` is set by a route step."""

    message: Message
    body: Any
    topic: str | None = None


_MISSING = object()


def read(body: Any, path: tuple[str, ...], default: Any = _MISSING) -> Any:
    """The value at a path of fields (and places of lists).

    Raises:
        StepFailed: there is none, and no default was given.
    """
    here = body
    for step in path:
        if isinstance(here, dict) and step in here:
            here = here[step]
        elif isinstance(here, list) and step.isdecimal() and int(step) < len(here):
            here = here[int(step)]
        elif default is not _MISSING:
            return default
        else:
            raise StepFailed(f"the body has no field {'.'.join(path)!r}")
    return here


def write(body: Any, path: tuple[str, ...], value: Any) -> None:
    """Set the value at a path; mappings on the way are made.

    Raises:
        StepFailed: something on the way is no mapping.
    """
    here = body
    for step in path[:-1]:
        if not isinstance(here, dict):
            break
        here = here.setdefault(step, {})
    if not isinstance(here, dict):
        raise StepFailed(f"the field {'.'.join(path)!r} cannot be set: what it lies in is no mapping")
    here[path[-1]] = value


def reader(path: tuple[str, ...], default: Any = _MISSING) -> Callable[[Any], Any]:
    """``read`` of one path: made once, and without a loop where it is a field of the body, as nearly always."""

    def anywhere(body: Any) -> Any:
        return read(body, path, default)

    if len(path) != 1:
        return anywhere
    name = path[0]

    def field(body: Any) -> Any:
        try:
            return body[name]
        except (LookupError, TypeError):
            return read(body, path, default)

    return field


def writer(path: tuple[str, ...]) -> Callable[[Any, Any], None]:
    """``write`` to one path: made once, and without a loop where it is a field of the body."""

    def anywhere(body: Any, value: Any) -> None:
        write(body, path, value)

    if len(path) != 1:
        return anywhere
    name = path[0]

    def field(body: Any, value: Any) -> None:
        if type(body) is dict:
            body[name] = value
        else:
            write(body, path, value)

    return field


def drop(body: Any, path: tuple[str, ...]) -> Any:
    """Take the value at a path out and return it; None where there is none."""
    holder = read(body, path[:-1], None)
    return holder.pop(path[-1], None) if isinstance(holder, dict) else None


def path_of(text: str) -> tuple[str, ...]:
    """``customer.id`` as a path.

    Raises:
        ValueError: an empty step.
    """
    path = tuple(text.split("."))
    if not all(step.strip() == step and step for step in path):
        raise ValueError(f"{text!r} is no field: write names with '.' between them, for example customer.id")
    return path


def leaves(paths: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Each key as a path, with its value."""
    for text, value in paths.items():
        yield path_of(text), value
