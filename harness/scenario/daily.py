"""The volume of a day, as a business asks for it, and the rate of its busiest second (METHOD rule 17). Pure."""

from __future__ import annotations

from dataclasses import dataclass

DAY_S = 86_400


@dataclass(frozen=True)
class Daily:
    """Messages a day, and how many times the mean the busiest second is."""

    messages: int
    peak: float

    @property
    def per_s(self) -> float:
        """Messages per second in the busiest second."""
        return self.messages * self.peak / DAY_S
