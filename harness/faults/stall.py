"""``stall``: nothing passes between the sides; what was sent arrives when it is over."""

from __future__ import annotations

from crep.harness.faults.on_links import OnLinks
from crep.harness.proxy import Effect, Stall


class StallLinks(OnLinks):
    """Confirmed when no byte comes back from an echo; healed when it does."""

    def effects(self) -> tuple[Effect, ...]:
        """A black hole."""
        return (Stall(),)

    def confirmed(self) -> bool:
        """Whether nothing passes."""
        return self.nothing_passes()
