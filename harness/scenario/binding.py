"""Which target takes which site: ``--on kafka-local``, or ``--on internal=solace-emulator,external=kafka-local``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from crep.harness.config.errors import UsageError
from crep.harness.config.suggest import nearest
from crep.harness.config.targets import Target, find_target


@dataclass(frozen=True)
class Binding:
    """Site → name of the target. ``str`` is what ``--on`` takes, and safe as a folder's name."""

    sites: dict[str, str]

    def __str__(self) -> str:
        if len(self.sites) == 1:
            return next(iter(self.sites.values()))
        return ",".join(f"{site}={target}" for site, target in self.sites.items())


def parse_binding(text: str, sites: Sequence[str], targets: Mapping[str, Target]) -> Binding:
    """The binding of a scenario's ``sites``, in their order.

    Raises:
        UsageError: an unknown site or target (the text names the nearest), a site without a target or with two, or one
            bare target for several sites.
    """
    bound: dict[str, str] = {}
    for part in text.split(","):
        left, equals, right = (word.strip() for word in part.partition("="))
        if not equals and len(sites) > 1:
            example = ",".join(f"{site}=…" for site in sites)
            raise UsageError(f"--on {text}: the scenario has {len(sites)} sites, so write --on {example}")
        site, target = (left, right) if equals else (sites[0], left)
        if site not in sites:
            raise UsageError(f"--on {text}: the scenario has no site {site!r}{nearest(site, sites)}")
        if site in bound:
            raise UsageError(f"--on {text}: site {site!r} gets two targets; for another run give --on again")
        bound[site] = find_target(target, targets).name
    for site in sites:
        if site not in bound:
            raise UsageError(f"--on {text}: site {site!r} gets no target; add {site}=…")
    return Binding({site: bound[site] for site in sites})
