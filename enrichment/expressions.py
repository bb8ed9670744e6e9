"""Expressions: CEL, the Common Expression Language (cel.dev), by the ``common-expression-language`` package.

Why CEL: it always ends, has no side effects and no way out to the machine, is specified independently of this program,
and looks as its readers expect. JMESPath and JSONPath choose, but cannot compute.

Variables: ``body``, ``key``, ``topic``, ``properties`` (of the message as it came) and ``now`` (timestamp).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import cel

from crep.enrichment.record import Record, StepFailed

_NAMES: dict[str, Callable[[Record], Any]] = {
    "body": lambda record: record.body,
    "key": lambda record: record.message.key,
    "topic": lambda record: record.message.topic,
    "properties": lambda record: dict(record.message.properties),
    "now": lambda _: datetime.now(UTC),
}
_STRINGS = re.compile(r"""(?:[rRbB]{0,2})("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')""")
_FIELD_OF_BODY = re.compile(r"(?<![\w.])body\s*\.\s*([A-Za-z_]\w*)\b(?!\s*\()")
_WORD = re.compile(r"(?<![\w.])([A-Za-z_]\w*)")
_IN_ERRORS = 200


class Expression:
    """Compiled once, evaluated for each message.

    Only what the expression names is handed over: converting a whole body costs more than most expressions.

    Raises:
        ValueError: it is no CEL, or names a variable that there is not.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            self._program = cel.compile(text)
        except ValueError as error:
            raise ValueError(f"{text!r} is no CEL: {_first_line(error)}") from None
        outside = _STRINGS.sub("''", text)
        used = set(_WORD.findall(outside)) & _NAMES.keys()
        self._of_body = "body" in used
        self._used = [(name, _NAMES[name]) for name in used if name != "body"]
        self._fields = self._narrow(outside)
        self._check_names()

    @staticmethod
    def _narrow(outside: str) -> tuple[str, ...] | None:
        """The body's fields that are named; None where the body is used as a whole."""
        fields = _FIELD_OF_BODY.findall(outside)
        whole = len(re.findall(r"(?<![\w.])body\b", outside)) > len(fields)
        return None if whole else tuple(dict.fromkeys(fields))

    def _check_names(self) -> None:
        """A variable that is nowhere shows itself with any body: missing fields are another error."""
        empty = {"body": {}, "key": "", "topic": "", "properties": {}, "now": datetime.now(UTC)}
        try:
            self._program.execute(empty)
        except RuntimeError as error:
            if "Undefined variable or function" in str(error):
                known = ", ".join(_NAMES)
                raise ValueError(f"{self.text!r}: {_first_line(error)} The variables are {known}") from None
        except (LookupError, TypeError, ValueError, ArithmeticError):
            return  # it asks for a field, which messages will have

    def value(self, record: Record) -> Any:
        """What it gives.

        Raises:
            StepFailed: a field is missing, or the types do not fit.
        """
        variables = {name: get(record) for name, get in self._used}
        if self._of_body:
            body = record.body
            if self._fields is not None and isinstance(body, dict):
                body = {name: body[name] for name in self._fields if name in body}
            variables["body"] = body
        try:
            return self._program.execute(variables)
        except KeyError as error:
            raise StepFailed(f"{self.text!r}: there is no field {error}") from None
        except (RuntimeError, TypeError, ValueError, LookupError, ArithmeticError) as error:
            raise StepFailed(f"{self.text!r}: {_first_line(error)}") from None

    def holds(self, record: Record) -> bool:
        """Whether it is true.

        Raises:
            StepFailed: as ``value``, or it gives something else than true or false.
        """
        value = self.value(record)
        if not isinstance(value, bool):
            raise StepFailed(f"{self.text!r} gives {value!r:.60}, which is neither true nor false")
        return value


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0][:_IN_ERRORS]
