"""``half-open``: one side is gone without a word, the other believes in its connections."""

from __future__ import annotations

from crep.harness.faults.on_links import OnLinks
from crep.harness.proxy import Effect, HalfOpen


class HalfOpenLinks(OnLinks):
    """Confirmed when every connection that was open has lost its other end, and a new one is not answered (where the
    party is the one that believes); healed when none is half-open and a new one gets through."""

    def effects(self) -> tuple[Effect, ...]:
        """One end goes on alone."""
        return (HalfOpen(),)

    def confirmed(self) -> bool:
        """Whether all that were open are half-open."""
        ghosts = sum(one.ghosts for one in self.covered())
        unanswered = self.in_effect() if self.parameters["direction"] == "from-node" else self.nothing_passes()
        return unanswered and ghosts >= self.applied[0].connections

    def healed(self) -> bool:
        """Whether no end is left alone."""
        return not any(one.ghosts for one in self.covered()) and super().healed()
