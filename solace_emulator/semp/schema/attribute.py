"""One attribute of a SEMP object: its type, default and bounds; and one object's attributes together with what of them
the emulator honours.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Generic, Literal, TypeVar

from ..errors import SempError, invalid_parameter, not_supported

Kind = Literal["flag", "number", "choice", "text", "nested"]
Value = bool | int | str | None
S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute. ``default`` None: the document names none, so it is not returned unless it is honoured."""

    name: str
    kind: Kind
    default: Value = None
    low: int = 0
    high: int = 0
    choices: tuple[str, ...] = ()
    write_only: bool = False

    def check(self, value: object) -> Value:
        """Return a value that has the right type and bounds. Raises :class:`SempError` (INVALID_PARAMETER)."""
        if self.kind == "flag":
            if isinstance(value, bool):
                return value
            raise invalid_parameter(f"{self.name} must be true or false")
        if self.kind == "number":
            if isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high:
                return value
            raise invalid_parameter(f"{self.name} must be an integer from {self.low} to {self.high}")
        if not isinstance(value, str):
            raise invalid_parameter(f"{self.name} must be a string")
        if self.kind == "choice" and value not in self.choices:
            raise invalid_parameter(f"{self.name} must be one of {', '.join(self.choices)}")
        if self.kind == "text" and not self.low <= len(value) <= self.high:
            raise invalid_parameter(f"{self.name} must have {self.low} to {self.high} characters")
        return value


def flag(name: str, default: bool) -> Attribute:
    """Return a boolean attribute."""
    return Attribute(name, "flag", default)


def number(name: str, default: int | None, low: int, high: int) -> Attribute:
    """Return an integer attribute with its bounds, both included."""
    return Attribute(name, "number", default, low, high)


def choice(name: str, default: str, *choices: str, write_only: bool = False) -> Attribute:
    """Return an attribute with a closed set of values."""
    return Attribute(name, "choice", default, choices=choices, write_only=write_only)


def text(name: str, default: str, low: int, high: int, *, write_only: bool = False) -> Attribute:
    """Return a string attribute with the bounds of its length."""
    return Attribute(name, "text", default, low, high, write_only=write_only)


def nested(name: str) -> Attribute:
    """Return an attribute that is an object (thresholds of events): known, never settable here."""
    return Attribute(name, "nested")


def snake_case(name: str) -> str:
    """Return the settings field that an attribute name stands for: ``maxMsgSize`` is ``max_msg_size``."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


@dataclass(frozen=True)
class Schema(Generic[S]):
    """An object type's attributes over the settings class that honours some of them.

    An attribute is honoured when the settings class has a field of its name. Any other takes its default only. Of a
    honoured one ``not_emulated`` lists values that are not: (attribute, value).
    """

    settings: type[S]
    attributes: tuple[Attribute, ...]
    not_emulated: frozenset[tuple[str, Value]] = frozenset()
    _by_name: dict[str, Attribute] = field(init=False, repr=False)
    _fields: frozenset[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {attribute.name: attribute for attribute in self.attributes})
        object.__setattr__(self, "_fields", frozenset(one.name for one in fields(self.settings)))  # type: ignore[arg-type]

    @property
    def names(self) -> frozenset[str]:
        """The names that can be read."""
        return frozenset(attribute.name for attribute in self.attributes if not attribute.write_only)

    @property
    def write_only(self) -> frozenset[str]:
        """The names that never come back."""
        return frozenset(attribute.name for attribute in self.attributes if attribute.write_only)

    def honours(self, name: str) -> bool:
        """Whether other values than the default have their effect."""
        return snake_case(name) in self._fields

    def describe(self, settings: S) -> dict[str, Value]:
        """Return an object's readable attributes."""
        described: dict[str, Value] = {}
        for attribute in self.attributes:
            value = getattr(settings, snake_case(attribute.name)) if self.honours(attribute.name) else attribute.default
            if not attribute.write_only and value is not None:
                described[attribute.name] = value
        return described

    def parse(self, given: Mapping[str, object]) -> dict[str, Any]:
        """Return settings fields for attributes of a request. Raises :class:`SempError`."""
        found: dict[str, Any] = {}
        for name, raw in given.items():
            attribute = self._by_name.get(name)
            if attribute is None:
                raise invalid_parameter(f"{name} is not a valid attribute")
            if attribute.kind == "nested":
                raise not_supported(f"{name} is not emulated; leave it out")
            value = attribute.check(raw)
            if (name, value) in self.not_emulated or (not self.honours(name) and value != attribute.default):
                raise _not_emulated(attribute, value)
            if self.honours(name):
                found[snake_case(name)] = value
        return found


def _not_emulated(attribute: Attribute, value: Value) -> SempError:
    instead = "leave it out" if attribute.default is None else f"only the default {attribute.default!r} is accepted"
    return not_supported(f"{attribute.name} = {value!r} is not emulated; {instead}")
