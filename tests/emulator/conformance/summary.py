"""What a conformance run has shown, as text: the matrix feature × client, and where a broker differs. Pure.

Two kinds of differences from a real broker: an *observation* that was not as expected (an assumption of the emulator
that nobody had verified), and a test that failed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

Outcome = Literal["passed", "failed", "skipped"]
_ORDER: Final[tuple[Outcome, ...]] = ("passed", "failed", "skipped")
_UNTESTED: Final = "–"
_REASON: Final = 160


@dataclass(frozen=True)
class Result:
    """How one test ended. ``reason`` is the first line of what it says of itself when it has not passed."""

    test: str
    features: tuple[str, ...]
    client: str
    outcome: Outcome
    reason: str = ""


@dataclass(frozen=True)
class Observation:
    """One look at a broker where the emulator only assumes: what it was built for, and what was seen."""

    name: str
    expected: str
    seen: str

    @property
    def differs(self) -> bool:
        """The assumption does not hold for this broker."""
        return self.seen != self.expected


def matrix(results: Iterable[Result], features: Sequence[str], clients: Sequence[str]) -> list[str]:
    """Lay out the counts, a row for each feature, a column for each client: ``2 passed, 1 skipped``.

    A test of several features counts in each of their rows.
    """
    counts: Counter[tuple[str, str, Outcome]] = Counter()
    for result in results:
        counts.update((feature, result.client, result.outcome) for feature in result.features)
    head = ["feature", *clients]
    return _table([head, *([name, *(_cell(counts, name, client) for client in clients)] for name in features)])


def _cell(counts: Counter[tuple[str, str, Outcome]], feature: str, client: str) -> str:
    shown = [f"{count} {outcome}" for outcome in _ORDER if (count := counts[feature, client, outcome])]
    return ", ".join(shown) or _UNTESTED


def differences(results: Iterable[Result], observations: Iterable[Observation]) -> list[str]:
    """Lay out where the broker is not as expected, assumptions first; one line when there is nothing."""
    rows = [[one.name, one.expected, one.seen] for one in observations if one.differs]
    rows += [[one.test, "passed", one.reason[:_REASON]] for one in results if one.outcome == "failed"]
    if not rows:
        return ["no differences"]
    return _table([["what", "expected here", "seen there"], *rows])


def settled(observations: Iterable[Observation]) -> str:
    """Say in one line how many of the assumptions that were looked at hold."""
    found = list(observations)
    return f"{sum(not one.differs for one in found)} of {len(found)} assumptions seen to hold"


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    padded = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [padded[0], "  ".join("-" * width for width in widths), *padded[1:]]
