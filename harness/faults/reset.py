"""``reset``: open connections between the sides end by RST, once."""

from __future__ import annotations

from crep.harness.faults.on_links import OnLinks
from crep.harness.proxy import Effect, Reset


class ResetLinks(OnLinks):
    """Confirmed when every connection that was open is gone; healed, from then on, when a new one gets through."""

    def effects(self) -> tuple[Effect, ...]:
        """RST."""
        return (Reset(),)

    def confirmed(self) -> bool:
        """Whether no connection from before is left."""
        first = self.applied[0].next_serial
        return all(one.oldest is None or one.oldest >= first for one in self.covered())
