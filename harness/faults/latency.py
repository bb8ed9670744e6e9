"""``latency``: every byte between the sides arrives later, in order, with jitter."""

from __future__ import annotations

import math

from crep.harness.faults.on_links import PROBE_WITHIN_S, OnLinks
from crep.harness.proxy import Effect, Latency


class AddLatency(OnLinks):
    """Confirmed when a round trip takes as much longer as it must at least; healed when it no longer does."""

    def effects(self) -> tuple[Effect, ...]:
        """The delay of each way."""
        return (Latency(self.parameters["add_s"], self.parameters["jitter_s"]),)

    def confirmed(self) -> bool:
        """Whether a round trip takes the added time."""
        return self.in_effect() and (not self.alone() or all(takes_s >= self._least_s for takes_s in self._trips()))

    def healed(self) -> bool:
        """Whether it takes less again; that cannot be seen where jitter may take all of the delay away."""
        if not super().healed():
            return False
        visible = self.alone() and self._least_s > 0
        return not visible or all(takes_s < self._least_s for takes_s in self._trips())

    def _trips(self) -> list[float]:
        most_s = self._ways * float(self.parameters["add_s"] + self.parameters["jitter_s"])
        return [math.nan if trip is None else trip for trip in self.trips(most_s + PROBE_WITHIN_S)]  # nan: never holds

    @property
    def _ways(self) -> int:
        return 2 if self.parameters["direction"] == "both" else 1

    @property
    def _least_s(self) -> float:
        return self._ways * float(self.parameters["add_s"] - self.parameters["jitter_s"])
