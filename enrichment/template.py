"""Templates: text with ``{field}`` in it, as topics, keys and properties are written. Pure.

``{customer.region}`` is a field of the body; ``{type|other}`` has a default. ``{@key}``, ``{@topic}``, ``{@topic.2}``
(a level, from 1) and ``{@properties.name}`` are of the message as it came. ``{{`` and ``}}`` are braces.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from crep.enrichment.record import Record, StepFailed, path_of, reader

Part = Callable[[Record], str]
Legal = Callable[[str], str | None]
"""Says what is wrong with a value that is put in, or None."""

_NO_LEVEL = re.compile(r"[/*>\x00-\x1f\x7f]").search
_KAFKA_NAME = re.compile(r"[A-Za-z0-9._-]+").fullmatch
_TOKENS = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|([{}])")
_NONE = object()
_WORDS = {True: "true", False: "false"}


def anything(_: str) -> str | None:
    """Every value is legal."""
    return None


def topic_level(value: str) -> str | None:
    """One level of a Solace topic: not empty, no separator, no wildcard, no control characters."""
    if value.isalnum():  # the shorter way for nearly all
        return None
    if not value:
        return "is empty, which no topic level may be"
    if bad := _NO_LEVEL(value):
        return f"has {bad[0]!r}, which no topic level may have"
    return None


def kafka_name(value: str) -> str | None:
    """A part of a Kafka topic's name."""
    if value.isascii() and value.isalnum():  # the shorter way for nearly all
        return None
    if not _KAFKA_NAME(value):
        return "is no part of a Kafka topic's name (letters, digits, '.', '_' and '-')"
    return None


class Template:
    """Compiled once, rendered for each message.

    Args:
        text: as written.
        legal: what a value that is put in may be.

    Attributes:
        render: gives the text for one message. Raises StepFailed: a field is missing, no scalar, or not legal.

    Raises:
        ValueError: a brace is alone, or what stands between two is not understood.
    """

    def __init__(self, text: str, legal: Legal = anything) -> None:
        self.text, self._legal = text, legal
        self._parts: list[str | Part] = []
        at = 0
        for found in _TOKENS.finditer(text):
            self._literal(text[at : found.start()])
            at = found.end()
            if found[0] in ("{{", "}}"):
                self._literal(found[0][0])
            elif found[2]:
                raise ValueError(f"{text!r}: a {found[2]!r} is alone; write {found[2] * 2} for a brace itself")
            else:
                self._parts.append(self._field(found[1]))
        self._literal(text[at:])
        self.render = self._rendering()

    def _rendering(self) -> Part:
        """Most templates are a text, or one field between two texts: those are put together without a loop."""
        parts = self._parts
        fields = [part for part in parts if not isinstance(part, str)]
        if not fields:
            text = "".join(map(str, parts))
            return lambda _: text
        if len(fields) == 1:
            field, at = fields[0], parts.index(fields[0])
            before, after = "".join(map(str, parts[:at])), "".join(map(str, parts[at + 1 :]))
            return (lambda record: before + field(record) + after) if before or after else field
        return lambda record: "".join([part if isinstance(part, str) else part(record) for part in parts])

    def _literal(self, text: str) -> None:
        if text:
            self._parts.append(text)

    def _field(self, inside: str) -> Part:
        name, bar, default = inside.partition("|")
        fallback: object = default if bar else _NONE
        if name.startswith("@"):
            return self._of_message(name, fallback)
        get = reader(path_of(name), fallback) if bar else reader(path_of(name))
        legal, text_of = self._legal, self._text

        def of_body(record: Record) -> str:
            value = get(record.body)
            if type(value) is str and legal(value) is None:
                return value
            return text_of(name, value)

        return of_body

    def _of_message(self, name: str, fallback: object) -> Part:
        kind, _, rest = name[1:].partition(".")
        if kind == "key" and not rest:
            return lambda record: self._text(name, _or(record.message.key, fallback))
        if kind == "topic" and not rest:
            return lambda record: self._text(name, record.message.topic, checked=False)
        if kind == "topic" and rest.isdecimal() and int(rest) > 0:
            level = int(rest) - 1

            def one_level(record: Record) -> str:
                levels = record.message.topic.split("/")
                return self._text(name, levels[level] if level < len(levels) else fallback)

            return one_level
        if kind == "properties" and rest:
            return lambda record: self._text(name, _or(record.message.properties.get(rest), fallback))
        raise ValueError(
            f"{{{name}}} is not understood: write {{a.field}}, {{@key}}, {{@topic}}, {{@topic.2}} or "
            "{@properties.name}"
        )

    def _text(self, name: str, value: object, *, checked: bool = True) -> str:
        if value is _NONE or value is None:
            raise StepFailed(f"there is no {name!r} for {self.text!r}")
        if isinstance(value, bool):
            text = _WORDS[value]
        elif isinstance(value, str | int | float):
            text = str(value)
        else:
            raise StepFailed(f"{name!r} for {self.text!r} is no text and no number")
        if checked and (wrong := self._legal(text)):
            raise StepFailed(f"{name!r} for {self.text!r} {wrong}: {text!r:.60}")
        return text


def _or(value: object, fallback: object) -> object:
    return fallback if value is None else value
