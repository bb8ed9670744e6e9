"""Neutral topic patterns: which topics does a reader's filter select? Pure.

Levels are divided by ``/``; ``*`` alone in a level stands for exactly one level; ``>`` alone as the last level for one
or more further levels. Everything else is literal. (The common part of the brokers' own rules.)
"""

from __future__ import annotations


def topic_matches(pattern: str | None, topic: str) -> bool:
    """Whether ``pattern`` selects ``topic``; None selects every topic."""
    if pattern is None:
        return True
    wanted, levels = pattern.split("/"), topic.split("/")
    if wanted[-1] == ">":
        wanted.pop()
        if len(levels) <= len(wanted):
            return False
        levels = levels[: len(wanted)]
    return len(wanted) == len(levels) and all(w in ("*", level) for w, level in zip(wanted, levels, strict=True))
