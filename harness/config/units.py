"""Durations, sizes, rates and shares: the one place that parses and prints them.

A quantity in a file always carries its unit (``5 s``, ``1 KiB``, ``2000/s``, ``70 %``); a bare number is refused,
because nobody can see whether it means seconds or milliseconds. Inside crep they are plain numbers: seconds, bytes,
messages per second, fractions. The annotated types ``Duration``, ``Size``, ``Rate``, ``Share`` are for pydantic models.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, TypeVar

from pydantic import BeforeValidator, WithJsonSchema

_SECONDS: Mapping[str, float] = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
_BYTES: Mapping[str, int] = {
    "B": 1,
    "kB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "KiB": 1024,
    "MiB": 1024**2,
    "GiB": 1024**3,
}
_PER_SECOND: Mapping[str, float] = {"s": 1.0, "min": 60.0, "h": 3600.0, "day": 86400.0}

_LARGEST = 1e300
"""Beyond this a float is soon infinite, and no message about it could be printed."""
_NUMBER = r"(\d+(?:\.\d+)?)"
_QUANTITY = re.compile(rf"{_NUMBER}\s*([A-Za-zµ%]+)")
_RATE = re.compile(rf"{_NUMBER}\s*/\s*([a-z]+)(?:\s*[×x]\s*{_NUMBER})?")

DURATION_FORMS = "a duration needs a number and a unit: '200 ms', '5 s', '2 min' or '1 h'"
SIZE_FORMS = "a size needs a number and a unit: '100 B', '1 KiB' (1024 B), '1 MiB', '1 kB' (1000 B) or '1 MB'"
RATE_FORMS = "a rate needs a number and a unit: '2000/s', '60/min', '5000000/day' or, at its peak, '5000000/day × 4'"
SHARE_FORMS = "a share needs a number and a per cent sign: '70 %'"


def _quantity(text: object, units: Mapping[str, float], pattern: re.Pattern[str], forms: str) -> float:
    """The number times its unit. Decimal literals times powers of ten are rounded once, so ``0.3 s`` is 0.3."""
    found = pattern.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is None or found[2] not in units:
        raise ValueError(f"{forms}, not {text!r}")
    factor = units[found[2]]
    if float(found[1]) * factor > _LARGEST:
        raise ValueError(f"{text!r:.40} is too large to be meant")
    # 5 ms as 5 * 0.001 is 0.005 exactly, but 3 * 1e-6 is not 3e-06: dividing by the exact reciprocal is.
    return float(found[1]) * factor if factor >= 1 else float(found[1]) / round(1 / factor)


def parse_duration(text: object) -> float:
    """Seconds.

    Raises:
        ValueError: no number with one of the units ns, us, ms, s, min, h.
    """
    return _quantity(text, _SECONDS, _QUANTITY, DURATION_FORMS)


def parse_size(text: object) -> int:
    """Bytes.

    Raises:
        ValueError: no number with one of the units B, kB, MB, GB, KiB, MiB, GiB, or not a whole number of bytes.
    """
    size = _quantity(text, _BYTES, _QUANTITY, SIZE_FORMS)
    if size != int(size):
        raise ValueError(f"a size is a whole number of bytes, not {text!r}")
    return int(size)


def parse_rate(text: object) -> float:
    """Messages per second.

    Raises:
        ValueError: no number with one of the units /s, /min, /h, /day.
    """
    found = _RATE.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is None or found[2] not in _PER_SECOND:
        raise ValueError(f"{RATE_FORMS}, not {text!r}")
    number = float(found[1]) * float(found[3] or 1)
    if number > _LARGEST:
        raise ValueError(f"{text!r:.40} is too large to be meant")
    return number / _PER_SECOND[found[2]]


def parse_share(text: object) -> float:
    """A fraction of one.

    Raises:
        ValueError: no number with a per cent sign, or above 100 %.
    """
    share = _quantity(text, {"%": 0.01}, _QUANTITY, SHARE_FORMS)
    if share > 1:
        raise ValueError(f"a share is at most 100 %, not {text!r}")
    return share


def format_duration(seconds: float) -> str:
    """The shortest usual form: ``350 ms``, ``5 s``, ``2 min``; negative times keep their sign."""
    if seconds < 0:
        return f"-{format_duration(-seconds)}"
    for unit, factor in (("h", 3600.0), ("min", 60.0)):
        if seconds >= factor and seconds % factor == 0:
            return f"{seconds / factor:.0f} {unit}"
    for unit, scale in (("s", 1), ("ms", 1_000), ("µs", 1_000_000)):
        if seconds * scale >= 1 or seconds == 0:
            return f"{_decimal(seconds * scale, 6)} {unit}"
    return f"{_decimal(seconds * 1_000_000_000, 6)} ns"


def _decimal(value: float, digits: int) -> str:
    """At least ``digits`` significant digits, never with an exponent, which no parser here reads."""
    text = f"{value:.{digits}g}"
    return f"{value:.0f}" if "e+" in text else f"{value:.12f}".rstrip("0") if "e-" in text else text


def format_size(size: int) -> str:
    """The largest binary unit that keeps the number whole, else decimal digits: ``1 KiB``, ``1500 B``."""
    for unit in ("GiB", "MiB", "KiB"):
        if size and size % _BYTES[unit] == 0:
            return f"{size // _BYTES[unit]} {unit}"
    return f"{size} B"


def format_rate(per_second: float) -> str:
    """``2000/s``; below one a second per minute, hour or day."""
    for unit in ("s", "min", "h"):
        if per_second * _PER_SECOND[unit] >= 1 or per_second == 0:
            return f"{_decimal(per_second * _PER_SECOND[unit], 10)}/{unit}"
    return f"{_decimal(per_second * _PER_SECOND['day'], 10)}/day"


Number = TypeVar("Number", int, float)


def _positive(parse: Callable[[object], Number], noun: str) -> Callable[[object], Number]:
    def check(text: object) -> Number:
        value = parse(text)
        if value <= 0:
            raise ValueError(f"a {noun} of {text} makes no sense here: it must be above 0")
        return value

    return check


QUANTITY_KEY = "x-quantity"
"""In a JSON Schema: which kind of quantity a text is."""


def _written(quantity: str, units: str, examples: list[str]) -> WithJsonSchema:
    pattern = rf"^\d+(\.\d+)?\s*{units}$"
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": examples, QUANTITY_KEY: quantity})


_DURATION_SCHEMA = _written("duration", "(ns|us|µs|ms|s|min|h)", ["200 ms", "5 s", "2 min"])

Duration = Annotated[float, BeforeValidator(parse_duration), _DURATION_SCHEMA]
"""Seconds, 0 allowed."""
PositiveDuration = Annotated[float, BeforeValidator(_positive(parse_duration, "duration")), _DURATION_SCHEMA]
"""Seconds, above 0."""
Size = Annotated[
    int,
    BeforeValidator(_positive(parse_size, "size")),
    _written("size", "(B|kB|MB|GB|KiB|MiB|GiB)", ["100 B", "1 KiB"]),
]
"""Bytes, above 0."""
Rate = Annotated[
    float,
    BeforeValidator(_positive(parse_rate, "rate")),
    _written("rate", r"/\s*(s|min|h|day)(\s*[×x]\s*\d+(\.\d+)?)?", ["2000/s", "60/min", "5000000/day × 4"]),
]
"""Messages per second, above 0."""
Share = Annotated[float, BeforeValidator(_positive(parse_share, "share")), _written("share", "%", ["70 %", "2.5 %"])]
"""A fraction of one, above 0."""
