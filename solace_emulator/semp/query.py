"""The query parameters of SEMP: ``select``, ``where``, ``count`` and ``cursor``. Pure functions over rows."""

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar
from urllib.parse import parse_qsl, quote

from .errors import invalid_parameter

_DEFAULT_COUNT: Final = 10
_MAX_COUNT: Final = 100
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
            return (_glob(self.value).fullmatch(_written(actual)) is not None) == (self.operator == "==")
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

    def selected(self, names: Iterable[str], attributes: Mapping[str, T]) -> dict[str, T]:
        """Return the attributes that ``select`` leaves. ``names`` are all that exist. Raises SempError."""
        if not self.select:
            return dict(attributes)
        known = tuple(names)
        wanted: set[str] = set()
        if self.select[0].startswith("-"):
            wanted.update(known)
        for item in self.select:
            found = {name for name in known if _glob(item.removeprefix("-")).fullmatch(name)}
            if not found:
                raise invalid_parameter(f"select: {item.removeprefix('-')} is not a valid attribute")
            wanted = wanted - found if item.startswith("-") else wanted | found
        return {name: value for name, value in attributes.items() if name in wanted}

    def accepts(self, attributes: Callable[[], Mapping[str, object]]) -> bool:
        """Whether ``where`` leaves an object in; without one its attributes are not even read."""
        if not self.where:
            return True
        read = attributes()
        return all(condition.holds(read) for condition in self.where)

    def check_names(self, names: Iterable[str]) -> None:
        """Raise SempError for a condition or selection on an unknown name, also where there are no rows."""
        known = set(names)
        for condition in self.where:
            if condition.name not in known:
                raise invalid_parameter(f"where: {condition.name} is not a valid attribute")
        self.selected(known, {})


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of rows, the total, and the cursor of the next page (None on the last)."""

    rows: tuple[T, ...]
    total: int
    cursor: str | None


def parse(raw: str) -> Query:
    """Parse a query string. Raises :class:`~.errors.SempError` (INVALID_PARAMETER)."""
    given = dict(parse_qsl(raw, keep_blank_values=True))
    for name in given:
        if name not in _KNOWN:
            raise invalid_parameter(f"{name} is not a valid query parameter")
    count = given.get("count", str(_DEFAULT_COUNT))
    if not count.isdecimal() or not 1 <= int(count) <= _MAX_COUNT:
        raise invalid_parameter(f"count must be an integer from 1 to {_MAX_COUNT}")
    return Query(
        select=tuple(item for item in given.get("select", "").split(",") if item),
        where=tuple(_condition(item) for item in _expressions(given.get("where", ""))),
        count=int(count),
        start=_position(given["cursor"]) if "cursor" in given else 0,
    )


def page(query: Query, rows: Sequence[T]) -> Page[T]:
    """Cut a page out of the rows that ``where`` left."""
    stop = query.start + query.count
    return Page(tuple(rows[query.start : stop]), len(rows), _cursor(stop) if stop < len(rows) else None)


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


def _glob(pattern: str) -> re.Pattern[str]:
    """Compile a pattern with ``*`` wildcards and ``\\`` as escape."""
    parts = re.findall(r"\\.|\*|[^\\*]+|\\$", pattern, re.DOTALL)
    return re.compile("".join(".*" if part == "*" else re.escape(part.removeprefix("\\")) for part in parts), re.DOTALL)


def _written(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _cursor(position: int) -> str:
    return base64.urlsafe_b64encode(f"at:{position}".encode()).decode()


def _position(cursor: str) -> int:
    try:
        kind, _, position = base64.urlsafe_b64decode(cursor.encode()).decode().partition(":")
    except (binascii.Error, UnicodeError):
        kind, position = "", ""
    if kind != "at" or not position.isdecimal():
        raise invalid_parameter("cursor: take it from the previous answer")
    return int(position)
