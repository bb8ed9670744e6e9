"""The query parameters of SEMP: ``select``, ``where``, ``count`` and ``cursor``. Pure functions over rows."""

import base64
import binascii
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final, Generic, TypeVar
from urllib.parse import parse_qsl, quote

from .errors import invalid_parameter, not_supported

_DEFAULT_COUNT: Final = 10
_MAX_COUNT: Final = 100
_MAX_DIGITS: Final = 18  # any such number fits 64 bits; Python refuses to read thousands of them
_OPAQUE_PASSWORD: Final = range(8, 129)  # characters
_KNOWN: Final = ("select", "where", "count", "cursor", "opaquePassword")
_EXPRESSION: Final = re.compile(r"(?P<name>[A-Za-z0-9.]+)(?P<operator>==|!=|<=|>=|<|>)(?P<value>.*)", re.DOTALL)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Condition:
    """One expression of ``where``."""

    name: str
    operator: str
    value: str

    def holds(self, attributes: Mapping[str, object]) -> bool:
        """Whether an object fulfils it; one without the attribute does not."""
        if self.name not in attributes:
            return False
        actual = attributes[self.name]
        if self.operator in ("==", "!="):
            return matches(self.value, _written(actual)) == (self.operator == "==")
        if isinstance(actual, int) and not isinstance(actual, bool):
            try:
                order = actual - int(self.value)
            except ValueError:
                raise invalid_parameter(f"where: {self.name} is compared with {self.value!r}, no number") from None
        else:
            left, right = _written(actual).encode(), self.value.encode()
            order = (left > right) - (left < right)
        return {"<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0}[self.operator]


@dataclass(frozen=True, slots=True)
class Query:
    """The parsed query parameters of a GET."""

    select: tuple[str, ...] = ()
    where: tuple[Condition, ...] = ()
    count: int = _DEFAULT_COUNT
    start: int = 0

    def chosen(self, names: Collection[str]) -> frozenset[str]:
        """Return which of ``names``, all that exist, ``select`` leaves. Raises SempError for one that matches none."""
        if not self.select:
            return frozenset(names)
        wanted = set(names) if self.select[0].startswith("-") else set()
        excluding = False
        for item in self.select:
            pattern = item.removeprefix("-")
            found = {name for name in names if matches(pattern, name)}
            if not found:
                raise invalid_parameter(f"select: {pattern} is not a valid attribute")
            if excluding and not item.startswith("-"):
                raise invalid_parameter(f"select: {item} follows an exclusion; what is excluded comes last")
            excluding = item.startswith("-")
            wanted = wanted - found if excluding else wanted | found
        return frozenset(wanted)

    def accepts(self, attributes: Callable[[], Mapping[str, object]]) -> bool:
        """Whether ``where`` leaves an object in; without one its attributes are not even read."""
        if not self.where:
            return True
        read = attributes()
        return all(condition.holds(read) for condition in self.where)

    def check_where(self, names: Collection[str]) -> None:
        """Raise SempError for a condition on an unknown name, also where there are no rows."""
        for condition in self.where:
            if condition.name not in names:
                raise invalid_parameter(f"where: {condition.name} is not a valid attribute")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of rows, the total, and the cursor of the next page (None on the last)."""

    rows: tuple[T, ...]
    total: int
    cursor: str | None


def parse(raw: str) -> Query:
    """Parse a query string. Raises :class:`~.errors.SempError` (INVALID_PARAMETER)."""
    try:
        given = dict(parse_qsl(raw, keep_blank_values=True, errors="strict"))
    except UnicodeDecodeError:
        raise invalid_parameter("the query parameters are no percent-encoded UTF-8") from None
    for name in given:
        if name not in _KNOWN:
            raise invalid_parameter(f"{name} is not a valid query parameter")
    count = given.get("count", str(_DEFAULT_COUNT))
    if not _is_number(count) or not 1 <= int(count) <= _MAX_COUNT:
        raise invalid_parameter(f"count must be an integer from 1 to {_MAX_COUNT}")
    if "opaquePassword" in given:
        if len(given["opaquePassword"]) not in _OPAQUE_PASSWORD:
            raise invalid_parameter("opaquePassword must have 8 to 128 characters")
        raise not_supported("opaquePassword needs HTTPS, which this emulator does not serve SEMP over")
    return Query(
        select=tuple(item for item in given.get("select", "").split(",") if item),
        where=tuple(_condition(item) for item in _expressions(given.get("where", ""))),
        count=int(count),
        start=_position(given["cursor"]) if "cursor" in given else 0,
    )


def page(query: Query, rows: Iterable[T], total: int) -> Page[T]:
    """Cut a page out of ``total`` rows, those that ``where`` left; reads no further than its end."""
    stop = query.start + query.count
    return Page(tuple(islice(rows, query.start, stop)), total, _cursor(stop) if stop < total else None)


def next_query(query: Query, raw: str, cursor: str) -> str:
    """Return the query string of the next page: the same, with its cursor."""
    kept = [(name, value) for name, value in parse_qsl(raw, keep_blank_values=True) if name not in ("cursor", "count")]
    return "&".join(
        f"{name}={quote(value)}" for name, value in [*kept, ("count", str(query.count)), ("cursor", cursor)]
    )


def _expressions(raw: str) -> list[str]:
    return [item for item in re.split(r"(?<!\\),", raw) if item]


def _condition(item: str) -> Condition:
    found = _EXPRESSION.fullmatch(item)
    if found is None:
        raise invalid_parameter(f"where: {item!r} is no expression; write name==value")
    return Condition(found["name"], found["operator"], found["value"])


def matches(pattern: str, text: str) -> bool:
    """Whether a pattern with ``*`` wildcards, and ``\\`` as escape, matches a text.

    Each piece between wildcards is taken where it comes first, so that no pattern takes longer than its length times
    the text's: a regular expression with many wildcards would.
    """
    pieces = [""]
    escaped = False
    for sign in pattern:
        if sign == "*" and not escaped:
            pieces.append("")
        elif sign == "\\" and not escaped:
            escaped = True
            continue
        else:
            pieces[-1] += sign
        escaped = False
    if escaped:
        pieces[-1] += "\\"
    first, *middle = pieces
    if not middle:
        return text == first
    last = middle.pop()
    if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
        return False
    at, end = len(first), len(text) - len(last)
    for piece in middle:
        found = text.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return True


def _written(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _is_number(text: str) -> bool:
    return text.isdecimal() and len(text) <= _MAX_DIGITS


def _cursor(position: int) -> str:
    return base64.urlsafe_b64encode(f"at:{position}".encode()).decode()


def _position(cursor: str) -> int:
    try:
        kind, _, position = base64.urlsafe_b64decode(cursor.encode()).decode().partition(":")
    except (binascii.Error, UnicodeError):
        kind, position = "", ""
    if kind != "at" or not _is_number(position):
        raise invalid_parameter("cursor: take it from the previous answer")
    return int(position)
