"""What a replay ends with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from crep.replay.control import State


@dataclass(frozen=True)
class Ledger:
    """What became of the selected messages. ``state``: *done*, *stopped* (the same id goes on) or *cancelled*."""

    id: str
    state: State
    selected: int
    acknowledged: int
    rejected: int
    removed: int
    maybe_doubled: int
    runs: int
    reasons: dict[str, int]

    @property
    def open(self) -> int:
        """Without a final outcome yet."""
        return self.selected - self.acknowledged - self.rejected - self.removed

    @property
    def exact(self) -> bool:
        """Every selected message was acknowledged or rejected."""
        return self.selected == self.acknowledged + self.rejected

    def document(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "replay": self.id,
            "state": self.state,
            "selected": self.selected,
            "acknowledged": self.acknowledged,
            "rejected": self.rejected,
            "removed": self.removed,
            "maybe_doubled": self.maybe_doubled,
            "runs": self.runs,
            "exact": self.exact,
            "reasons": dict(self.reasons),
        }
