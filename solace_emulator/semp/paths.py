"""Addresses of SEMP objects: a path is a chain of collections and identifiers.

Several identifiers of one object are joined by a comma; a comma or slash inside an identifier is percent-encoded.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote

from .errors import invalid_path

_NO_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True)
class Step:
    """One collection of a path, and the identifiers of one object in it (none: the collection itself)."""

    collection: str
    identifiers: tuple[str, ...] | None


def parse(path: str) -> tuple[Step, ...]:
    """Parse the part of a URL path behind the interface's base. Raises SempError (INVALID_PATH)."""
    parts = [part for part in path.split("/") if part]
    steps: list[Step] = []
    for at in range(0, len(parts), 2):
        identifiers = tuple(_decoded(one) for one in parts[at + 1].split(",")) if at + 1 < len(parts) else None
        steps.append(Step(parts[at], identifiers))
    if not steps:
        raise invalid_path("there is no object at this path")
    return tuple(steps)


def _decoded(encoded: str) -> str:
    if _NO_ESCAPE.search(encoded):
        raise invalid_path(f"{encoded!r} is not percent-encoded; a percent sign itself is %25")
    try:
        return unquote(encoded, errors="strict")
    except UnicodeDecodeError:
        raise invalid_path(f"{encoded!r} is no percent-encoded UTF-8") from None


def join(base: str, steps: Sequence[Step]) -> str:
    """Return the URL path of steps behind a base."""
    parts = [base]
    for step in steps:
        parts.append(step.collection)
        if step.identifiers is not None:
            parts.append(",".join(quote(identifier, safe="") for identifier in step.identifiers))
    return "/".join(parts)
