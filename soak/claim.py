"""What a claim is: a sentence that a trial either bears out or not, and how often that is to be tried."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Verdict:
    """How one trial ended. ``why`` says what broke the claim; ``figures`` are what was measured beside it."""

    why: tuple[str, ...] = ()
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def held(self) -> bool:
        """Nothing broke it."""
        return not self.why


class Claim(Protocol):
    """One claim. Its module holds one class; ``claims`` lists its instances."""

    @property
    def name(self) -> str:
        """As ``--only`` takes it."""

    @property
    def text(self) -> str:
        """The sentence, for the page."""

    @property
    def count(self) -> int:
        """Trials of a whole soak."""

    @property
    def allowed(self) -> int:
        """Of these, how many may break the claim: 0 but where it is itself about a share of trials."""

    def trial(self, seed: int, folder: Path) -> Verdict:
        """Try once, in an empty folder of its own, and leave no process behind, however it ends.

        Raises:
            CrepError: the trial could not be made (no broker started); this says nothing of the claim.
        """


def broken(**conditions: bool) -> tuple[str, ...]:
    """The names of the conditions that do not hold, in words."""
    return tuple(name.replace("_", " ") for name, holds in conditions.items() if not holds)
