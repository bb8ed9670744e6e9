"""Topic patterns as regular expressions, and the rules that give a topic another name. Pure.

The pattern is that of a scenario's filter (levels by ``/``, ``*`` for one level, ``>`` at the end for all further
ones), and ``*`` may also stand for a part of a level, as Solace's prefix wildcard does: ``orders.*`` finds Kafka names.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

_PLACE = re.compile(r"\{(topic|\d+)\}")


def topic_expression(pattern: str) -> str:
    """A pattern as a regular expression (valid as RE2 too) for the whole topic, with a group for each wildcard.

    Raises:
        ValueError: it is empty, or ``>`` stands elsewhere than alone at the end.
    """
    levels = pattern.split("/")
    if not pattern or ">" in "".join(levels[:-1]) or (">" in levels[-1] and levels[-1] != ">"):
        raise ValueError(f"{pattern!r} is no topic pattern: write for example orders/*/new, orders/> or orders.*")
    parts = ["([^/]*)".join(map(re.escape, level.split("*"))) for level in levels]
    if levels[-1] == ">":
        parts[-1] = "(.+)"
    return "(?s:" + "/".join(parts) + ")"


class Rule:
    """One pattern and the template of the new name.

    Raises:
        ValueError: the template asks for a wildcard that the pattern has not.
    """

    def __init__(self, pattern: str, template: str) -> None:
        self._expression = re.compile(topic_expression(pattern))
        self._template = template
        rest = _PLACE.sub("", template)
        if "{" in rest or "}" in rest:
            raise ValueError(f"{template!r} is not understood: places are {{topic}} and {{1}}, {{2}} …")
        for place in _PLACE.findall(template):
            if place != "topic" and not 1 <= int(place) <= self._expression.groups:
                raise ValueError(f"{{{place}}}: the pattern {pattern!r} has {self._expression.groups} wildcard(s)")

    def apply(self, topic: str) -> str | None:
        """The new name; None where the pattern does not match."""
        found = self._expression.fullmatch(topic)
        if found is None:
            return None
        return _PLACE.sub(lambda place: topic if place[1] == "topic" else found[int(place[1])], self._template)


class Remapping:
    """Rules of which the first that matches counts; a topic that none matches stays as it is."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = tuple(rules)
        self._known = lru_cache(maxsize=10_000)(self._find)

    def __call__(self, topic: str) -> str:
        """The name that a topic gets."""
        return self._known(topic)

    def _find(self, topic: str) -> str:
        for rule in self._rules:
            new = rule.apply(topic)
            if new is not None:
                return new
        return topic
