"""What network faults share: the rules that the proxy is given, and the look at what they do."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

from crep.harness.brokers.contract import NotSupported
from crep.harness.faults.contract import Fault, Stage
from crep.harness.faults.sides import Side, links_of, two_sides
from crep.harness.proxy import OTHERS, Applied, Direction, Effect, Link, LinkState, ProxyFailed, Rule

PROBE_WITHIN_S = 0.25
"""A probe that is not held comes back within a millisecond; on a busy machine it may take a while."""
HELD_WITHIN_S = 0.1
"""How long a probe that should be held is waited for: shorter, so that looking does not outlast a short fault."""

_MOST_PROBES = 6


class OnLinks(Fault):
    """A fault on the connections from some parties to some nodes.

    It dies with crep: the proxy of a run ends with it, and a standing one takes back what it was ordered by a crep
    that is gone. So `undo` has nothing to name.
    """

    def __init__(self, stage: Stage) -> None:
        self.heal_after_s = stage.event.heal_after_s
        self.stage, self.links = stage, links_of(stage)
        self.parameters = cast("dict[str, Any]", dict(stage.event.parameters))
        self.of, self.to = self.sides()  # refused here, before any load, where the target cannot
        if not self.rules():
            raise NotSupported(
                f"{stage.event.action}: no link of target {self.stage.deployment.target!r} leads from {self.subject}"
            )
        self.applied: Sequence[Applied] = ()

    def sides(self) -> tuple[Side, Side]:
        """Who opens the connections, and to whom, now."""
        return two_sides(self.stage, self.parameters["of"], self.parameters["to"])

    @property
    def subject(self) -> str:
        """Both sides."""
        return f"{named(self.of)} to {named(self.to)}"

    def aim(self) -> None:
        """Decide who is meant."""
        self.of, self.to = self.sides()

    def effects(self) -> tuple[Effect, ...]:
        """What is done to the connections."""
        raise NotImplementedError

    def rules(self) -> tuple[Rule, ...]:
        """The rules that the proxy is given."""
        return self.numbered((self.of, self.to, effect) for effect in self.effects())

    def numbered(self, cuts: Iterable[tuple[Side, Side, Effect]]) -> tuple[Rule, ...]:
        """A rule for each: from whom, to whom, what. Sides without a node have no links that lead to them."""
        event, direction = self.stage.event, cast(Direction, self.parameters.get("direction", "both"))
        proxied = frozenset(spec.node for spec in self.links.specs)
        return tuple(
            Rule(
                id=f"{os.getpid()}-{event.index}-{number}",
                parties=None if OTHERS in parties else parties,
                nodes=nodes & proxied,
                planes=None,
                direction=direction,
                effect=effect,
            )
            for number, (parties, nodes, effect) in enumerate(cuts)
            if nodes & proxied
        )

    def inject(self) -> int:
        """Put all rules into effect; returns when the last one was."""
        try:
            self.applied = [self.links.apply(rule) for rule in self.rules()]
        except ProxyFailed:
            self.heal()
            raise
        return self.applied[-1].at_ns

    def heal(self) -> None:
        """Take all rules back."""
        for rule in self.rules():
            self.links.clear(rule.id)

    def in_effect(self) -> bool:
        """Whether the proxy says that all rules are."""
        return {rule.id for rule in self.rules()} <= set(self.links.state().rules)

    def healed(self) -> bool:
        """Whether no rule is left, and a byte goes to an echo and back (unless another fault keeps it)."""
        ours = {rule.id for rule in self.rules()}
        left = set(self.links.state().rules)
        return ours.isdisjoint(left) and (bool(left) or None not in self.trips())

    def alone(self) -> bool:
        """Whether no other network fault is in effect, so that what is measured is this one's doing."""
        return set(self.links.state().rules) <= {rule.id for rule in self.rules()}

    def nothing_passes(self) -> bool:
        """Whether the rules are in effect, and no byte comes back from an echo."""
        return self.in_effect() and set(self.trips(HELD_WITHIN_S)) == {None}

    def covered(self) -> list[LinkState]:
        """The links with connections that the rules cover."""
        rules = self.rules()
        return [one for one in self.links.state().links if any(rule.covers(one.link) for rule in rules)]

    def trips(self, within_s: float = PROBE_WITHIN_S) -> list[float | None]:
        """Seconds of a round trip on each of some links that the rules cover, all at once; None: no answer."""
        links = self._sample()
        with ThreadPoolExecutor(len(links)) as at_once:
            return list(at_once.map(lambda link: self.links.probe(link, timeout_s=within_s), links))

    def _sample(self) -> list[Link]:
        """Some of the links: those that have connections; where there are none, one to each node."""
        used = [one.link for one in self.covered()]
        if not used:
            first = {
                spec.node: Link(party, spec.node, spec.plane)
                for rule in self.rules()
                for party in sorted(rule.parties or (OTHERS,))
                for spec in self.links.specs
                if spec.node in rule.nodes
            }
            used = list(first.values())
        return used[:_MOST_PROBES]


def named(side: Side) -> str:
    """A side, as the record calls it."""
    return "everybody" if OTHERS in side else " and ".join(sorted(side))
