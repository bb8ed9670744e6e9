"""``refuse``: new connections between the sides are refused; open ones are left alone."""

from __future__ import annotations

from crep.harness.faults.on_links import OnLinks
from crep.harness.proxy import Effect, Refuse


class RefuseLinks(OnLinks):
    """Confirmed when a new connection of each party is turned away; healed when it gets through."""

    def effects(self) -> tuple[Effect, ...]:
        """No new connection."""
        return (Refuse(),)

    def confirmed(self) -> bool:
        """Whether nobody gets in."""
        return self.nothing_passes()
