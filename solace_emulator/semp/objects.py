"""What a config object is: its identifiers and attributes, how a path leads to it, how it is created and changed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol

from ..core import access
from ..core.broker import Broker
from ..core.vpn import Vpn
from . import schema
from .errors import already_exists, invalid_parameter, missing_parameter, not_found
from .paths import Step
from .schema import Schema

Values = dict[str, Any]
Ids = tuple[str, ...]


class Store(Protocol):
    """How objects of one type are read and written. ``ids`` are all identifiers, those of the parents first."""

    def list(self, parents: Ids) -> Iterable[Ids]:
        """Return the identifiers of the objects below a parent. Raises SempError when that does not exist."""
        ...

    def read(self, ids: Ids) -> Any:
        """Return an object's settings, or None."""
        ...

    def write(self, ids: Ids, fields: Values, *, new: bool) -> None:
        """Create or change an object with these settings fields, all of them."""
        ...

    def delete(self, ids: Ids) -> None:
        """Delete an object. Raises SempError when the state forbids it."""
        ...


@dataclass(frozen=True)
class ObjectType:
    """A type of config object. ``schema`` None: it has identifiers only, and is created and deleted, not changed.

    ``limits`` are the longest identifiers in characters (250 where there is none), ``patterns`` are regular expressions
    that they match.
    """

    label: str
    collection: str
    identifiers: tuple[str, ...]
    store: Store
    schema: Schema[Any] | None = None
    limits: Mapping[str, int] = field(default_factory=dict)
    patterns: Mapping[str, str] = field(default_factory=dict)
    children: tuple[ObjectType, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        """Every readable attribute but the parents' identifiers."""
        return frozenset(self.identifiers) | (self.schema.names if self.schema is not None else frozenset())

    def describe(self, parents: Values, ids: Ids) -> Values:
        """Return an object's attributes, its parents' identifiers among them, in order of name."""
        own = dict(zip(self.identifiers, ids[-len(self.identifiers) :], strict=True))
        settings = self.schema.describe(self.store.read(ids)) if self.schema is not None else {}
        return dict(sorted((parents | own | settings).items()))

    def create(self, parents: Ids, body: Values) -> Ids:
        """Create an object from a request's attributes; return its identifiers. Raises SempError."""
        own: list[str] = []
        for name in self.identifiers:
            if name not in body:
                raise missing_parameter(f"{name} is required to create a {self.label}")
            own.append(self.checked_identifier(name, body[name]))
        ids = (*parents, *own)
        if self.store.read(ids) is not None:
            raise already_exists(f"{self.label} {','.join(own)} already exists")
        rest = {name: value for name, value in body.items() if name not in self.identifiers}
        self.store.write(ids, self._fields(rest, base=None), new=True)
        return ids

    def checked_identifier(self, name: str, value: object) -> str:
        """Check an identifier. Raises SempError."""
        limit = self.limits.get(name, 250)
        if not isinstance(value, str) or not 1 <= len(value) <= limit:
            raise invalid_parameter(f"{name} must be a string of 1 to {limit} characters")
        pattern = self.patterns.get(name)
        if pattern is not None and re.fullmatch(pattern, value, re.DOTALL) is None:
            raise invalid_parameter(f"{name} {value!r} has a character that it must not have; it must match {pattern}")
        return value

    def change(self, ids: Ids, body: Values, *, put: bool) -> None:
        """Change an object: PATCH keeps what is not given, PUT resets it. Raises SempError."""
        own = dict(zip(self.identifiers, ids[-len(self.identifiers) :], strict=True))
        for name, value in own.items():
            if body.get(name, value) != value:
                raise invalid_parameter(f"{name} cannot be changed")
        rest = {name: value for name, value in body.items() if name not in own}
        settings = self.store.read(ids)
        self.store.write(ids, self._fields(rest, base=settings, put=put), new=settings is None)

    def _fields(self, given: Values, base: Any, *, put: bool = False) -> Values:
        if self.schema is None:
            if given:
                raise invalid_parameter(f"{next(iter(given))} is not a valid attribute")
            return {}
        fields = self.schema.parse(given)
        if "password" in fields:
            fields["password"] = access.seal(fields["password"])
        defaults = self.schema.settings()
        if base is None:
            start = defaults
        elif put:  # what can only be written keeps its value
            kept = {schema.snake_case(name): getattr(base, schema.snake_case(name)) for name in self._kept_by_put()}
            start = replace(defaults, **kept)
        else:
            start = base
        return asdict(start) | fields

    def _kept_by_put(self) -> list[str]:
        assert self.schema is not None  # noqa: S101 - the caller has looked
        return [name for name in self.schema.write_only if self.schema.honours(name)]


@dataclass(frozen=True)
class InVpn:
    """A store of objects below a message VPN."""

    broker: Broker

    def vpn(self, name: str) -> Vpn:
        """Return a message VPN. Raises SempError."""
        found = self.broker.vpns.get(name)
        if found is None:
            raise not_found(f"message VPN {name} does not exist")
        return found


@dataclass(frozen=True)
class Located:
    """A path resolved: the type, the parents' identifiers (as values and by name), and the object's own, if named."""

    type: ObjectType
    parents: Ids
    parent_values: Values
    own: Ids | None

    @property
    def ids(self) -> Ids:
        """All identifiers of the object."""
        return (*self.parents, *(self.own or ()))

    def without_parents(self, body: Values) -> Values:
        """A request's attributes but the parents' identifiers: those may be there and are read-only."""
        return {name: value for name, value in body.items() if name not in self.parent_values}


def locate(root: ObjectType, steps: tuple[Step, ...]) -> Located | None:
    """Resolve a path; None when there is no such type. Raises SempError when a parent does not exist."""
    types: tuple[ObjectType, ...] = (root,)
    parents: Ids = ()
    values: Values = {}
    for at, step in enumerate(steps):
        found = next((one for one in types if one.collection == step.collection), None)
        if found is None or (step.identifiers is not None and len(step.identifiers) != len(found.identifiers)):
            return None
        if at == len(steps) - 1:
            return Located(found, parents, values, step.identifiers)
        assert step.identifiers is not None  # noqa: S101 - only the last step of a path can lack them
        ids = (*parents, *step.identifiers)
        if found.store.read(ids) is None:
            raise not_found(f"{found.label} {','.join(step.identifiers)} does not exist")
        parents, values = ids, values | dict(zip(found.identifiers, step.identifiers, strict=True))
        types = found.children
    return None
