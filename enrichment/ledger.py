"""The bridge's ledger: what became of every message, by route, always adding up.

::

    received + split extra = acknowledged + filtered + dead-lettered + in flight

Everything is counted in parts: a message is one part until it is split into n (n - 1 extra; into none: -1).

A route with ``exactly_once`` has one more end: what came in a transaction that was aborted is *given back*, and counted
as received again when it comes again. Nothing else of such a message is counted.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any


class LedgerBroken(Exception):
    """The sides differ: an error of the bridge itself. It stops, and what is not settled stays at the source."""


@dataclass
class Ledger:
    """One route. ``in_flight`` is counted by itself, from the parts under way, and only checked against the rest."""

    received: int = 0
    redelivered: int = 0  # of them, flagged so by the broker
    split_extra: int = 0
    acknowledged: int = 0
    filtered: Counter[str] = field(default_factory=Counter)  # by step
    dead_lettered: Counter[str] = field(default_factory=Counter)  # by step; `sink`: rejected by the broker
    resent: int = 0  # handed over again, since the outcome was unknown: may have been doubled
    given_back: int = 0  # messages of aborted transactions

    @property
    def settled(self) -> int:
        """Parts with a final fate."""
        return self.acknowledged + self.filtered.total() + self.dead_lettered.total() + self.given_back

    def check(self, in_flight: int) -> None:
        """Compare both sides.

        Raises:
            LedgerBroken: they differ, with the figures.
        """
        came, went = self.received + self.split_extra, self.settled + in_flight
        if came != went:
            raise LedgerBroken(f"{came} parts came and {went} are accounted for: {self.line(in_flight)}")

    def line(self, in_flight: int) -> str:
        """One line for people."""
        back = f"given back {self.given_back:,}, " if self.given_back else ""
        return (
            f"received {self.received:,}, split extra {self.split_extra:,} = acknowledged {self.acknowledged:,}, "
            f"filtered {self.filtered.total():,}, dead-lettered {self.dead_lettered.total():,}, {back}"
            f"in flight {in_flight:,}"
        )

    def document(self, in_flight: int) -> dict[str, Any]:
        """Plain data."""
        return asdict(self) | {
            "filtered": dict(self.filtered),
            "dead_lettered": dict(self.dead_lettered),
            "in_flight": in_flight,
        }
