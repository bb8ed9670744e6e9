"""The part of a broker's output that a person needs to see in an error."""

from __future__ import annotations

import re

_FRAME = re.compile(r"\s+(at \S+\(.*\)|\.\.\. \d+ (more|common frames omitted))\s*")


def last_words(output: str, lines: int = 12) -> str:
    """The last lines, indented, without the frames of Java's stack traces: those are in the log for who wants them."""
    words = [line for line in output.splitlines() if line.strip() and not _FRAME.fullmatch(line)]
    return "\n".join(f"    {line}" for line in words[-lines:]) or "    (it printed nothing)"
