"""The end of an error about an unknown word: the nearest valid one, or all there are."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(word: str, words: Iterable[str]) -> str:
    """``; did you mean 'lost'?`` or, when nothing is near, ``; there are: …`` (or that there are none)."""
    known = sorted(set(words))
    lower = {name.lower(): name for name in known}
    if close := get_close_matches(word.lower(), lower, n=1, cutoff=0.6):
        return f"; did you mean {lower[close[0]]!r}?"
    return f"; there are: {', '.join(known)}" if known else "; there are none"
