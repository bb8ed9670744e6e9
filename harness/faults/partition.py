"""``partition``: nothing passes between two parties, in either direction, whoever connected to whom."""

from __future__ import annotations

from crep.harness.faults.on_links import OnLinks, named
from crep.harness.faults.sides import Side, two_sides
from crep.harness.proxy import Effect, Refuse, Reset, Rule, Stall


class Partition(OnLinks):
    """Confirmed when no byte comes back from an echo on any link between the two; healed when it does on all."""

    def sides(self) -> tuple[Side, Side]:
        """The two parties."""
        one, other = self.parameters["between"]
        return two_sides(self.stage, one, other)

    @property
    def subject(self) -> str:
        """Both parties."""
        return f"{named(self.of)} | {named(self.to)}"

    def effects(self) -> tuple[Effect, ...]:
        """Packets vanish; or connections end and no new one comes about."""
        return (Stall(),) if self.parameters["how"] == "stall" else (Refuse(), Reset())

    def rules(self) -> tuple[Rule, ...]:
        """Both directions of connecting."""
        pairs = ((self.of, self.to), (self.to, self.of))
        return self.numbered((one, other, effect) for one, other in pairs for effect in self.effects())

    def in_effect(self) -> bool:
        """Whether the proxy says that all lasting rules are."""
        lasting = {rule.id for rule in self.rules() if not isinstance(rule.effect, Reset)}
        return lasting <= set(self.links.state().rules)

    def confirmed(self) -> bool:
        """Whether nothing passes, and, where connections were to end, none is left."""
        ended = self.parameters["how"] == "stall" or not any(one.open for one in self.covered())
        return ended and self.nothing_passes()
