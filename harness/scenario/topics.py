"""Neutral topics: what a template stands for, and which topics a filter selects.

A topic is a path of levels: ``orders/eu/new``. A template gives values for levels: ``orders/{region:eu,us}/{n:1,2}``,
or a range of numbers: ``{device:1..2000}``. A filter has ``*`` for exactly one level and ``>`` at the end for one or
more; adapters translate it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from crep.harness.brokers.topics import topic_matches

MOST_TOPICS = 10_000
LONGEST_TOPIC = 200  # bytes: the systems stop at 249 or 250, and adapters put the run's name in front
_LEVEL = re.compile(r"[A-Za-z0-9_.-]+")
_RANGE = re.compile(r"(\d{1,9})\.\.(\d{1,9})")
_NAMED = re.compile(r"\{([^{}]*)\}")
_VALUES = re.compile(r"\{([a-z][a-z0-9_-]*):([^{}]*)\}")


def expand(template: str) -> tuple[str, ...]:
    """Every concrete topic of a template, the last level changing fastest.

    Raises:
        ValueError: a level is empty or has a character that is not a letter, digit, ``_``, ``-`` or ``.``; a level has
            the same value twice; a topic is too long; there are too many topics.
    """
    choices = [_choices(level, template) for level in template.split("/")]
    number = int(np.prod([len(values) for values in choices], dtype=object))
    if number > MOST_TOPICS:
        raise ValueError(f"{template!r} stands for {number:,} topics; at most {MOST_TOPICS:,} are allowed")
    topics = tuple("/".join(levels) for levels in product(*choices))
    longest = max(topics, key=len)
    if len(longest) > LONGEST_TOPIC:
        raise ValueError(f"topic {longest[:40]}… has {len(longest)} characters; at most {LONGEST_TOPIC} are allowed")
    return topics


def named_levels(template: str) -> tuple[dict[str, str], ...]:
    """For each topic of ``expand``, in its order, the values of the levels that have a name."""
    names = [named[1] if (named := _VALUES.fullmatch(level)) else None for level in template.split("/")]
    return tuple(
        {name: value for name, value in zip(names, topic.split("/"), strict=True) if name is not None}
        for topic in expand(template)
    )


def renamed(rule: str, levels: Mapping[str, str]) -> str:
    """The topic that a rule such as ``ext/{region}/{type}`` makes of named levels.

    Raises:
        ValueError: there is no level of that name, or what comes out is no topic.
    """

    def value(found: re.Match[str]) -> str:
        if found[1] not in levels:
            known = ", ".join(f"{{{name}}}" for name in levels) or "none"
            raise ValueError(f"{rule!r}: {found[0]} is no level of the topics that come in; their names are {known}")
        return levels[found[1]]

    topic = _NAMED.sub(value, rule)
    for level in topic.split("/"):
        if not _LEVEL.fullmatch(level):
            raise ValueError(f"{rule!r}: level {level!r} is not understood; write letters, digits, '_', '-', '.'")
    if len(topic) > LONGEST_TOPIC:
        raise ValueError(f"topic {topic[:40]}… has {len(topic)} characters; at most {LONGEST_TOPIC} are allowed")
    return topic


def _choices(level: str, template: str) -> list[str]:
    named = _VALUES.fullmatch(level)
    values = [value.strip() for value in named[2].split(",")] if named else [level]
    if named and (bounds := _RANGE.fullmatch(named[2].strip())):
        first, last = int(bounds[1]), int(bounds[2])
        if not 0 < last - first < MOST_TOPICS:
            raise ValueError(
                f"level {level!r} of topic {template!r}: a range goes up, by at most {MOST_TOPICS:,} values"
            )
        values = [str(number) for number in range(first, last + 1)]
    for value in values:
        if not _LEVEL.fullmatch(value):
            raise ValueError(
                f"level {level!r} of topic {template!r} is not understood; write letters, digits, '_', '-', '.', "
                "or values as {name:first,second} or {name:1..100}"
            )
    if len(set(values)) < len(values):
        raise ValueError(f"level {level!r} of topic {template!r} has the same value twice")
    return values


def check_filter(pattern: str) -> str:
    """The pattern itself.

    Raises:
        ValueError: ``*`` is not a whole level, ``>`` is not the whole last level, or a level is empty or malformed.
    """
    *before, last = pattern.split("/")
    for level in before:
        if level == ">":
            raise ValueError(f"filter {pattern!r}: '>' stands for all further levels, so it can only be the last one")
    for level in (*before, last):
        if level not in ("*", ">") and not _LEVEL.fullmatch(level):
            raise ValueError(
                f"filter {pattern!r}: level {level!r} must be a value, '*' (any one level) or a final '>' (all further)"
            )
    return pattern


def selection(pattern: str | None, topics: Sequence[str]) -> NDArray[np.bool_]:
    """For each topic whether the filter selects it."""
    return np.array([topic_matches(pattern, topic) for topic in topics], dtype=np.bool_)
